// Package paging owns keyset pagination: which part of a sorted list is asked
// for, the statement's condition for it, and the cursors of the answer. Any
// depth costs the same. Values are immutable and safe for concurrent use.
// Invariant: walking a list page by page, in either direction, gives every
// element that was there all the time exactly once.
package paging

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"parley/server/fault"
)

const (
	defaultSize = 25
	maxSize     = 100
)

// Args are the arguments of a connection, as the API has them.
type Args struct {
	First, Last   *int
	After, Before *string
}

// Sort is what a list is sorted by, which is what its cursors hold.
type Sort byte

// The sorts. Ties are broken by id.
const (
	ByTime   Sort = 't' // a time.Time, and a uuid.UUID for an id
	ByName   Sort = 's' // a string, and a uuid.UUID
	ByNumber Sort = 'n' // an int64, which is the id
)

// Place is a position in a list: the value that it is sorted by, and the id.
type Place struct{ By, ID any }

// List is a part of a list, in the list's order.
type List[T any] struct {
	Nodes                []T
	Cursors              []string
	HasNext, HasPrevious bool
}

// Slice is checked Args: how many, from where, in which direction.
type Slice struct {
	limit         int
	backward      bool
	after, before *Place
	minute        string
}

// Check refuses what cannot be answered for a list that is sorted so.
func (a Args) Check(by Sort) (Slice, error) {
	s := Slice{limit: defaultSize, backward: a.Last != nil}
	if a.First != nil && a.Last != nil {
		return s, fault.New(fault.Invalid, "first", "ask for first or for last, not for both")
	}
	for field, n := range map[string]*int{"first": a.First, "last": a.Last} {
		if n == nil {
			continue
		}
		if s.limit = *n; *n < 1 || *n > maxSize {
			return s, fault.New(fault.Invalid, field, "a page has 1 to %d elements", maxSize)
		}
	}
	var err error
	if s.after, err = parse("after", a.After, by); err != nil {
		return s, err
	}
	s.before, err = parse("before", a.Before, by)
	return s, err
}

// ByMinute is the slice of a list by time that an index has by the minute, in a
// column of its own: so it need not change with every change of the time. A
// minute is sorted when it is read.
func (s Slice) ByMinute(column string) Slice {
	s.minute = column
	return s
}

// minuteOf is the value of that column at a place.
func minuteOf(p *Place) time.Time { return p.By.(time.Time).Truncate(time.Minute) }

// Backward says that the rows come with the end of the list first.
func (s Slice) Backward() bool { return s.backward }

// Where narrows a query to the slice and one row more, nearest its starting
// point first. descending is the list's own order; the tie-break is column id.
func (s Slice) Where(column string, descending bool) func(*entsql.Selector) {
	return func(q *entsql.Selector) {
		columns := []string{q.C(column), q.C("id")}
		further, nearer := entsql.CompositeGT, entsql.CompositeLT
		notNearer, notFurther := entsql.GTE, entsql.LTE
		if descending {
			further, nearer, notNearer, notFurther = nearer, further, notFurther, notNearer
		}
		if s.after != nil {
			if s.minute != "" {
				q.Where(notNearer(q.C(s.minute), minuteOf(s.after)))
			}
			q.Where(further(columns, s.after.By, s.after.ID))
		}
		if s.before != nil {
			if s.minute != "" {
				q.Where(notFurther(q.C(s.minute), minuteOf(s.before)))
			}
			q.Where(nearer(columns, s.before.By, s.before.ID))
		}
		s.order(q, columns, descending)
		q.Limit(s.limit + 1)
	}
}

// Order sorts as Where does.
func (s Slice) Order(column string, descending bool) func(*entsql.Selector) {
	return func(q *entsql.Selector) { s.order(q, []string{q.C(column), q.C("id")}, descending) }
}

// LimitSQL limits a statement by hand to the page and one row more, or some: the
// number is written out, for the database to plan with, and rounded up, so that
// there are few texts. Of leaves out the rest.
func (s Slice) LimitSQL() string {
	switch {
	case s.limit <= 5:
		return " LIMIT 6"
	case s.limit <= defaultSize:
		return " LIMIT " + strconv.Itoa(defaultSize+1)
	case s.limit <= 50:
		return " LIMIT 51"
	}
	return " LIMIT " + strconv.Itoa(maxSize+1)
}

