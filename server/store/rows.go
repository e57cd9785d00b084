package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Table is how rows of a table are written, any number of them by one
// statement. On PostgreSQL each column is one array parameter, so that the
// statement has one text and one plan. (ent writes a text for each number of
// rows, a parameter for each value, and 40 times as many allocations.) A value
// that all rows share, as most columns have, is sent once, beside an array that
// is empty. On SQLite, where a statement is a function call, each row runs a
// prepared one.
type Table struct {
	name    string
	columns []column
	lock    string // taken before an insert
	guard   string // column that must be what the last value of each row says

	texts map[statementKind]string
}

type statementKind struct{ update, postgres bool }

type column struct{ name, kind string }

// NewTable describes the columns to write, each as "name type" with
// PostgreSQL's type. Updates find their rows by the first.
func NewTable(name string, columns ...string) Table {
	t := Table{name: name}
	for _, c := range columns {
		name, kind, _ := strings.Cut(c, " ")
		t.columns = append(t.columns, column{name, kind})
	}
	return t.spelt()
}

// spelt has the statements of a table written once.
func (t Table) spelt() Table {
	t.texts = map[statementKind]string{}
	for _, postgres := range []bool{false, true} {
		t.texts[statementKind{false, postgres}], t.texts[statementKind{true, postgres}] = t.insert(postgres), t.update(postgres)
	}
	return t
}

// Locked has PostgreSQL take an advisory lock until the commit, before the
// defaults of the columns that are not written, such as ids, are made.
func (t Table) Locked(lock int64) Table {
	t.lock = fmt.Sprintf("WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(%d)) ", lock)
	return t.spelt()
}

// Guarded has updates find rows as they were read: each has one value more, which
// the column must be. If a row has changed since, Update fails.
func (t Table) Guarded(column string) Table {
	t.guard = column
	return t.spelt()
}

// Rows are values to write, row after row.
type Rows struct {
	values []any
	n      int
}

// Grow makes room for rows of as many values.
func (r *Rows) Grow(rows, values int) { r.values = slices.Grow(r.values, rows*values) }

// Add adds a row, in the order of the table's columns. What is JSON is given as
// the result of JSON.
func (r *Rows) Add(values ...any) {
	r.values = append(r.values, values...)
	r.n++
}

// Insert adds rows to a table.
func (tx *Tx) Insert(ctx context.Context, into Table, rows Rows) error {
	_, err := tx.writeRows(ctx, len(into.columns), rows, into.texts[statementKind{false, tx.Postgres()}])
	return err
}

// Update changes the rows of a table that have the ids in the first column.
func (tx *Tx) Update(ctx context.Context, of Table, rows Rows) error {
	values := len(of.columns)
	if of.guard != "" {
		values++
	}
	changed, err := tx.writeRows(ctx, values, rows, of.texts[statementKind{true, tx.Postgres()}])
	if err == nil && of.guard != "" && changed != int64(rows.n) {
		return errChanged
	}
	return err
}

// errChanged: a row is not what it was when it was read.
var errChanged = errors.New("a row was changed by another transaction")

