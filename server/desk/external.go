package desk

import (
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"

	"parley/ent/message"
	"parley/ent/predicate"
	"parley/server/store"
)

// ExternalIDs holds for messages with one of the provider's ids. On PostgreSQL
// the index is on hashes of these, a third of the size that the ids would take.
func ExternalIDs(ids []string) predicate.Message {
	return func(s *entsql.Selector) {
		store.In(message.FieldExternalID, ids)(s)
		if s.Dialect() == dialect.Postgres {
			before, after, _ := strings.Cut(hashedIn("?"), "?")
			s.Where(entsql.P(func(b *entsql.Builder) { b.WriteString(before).Arg(pq.StringArray(ids)).WriteString(after) }))
		}
	}
}

// hashedIn is the condition that the index of provider's ids answers, where ids
// is the placeholder of a list.
func hashedIn(ids string) string {
	return "hashtextextended(external_id, 0) = ANY (ARRAY(SELECT hashtextextended(id, 0) FROM unnest(" + ids + "::text[]) AS id))"
}