// SQL is Where for statements by hand: what comes after their last condition. arg
// makes a value one of the statement's and gives its placeholder.
func (s Slice) SQL(column string, descending bool, arg func(any) string) string {
	further, nearer := ">", "<"
	if descending {
		further, nearer = nearer, further
	}
	text := ""
	if s.after != nil {
		if s.minute != "" {
			text += " AND " + s.minute + " " + further + "= " + arg(minuteOf(s.after))
		}
		text += " AND (" + column + ", id) " + further + " (" + arg(s.after.By) + ", " + arg(s.after.ID) + ")"
	}
	if s.before != nil {
		if s.minute != "" {
			text += " AND " + s.minute + " " + nearer + "= " + arg(minuteOf(s.before))
		}
		text += " AND (" + column + ", id) " + nearer + " (" + arg(s.before.By) + ", " + arg(s.before.ID) + ")"
	}
	return text + s.OrderSQL("", column, descending) + s.LimitSQL()
}

// OrderSQL is Order for statements by hand, with a prefix for the columns.
func (s Slice) OrderSQL(prefix, column string, descending bool) string {
	direction := ""
	if descending != s.backward {
		direction = " DESC"
	}
	by := []string{prefix + column + direction, prefix + "id" + direction}
	if s.minute != "" {
		by = slices.Insert(by, 0, prefix+s.minute+direction)
	}
	return " ORDER BY " + strings.Join(by, ", ")
}

func (s Slice) order(q *entsql.Selector, columns []string, descending bool) {
	order := entsql.Asc
	if descending != s.backward {
		order = entsql.Desc
	}
	if s.minute != "" {
		q.OrderBy(order(q.C(s.minute)))
	}
	q.OrderBy(order(columns[0]), order(columns[1]))
}

// Of makes the answer from the rows that the query gave.
func Of[T any](s Slice, rows []T, at func(T) Place) List[T] {
	more := len(rows) > s.limit
	if more {
		rows = rows[:s.limit]
	}
	l := List[T]{Nodes: rows, HasNext: more, HasPrevious: s.after != nil}
	if s.backward {
		slices.Reverse(rows)
		l.HasNext, l.HasPrevious = s.before != nil, more
	}
	l.Cursors = make([]string, len(rows))
	for i, row := range rows {
		l.Cursors[i] = at(row).cursor()
	}
	return l
}

// Times are written to the microsecond, which is what is stored.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// cursor is the sort, the value, NUL, the id.
func (p Place) cursor() string {
	var text string
	switch by := p.By.(type) {
	case time.Time:
		text = string(ByTime) + by.UTC().Format(timeFormat)
	case int64:
		text = string(ByNumber) + strconv.FormatInt(by, 10)
	default:
		text = fmt.Sprintf("%c%v", ByName, by)
	}
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf([]byte(text), "\x00%v", p.ID))
}

// parse reads a cursor that the list itself could have made: the database would
// choke on another.
func parse(field string, cursor *string, by Sort) (*Place, error) {
	if cursor == nil {
		return nil, nil
	}
	wrong := fault.New(fault.Invalid, field, "this cursor is not of this list")
	text, err := base64.RawURLEncoding.DecodeString(*cursor)
	if err != nil || len(text) == 0 || Sort(text[0]) != by || !utf8.Valid(text) {
		return nil, wrong
	}
	value, id, _ := strings.Cut(string(text[1:]), "\x00")
	p := &Place{By: value}
	switch by {
	case ByTime:
		p.By, err = time.Parse(timeFormat, value)
	case ByNumber:
		p.By, err = strconv.ParseInt(value, 10, 64)
		p.ID = p.By
	}
	if err == nil && by != ByNumber {
		p.ID, err = uuid.Parse(id)
	}
	if err != nil || p.cursor() != *cursor {
		return nil, wrong
	}
	return p, nil
}
