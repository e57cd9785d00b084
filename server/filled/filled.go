// Package filled owns made-up databases of any size, to measure on and to see
// query plans on: channels, queues, operators, contacts, and chats with messages
// as the desk would have made them. It writes past the desk, into a database
// that is migrated and was not filled before, and nobody else may use that
// meanwhile. Invariant: the same Size gives the same rows.
package filled

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/server/store"
)

// Size is how much of everything there is.
type Size struct {
	Channels, Operators int
	Queues              int // each has every operator
	Chats               int // spread evenly over queues, channels and operators
	Open                int // chats of each queue that are not completed, a quarter of them waiting
	Messages            int // of each chat; every third is an operator's where the chat has one
}

// start is when the first message is sent; one follows each second.
var start = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// ID is the id of the n-th row of a table. It is time-ordered, as all ids are,
// and the API's form of it ends in n, in eleven decimal digits, and a zero: so a
// script can make one up.
func ID(at time.Time, n int) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|7<<12)
	low := uint64(1) << 63 // the variant
	for shift := 3; n > 0; n, shift = n/10, shift+5 {
		low |= uint64(n%10) << shift
	}
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}

// Row is the id of the n-th channel, queue, operator, contact or chat.
func Row(n int) uuid.UUID { return ID(start, n) }

// Fill writes it all and has the database look at what it has now.
func Fill(ctx context.Context, s *store.Store, size Size) error {
	for _, t := range size.tables() {
		if err := write(ctx, s, t); err != nil {
			return fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	_, err := s.DB.ExecContext(ctx, "ANALYZE")
	return err
}

// table is rows of one table, in an order that suits its references.
type table struct {
	name, columns string
	rows          iter.Seq[[]any]
}

func write(ctx context.Context, s *store.Store, t table) error {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := insert(ctx, s, tx, t); err != nil {
		return err
	}
	return tx.Commit()
}

func insert(ctx context.Context, s *store.Store, tx *sql.Tx, t table) error {
	columns := strings.Fields(t.columns)
	into := t.name + " (" + strings.Join(columns, ", ") + ")"
	text := "INSERT INTO " + into + " VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"
	if s.Postgres() {
		text = "COPY " + into + " FROM STDIN"
	}
	statement, err := tx.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer statement.Close()
	for row := range t.rows {
		if _, err := statement.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	if s.Postgres() {
		_, err = statement.ExecContext(ctx) // what is still under way
	}
	return err
}
