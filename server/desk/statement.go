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

// provided holds for messages m of channels with one of the provider's ids. On
// PostgreSQL the index is on hashes of these, a third of the size that the ids
// would take.
func (s *statement) provided(channels []uuid.UUID, externalIDs []string) string {
	ids := s.words(externalIDs)
	where := "m.channel_id" + s.in(list(s, channels), "uuid") + " AND m.external_id" + s.in(ids, "text")
	if s.store.Postgres() {
		where += " AND hashtextextended(m.external_id, 0) = ANY (ARRAY(SELECT hashtextextended(id, 0) FROM unnest(" + ids + "::text[]) AS id))"
	}
	return where
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
