package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"entgo.io/ent/dialect"
)

// Table is how rows of a table are written, any number of them by one
// statement. On PostgreSQL each column is one array parameter, so that the
// statement has one text and one plan. (ent writes a text for each number of
// rows, a parameter for each value, and 40 times as many allocations.) On
// SQLite, where a statement is a function call, each row runs a prepared one.
type Table struct {
	columns                int
	insert, update         string // PostgreSQL
	insertEach, updateEach string // SQLite
}

// NewTable describes the columns to write, each as "name type" with
// PostgreSQL's type. Updates find their rows by the first.
func NewTable(name string, columns ...string) Table {
	var names, arrays, sets, setEach []string
	for i, column := range columns {
		column, kind, _ := strings.Cut(column, " ")
		names = append(names, column)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, kind))
		if i > 0 {
			sets, setEach = append(sets, column+" = new."+column), append(setEach, fmt.Sprintf("%s = ?%d", column, i+1))
		}
	}
	list, from := strings.Join(names, ", "), strings.Join(arrays, ", ")
	return Table{
		columns: len(columns),
		insert:  fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s)", name, list, from),
		update: fmt.Sprintf("UPDATE %s SET %s FROM unnest(%s) AS new(%s) WHERE %s.%s = new.%s",
			name, strings.Join(sets, ", "), from, list, name, names[0], names[0]),
		insertEach: fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", name, list, strings.Repeat(", ?", len(columns)-1)),
		updateEach: fmt.Sprintf("UPDATE %s SET %s WHERE %s = ?1", name, strings.Join(setEach, ", "), names[0]),
	}
}

// Rows are values to write, row after row.
type Rows struct {
	values []any
	n      int
}

// Add adds a row, in the order of the table's columns. What is JSON is given as
// the result of JSON.
func (r *Rows) Add(values ...any) {
	r.values = append(r.values, values...)
	r.n++
}

// Insert adds rows to a table.
func (tx *Tx) Insert(ctx context.Context, into Table, rows Rows) error {
	return tx.writeRows(ctx, into, rows, into.insert, into.insertEach)
}

// Update changes the rows of a table that have the ids in the first column.
func (tx *Tx) Update(ctx context.Context, of Table, rows Rows) error {
	return tx.writeRows(ctx, of, rows, of.update, of.updateEach)
}

func (tx *Tx) writeRows(ctx context.Context, table Table, rows Rows, all, each string) error {
	if rows.n == 0 {
		return nil
	}
	if tx.Postgres() {
		_, err := tx.ExecContext(ctx, all, rows.arrays(table.columns)...)
		return err
	}
	statement, err := tx.PrepareContext(ctx, each)
	if err != nil {
		return err
	}
	defer statement.Close()
	for values := rows.values; len(values) > 0; values = values[table.columns:] {
		if _, err := statement.ExecContext(ctx, values[:table.columns]...); err != nil {
			return err
		}
	}
	return nil
}

// arrays are the columns as PostgreSQL reads arrays.
func (r *Rows) arrays(columns int) []any {
	arrays := make([]any, columns)
	var array []byte
	for column := range arrays {
		array = append(array[:0], '{')
		for i := column; i < len(r.values); i += columns {
			array = append(appendElement(array, r.values[i]), ',')
		}
		array[len(array)-1] = '}'
		arrays[column] = string(array)
	}
	return arrays
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
		return append(array, v.String()...)
	case time.Time:
		return append(v.UTC().AppendFormat(append(array, '"'), "2006-01-02T15:04:05.999999Z"), '"')
	case int64:
		return strconv.AppendInt(array, v, 10)
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
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			array = append(array, '\\')
		}
		array = append(array, text[i])
	}
	return append(array, '"')
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

// In holds for rows whose column has one of the values. However many there are,
// they are one parameter, so that the statement has one text and one plan.
func In[T any](column string, values []T) func(*entsql.Selector) {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprint(value)
	}
	return func(s *entsql.Selector) {
		s.Where(entsql.P(func(b *entsql.Builder) {
			b.Ident(s.C(column))
			if s.Dialect() == dialect.Postgres {
				b.WriteString(" = ANY (").Arg(pq.StringArray(texts)).WriteString(")")
				return
			}
			b.WriteString(" IN (SELECT value FROM json_each(").Arg(JSON(texts)).WriteString("))")
		}))
	}
}
