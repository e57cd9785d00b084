package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/server/store"
	"parley/server/store/storetest"
)

// sample makes a table with a column of each kind.
func sample(t *testing.T, s *store.Store) {
	t.Helper()
	at := "timestamptz"
	if !s.Postgres() {
		at = "datetime" // which its driver reads as a time
	}
	must(t, s.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE sample (id uuid PRIMARY KEY, word text, maybe text, raw bytea, at `+at+`,
			number bigint, facts jsonb, kind text)`)
		return err
	}))
}

var sampleTable = store.NewTable("sample", "id uuid", "word text", "maybe text", "raw bytea", "at timestamptz",
	"number bigint", "facts jsonb", "kind text")

type kind string

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read gives a row of the sample as text.
func read(t *testing.T, s *store.Store, id uuid.UUID) string {
	t.Helper()
	rows, err := s.Query(t.Context(), "SELECT word, maybe, raw, at, number, facts, kind FROM sample WHERE id = $1", id)
	must(t, err)
	defer rows.Close()
	if !rows.Next() {
		return "no row"
	}
	var word, kind string
	var maybe, facts *string
	var raw []byte
	var at time.Time
	var number *int64
	must(t, rows.Scan(&word, &maybe, &raw, &at, &number, &facts, &kind))
	show := func(text *string) string {
		if text == nil {
			return "NULL"
		}
		return *text
	}
	n := "NULL"
	if number != nil {
		n = fmt.Sprint(*number)
	}
	return fmt.Sprintf("%q %q %x %s %s %s %s", word, show(maybe), raw, at.UTC().Format(time.RFC3339Nano), n, show(facts), kind)
}

func TestRowsAreWrittenAsTheyAreWhateverTheyHold(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 14, 15, 123456000, time.FixedZone("", 3600))
	words := []string{"", "plain", "NULL", `"quoted"`, `back\\slash\`, "{a,b}", "line\nbreak\ttab", "Grüße 😀", "'; DROP TABLE sample; --", " edges "}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sample(t, s)
		var rows store.Rows
		want := map[uuid.UUID]string{}
		for i, word := range words {
			id, number := uuid.New(), int64(-i)
			rows.Add(id, word, &word, []byte(word), at, &number, store.JSON(map[string]string{"x": word}), kind("K"))
			want[id] = fmt.Sprintf("%q %q %x %s %d", word, word, word, "2026-11-22T12:14:15.123456Z", number)
		}
		none := uuid.New()
		rows.Add(none, "", (*string)(nil), []byte{}, at, (*int64)(nil), store.JSON([]string(nil)), kind("K"))
		must(t, s.InTx(t.Context(), func(tx *store.Tx) error { return tx.Insert(t.Context(), sampleTable, rows) }))
		for id, line := range want {
			if got := read(t, s, id); len(got) < len(line) || got[:len(line)] != line {
				t.Errorf("got %s, want %s", got, line)
			}
		}
		if got := read(t, s, none); got != `"" "NULL"  2026-11-22T12:14:15.123456Z NULL NULL K` {
			t.Errorf("what is not there: %s", got)
		}
	})
}

func TestAnUpdateChangesTheRowsThatItNamesAndNoOthers(t *testing.T) {
	words := store.NewTable("sample", "id uuid", "word text")
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sample(t, s)
		ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
		var rows, changes store.Rows
		for _, id := range ids {
			rows.Add(id, "old", nil, []byte{1}, time.Unix(0, 0), int64(1), nil, kind("K"))
		}
		changes.Add(ids[0], "new 0")
		changes.Add(ids[2], "new 2")
		changes.Add(uuid.New(), "nobody's")
		must(t, s.InTx(t.Context(), func(tx *store.Tx) error {
			if err := tx.Insert(t.Context(), sampleTable, rows); err != nil {
				return err
			}
			if err := tx.Update(t.Context(), words, store.Rows{}); err != nil {
				return err
			}
			return tx.Update(t.Context(), words, changes)
		}))
		for i, want := range []string{"new 0", "old", "new 2"} {
			if got := read(t, s, ids[i]); got != fmt.Sprintf(`%q "NULL" 01 1970-01-01T00:00:00Z 1 NULL K`, want) {
				t.Errorf("row %d: %s", i, got)
			}
		}
	})
}

func TestAStatementFromBeforeAMigrationIsPreparedAnew(t *testing.T) {
	s := storetest.Postgres(t)
	s.DB.SetMaxOpenConns(1)
	sample(t, s)
	all := func(tx *store.Tx) error {
		rows, err := tx.Query(t.Context(), "SELECT * FROM sample WHERE id = $1", uuid.New())
		if err == nil {
			err = rows.Close()
		}
		return err
	}
	for column := range 3 {
		must(t, s.InTx(t.Context(), all)) // in a transaction, which is run again
		migrate(t, s, 2*column)
		rows, err := s.Query(t.Context(), "SELECT * FROM sample WHERE id = $1", uuid.New())
		must(t, err)
		must(t, rows.Close())
		migrate(t, s, 2*column+1)
	}
}

// migrate is another replica's migration.
func migrate(t *testing.T, s *store.Store, column int) {
	t.Helper()
	other, err := store.Open(t.Context(), s.URL)
	must(t, err)
	defer other.Close()
	_, err = other.DB.ExecContext(t.Context(), fmt.Sprintf("ALTER TABLE sample ADD COLUMN more%d text", column))
	must(t, err)
}

func TestPostgreSQLRunsStatementsByTheirIndexesAndAlone(t *testing.T) {
	s := storetest.Postgres(t)
	for setting, want := range map[string]string{
		"jit": "off", "max_parallel_workers_per_gather": "0", "enable_seqscan": "off", "enable_bitmapscan": "off",
	} {
		var got string
		must(t, s.DB.QueryRowContext(t.Context(), "SHOW "+setting).Scan(&got))
		if got != want {
			t.Errorf("%s is %s", setting, got)
		}
	}
}