func (tx *Tx) writeRows(ctx context.Context, values int, rows Rows, text string) (changed int64, err error) {
	if rows.n == 0 {
		return 0, nil
	}
	if tx.Postgres() {
		result, err := tx.ExecContext(ctx, text, rows.arrays(values)...)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
	statement, err := tx.PrepareContext(ctx, text)
	if err != nil {
		return 0, err
	}
	defer statement.Close()
	for rest := rows.values; len(rest) > 0; rest = rest[values:] {
		result, err := statement.ExecContext(ctx, rest[:values]...)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

func (t Table) insert(postgres bool) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	into := "INSERT INTO " + t.name + " (" + strings.Join(names, ", ") + ") "
	switch {
	case !postgres:
		return into + "VALUES (?" + strings.Repeat(", ?", len(names)-1) + ")"
	case t.lock != "": // ids are made for what comes out of the join with the lock
		return t.lock + into + "SELECT " + strings.Join(t.values(), ", ") + " FROM locked, " + t.unnest()
	}
	return into + "SELECT " + strings.Join(t.values(), ", ") + " FROM " + t.unnest()
}

func (t Table) update(postgres bool) string {
	value := func(i int) string { return "?" + strconv.Itoa(i+1) }
	if postgres {
		values := t.values()
		value = func(i int) string { return values[i] }
	}
	var set []string
	for i, c := range t.columns[1:] {
		set = append(set, c.name+" = "+value(i+1))
	}
	text := "UPDATE " + t.name + " SET " + strings.Join(set, ", ")
	if postgres {
		text += " FROM " + t.unnest()
	}
	text += " WHERE " + t.name + "." + t.columns[0].name + " = " + value(0)
	if t.guard != "" {
		text += " AND " + t.name + "." + t.guard + " = " + value(len(t.columns))
	}
	return text
}

// given are the columns that rows have values for.
func (t Table) given() []column {
	if t.guard == "" {
		return t.columns
	}
	return append(t.columns[:len(t.columns):len(t.columns)], column{t.guard, "bigint"})
}

// unnest makes the arrays a table new with the columns c0, c1, …. What is missing
// at the end of an array is NULL.
func (t Table) unnest() string {
	var arrays, names []string
	for i, c := range t.given() {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, c.kind))
		names = append(names, "c"+strconv.Itoa(i))
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") AS new(" + strings.Join(names, ", ") + ")"
}

// values are those of a row: of its own, else what all rows share.
func (t Table) values() []string {
	values := []string{"new.c0"}
	given := t.given()
	for i, c := range given[1:] {
		values = append(values, fmt.Sprintf("COALESCE(new.c%d, ($%d::%s[])[1])", i+1, len(given)+i+1, c.kind))
	}
	return values
}

// arrays are the columns as PostgreSQL reads arrays, then for each but the first
// the value that all rows share: an array of one, or an empty one.
func (r *Rows) arrays(columns int) []any {
	arrays := make([]any, 2*columns-1)
	var array []byte
	for column := range columns {
		values := r.values[column:]
		if column > 0 && shared(values, columns) {
			arrays[column] = "{}"
			array = append(appendElement(append(array[:0], '{'), values[0]), '}')
			arrays[columns+column-1] = string(array)
			continue
		}
		array = append(array[:0], '{')
		for i := 0; i < len(values); i += columns {
			array = append(appendElement(array, values[i]), ',')
		}
		array[len(array)-1] = '}'
		arrays[column] = string(array)
		if column > 0 {
			arrays[columns+column-1] = "{}"
		}
	}
	return arrays
}

// shared says that every so many values are the same, as far as a glance tells.
func shared(values []any, step int) bool {
	if _, ok := values[0].([]byte); ok {
		return false
	}
	for i := step; i < len(values); i += step {
		if values[i] != values[0] {
			return false
		}
	}
	return true
}

func appendElement(array []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(array, "NULL"...)
	case string:
		return appendQuoted(array, v)
	case []byte:
		return append(hex.AppendEncode(append(array, `"\\x`...), v), '"')
	case uuid.UUID:
		return hex.AppendEncode(array, v[:])
	case time.Time:
		return append(v.UTC().AppendFormat(append(array, '"'), time.RFC3339Nano), '"')
	case int64:
		return strconv.AppendInt(array, v, 10)
	case *uuid.UUID: // these would be copied below
		if v != nil {
			return appendElement(array, *v)
		}
	case *string:
		if v != nil {
			return appendQuoted(array, *v)
		}
	case *time.Time:
		if v != nil {
			return appendElement(array, *v)
		}
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(array, "NULL"...)
		}
		return appendElement(array, v.Elem().Interface())
	case reflect.String: // an enum of ent
		return appendQuoted(array, v.String())
	case reflect.Int, reflect.Int16:
		return strconv.AppendInt(array, v.Int(), 10)
	}
	panic(fmt.Sprintf("a column cannot hold %T", value))
}

func appendQuoted(array []byte, text string) []byte {
	array = append(array, '"')
	for {
		plain := strings.IndexAny(text, `"\`)
		if plain < 0 {
			return append(append(array, text...), '"')
		}
		array = append(append(array, text[:plain]...), '\\', text[plain])
		text = text[plain+1:]
	}
}

// JSON is a value for a column of JSON; nil stands for none.
func JSON(value any) any {
	if v := reflect.ValueOf(value); !v.IsValid() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map || v.Kind() == reflect.Pointer) && v.IsNil() {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, ids and lists of them
	}
	return string(text)
}
