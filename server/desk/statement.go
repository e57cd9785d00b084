package desk

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"parley/server/store"
)

// statement is a read by hand, with lists as single parameters: its text depends
// on its shape alone, so that there are few and each is planned once. PostgreSQL
// plans anew each time, which takes longer than an inbox, if it sees a gain in
// the values: sub-selects keep the lists from it. What the two databases say
// differently is here.
type statement struct {
	store reader
	args  []any
}

// reader is a store, or a transaction.
type reader interface {
	Postgres() bool
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var _, _ reader = (*store.Store)(nil), (*store.Tx)(nil)

// arg makes a value one of the statement's and gives its placeholder.
func (s *statement) arg(value any) string {
	s.args = append(s.args, value)
	return "$" + strconv.Itoa(len(s.args))
}

// list makes a list of ids or words a value of the statement.
func list[T fmt.Stringer](s *statement, values []T) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(`,"` + v.String() + `"`)
	}
	inner := strings.TrimPrefix(b.String(), ",")
	if s.store.Postgres() {
		return s.arg("{" + inner + "}")
	}
	return s.arg("[" + inner + "]")
}

// words makes a list of any texts a value of the statement.
func (s *statement) words(values []string) string {
	if s.store.Postgres() {
		return s.arg(pq.StringArray(values))
	}
	return s.arg(store.JSON(values))
}

// each makes a list a table with the column value.
func (s *statement) each(list, kind, as string) string {
	if s.store.Postgres() {
		return "unnest((SELECT " + list + "::" + kind + "[])) AS " + as + "(value)"
	}
	return "json_each(" + list + ") AS " + as
}

// in holds for what is in a list.
func (s *statement) in(list, kind string) string {
	if s.store.Postgres() {
		return " = ANY((SELECT " + list + "::" + kind + "[])::" + kind + "[])"
	}
	return " IN (SELECT value FROM json_each(" + list + "))"
}

// provided are the messages m of channels with one of the provider's ids. On
// PostgreSQL the index is on hashes of these, a third of the size that the ids
// would take.
func (s *statement) provided(channels []uuid.UUID, externalIDs []string) string {
	ids, where := s.each(s.words(externalIDs), "text", "of"), "m.external_id = of.value AND m.channel_id"+s.in(list(s, channels), "uuid")
	if s.store.Postgres() {
		where += " AND hashtextextended(m.external_id, 0) = hashtextextended(of.value, 0) AND hashtextextended(m.external_id, 1) = hashtextextended(of.value, 1)"
	}
	return " FROM " + ids + s.lookup("messages", "m", where)
}

// people are the identities i of customers on their channels, of.n the places
// that these have in the list, from 1.
func (s *statement) people(list []person) string {
	var of string
	if s.store.Postgres() {
		channels, ids := make([]string, len(list)), make([]string, len(list))
		for i, p := range list {
			channels[i], ids[i] = p.channel.String(), p.id
		}
		of = "unnest(" + s.words(channels) + "::uuid[], " + s.words(ids) + "::text[]) WITH ORDINALITY AS of(channel, person, n)"
	} else {
		pairs := make([][2]string, len(list))
		for i, p := range list {
			pairs[i] = [2]string{p.channel.String(), p.id}
		}
		of = "(SELECT key + 1 AS n, value->>0 AS channel, value->>1 AS person FROM json_each(" + s.arg(store.JSON(pairs)) + ")) AS of"
	}
	return " FROM " + of + s.lookup("identities", "i", "i.channel_id = of.channel AND i.external_id = of.person")
}

// lookup joins, to each row before it, those rows of a table that a condition on
// both picks, by an index. OFFSET keeps PostgreSQL, and CROSS keeps SQLite, from
// reading all of the table where it misjudges how many there are.
func (s *statement) lookup(table, as, where string) string {
	if s.store.Postgres() {
		return " CROSS JOIN LATERAL (SELECT * FROM " + table + " AS " + as + " WHERE " + where + " OFFSET 0) AS " + as
	}
	return " CROSS JOIN " + table + " AS " + as + " ON " + where
}

// first joins, to each row before it, the rows of a table that a condition on
// both picks: each by an index scan of its own that stops at the limit. A window
// function would read all of them.
func (s *statement) first(table, as, where string) string {
	if s.store.Postgres() {
		return " CROSS JOIN LATERAL (SELECT * FROM " + table + " WHERE " + where + ") AS " + as
	}
	return " CROSS JOIN " + table + " AS " + as + " ON " + as + ".id IN (SELECT id FROM " + table + " WHERE " + where + ")"
}

// rows runs the statement and has each row scanned.
func (s *statement) rows(ctx context.Context, text string, scan func(*sql.Rows) error) error {
	rows, err := s.store.Query(ctx, text, s.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
