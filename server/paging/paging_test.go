package paging

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"parley/ent"
	"parley/ent/contact"
	"parley/ent/queue"
	"parley/ent/webhookevent"
	"parley/server/fault"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	ctx  = context.Background()
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// list is one way in which a list can be sorted, over rows that are there.
type list struct {
	sort       Sort
	descending bool
	all        []string // what names each row, in order
	page       func(Slice) (List[string], error)
}

// lists fills a database: times with many ties and names in several scripts.
func lists(t *testing.T, s *store.Store) []list {
	t.Helper()
	err := s.InTx(ctx, func(tx *store.Tx) error {
		for i := range 60 {
			at := noon.Add(time.Duration(i%7) * 100 * time.Millisecond) // with and without a fraction
			if err := tx.Contact.Create().SetName(fmt.Sprint(i)).SetCreatedAt(at).Exec(ctx); err != nil {
				return err
			}
			name := fmt.Sprint([]string{"a", "Ä", "я", "日", " ", "%_'"}[i%6], i)
			if err := tx.Queue.Create().SetName(name).SetCreatedAt(noon).Exec(ctx); err != nil {
				return err
			}
			err := tx.WebhookEvent.Create().SetReceivedAt(noon).SetShard(0).SetPage("p").SetBody([]byte("{}")).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	client := s.Client()
	return []list{
		sorted(ByTime, true, func(s Slice) ([]*ent.Contact, error) {
			return client.Contact.Query().Where(s.Where(contact.FieldCreatedAt, true)).All(ctx)
		}, func(c *ent.Contact) Place { return Place{c.CreatedAt, c.ID} }),
		sorted(ByTime, false, func(s Slice) ([]*ent.Contact, error) {
			return client.Contact.Query().Where(s.Where(contact.FieldCreatedAt, false)).All(ctx)
		}, func(c *ent.Contact) Place { return Place{c.CreatedAt, c.ID} }),
		sorted(ByName, false, func(s Slice) ([]*ent.Queue, error) {
			return client.Queue.Query().Where(s.Where(queue.FieldName, false)).All(ctx)
		}, func(q *ent.Queue) Place { return Place{q.Name, q.ID} }),
		sorted(ByNumber, true, func(s Slice) ([]*ent.WebhookEvent, error) {
			return client.WebhookEvent.Query().Where(s.Where(webhookevent.FieldID, true)).All(ctx)
		}, func(e *ent.WebhookEvent) Place { return Place{e.ID, e.ID} }),
	}
}

func sorted[T any](by Sort, descending bool, rows func(Slice) ([]T, error), at func(T) Place) list {
	name := func(row T) string { return fmt.Sprint(at(row)) }
	page := func(s Slice) (List[string], error) {
		got, err := rows(s)
		l := Of(s, got, at)
		names := List[string]{Cursors: l.Cursors, HasNext: l.HasNext, HasPrevious: l.HasPrevious}
		for _, row := range l.Nodes {
			names.Nodes = append(names.Nodes, name(row))
		}
		return names, err
	}
	all, err := page(Slice{limit: 1000})
	if err != nil {
		panic(err)
	}
	return list{by, descending, all.Nodes, page}
}

func TestWalkingAListGivesEveryElementOnceInEitherDirection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := lists(t, s)
		rapid.Check(t, func(t *rapid.T) {
			l := rapid.SampledFrom(all).Draw(t, "list")
			backward := rapid.Bool().Draw(t, "backward")
			var seen []string
			for args, more := (Args{}), true; more; {
				size := rapid.IntRange(1, maxSize).Draw(t, "size")
				if args.First = &size; backward {
					args.First, args.Last = nil, &size
				}
				slice, err := args.Check(l.sort)
				if err != nil {
					t.Fatal(err)
				}
				page, err := l.page(slice)
				if err != nil || len(page.Nodes) == 0 || len(page.Nodes) > size {
					t.Fatalf("a page of %d: %d elements, %v", size, len(page.Nodes), err)
				}
				if backward {
					seen, more, args.Before = append(page.Nodes, seen...), page.HasPrevious, &page.Cursors[0]
				} else {
					seen, more, args.After = append(seen, page.Nodes...), page.HasNext, &page.Cursors[len(page.Cursors)-1]
				}
			}
			if !slices.Equal(seen, l.all) {
				t.Fatalf("seen %v\nthere %v", seen, l.all)
			}
		})
	})
}

func TestAPageBetweenTwoCursorsHoldsWhatIsBetweenThem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := lists(t, s)
		rapid.Check(t, func(t *rapid.T) {
			l := rapid.SampledFrom(all).Draw(t, "list")
			whole, err := l.page(Slice{limit: maxSize})
			if err != nil {
				t.Fatal(err)
			}
			from := rapid.IntRange(0, len(l.all)-1).Draw(t, "from")
			to := rapid.IntRange(0, len(l.all)-1).Draw(t, "to")
			size := maxSize
			slice, err := Args{First: &size, After: &whole.Cursors[from], Before: &whole.Cursors[to]}.Check(l.sort)
			if err != nil {
				t.Fatal(err)
			}
			page, err := l.page(slice)
			if want := l.all[min(from+1, max(from, to)):max(from, to)]; err != nil || !slices.Equal(page.Nodes, want) {
				t.Fatalf("between %d and %d: %v, %v\nwant %v", from, to, page.Nodes, err, want)
			}
		})
	})
}

func TestWhatCannotBeAnsweredIsRefusedWithItsField(t *testing.T) {
	n := func(n int) *int { return &n }
	good := Place{noon, uuid.Nil}.cursor()
	raw := func(s string) *string { c := base64.RawURLEncoding.EncodeToString([]byte(s)); return &c }
	for field, list := range map[string][]Args{
		"first":  {{First: n(0)}, {First: n(maxSize + 1)}, {First: n(1), Last: n(1)}},
		"last":   {{Last: n(-1)}, {Last: n(maxSize + 1)}},
		"after":  {{After: raw("")}, {After: raw("x")}, {After: raw("tnow\x00" + uuid.Nil.String())}, {After: raw("sname\x00" + uuid.Nil.String())}},
		"before": {{Before: raw("n7\x007")}, {Before: raw("t2026-03-01T12:00:00.000000Z\x0012")}, {Before: raw("\xff")}},
	} {
		for i, args := range list {
			_, err := args.Check(ByTime)
			if f, ok := err.(*fault.Error); !ok || f.Code != fault.Invalid || f.Field != field {
				t.Errorf("%s %d: %v", field, i, err)
			}
		}
	}
	if _, err := (Args{After: &good, Before: &good}).Check(ByTime); err != nil {
		t.Error(err)
	}
}

func FuzzParseCursor(f *testing.F) {
	id := uuid.MustParse("0199f000-0000-7000-8000-000000000001")
	for _, p := range []Place{{noon, id}, {"Ä'", id}, {"", id}, {int64(7), int64(7)}} {
		f.Add(p.cursor())
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		read := 0
		for _, by := range []Sort{ByTime, ByName, ByNumber} {
			p, err := parse("after", &cursor, by)
			if err != nil {
				continue
			}
			if read++; p.cursor() != cursor {
				t.Errorf("%q is also %q", cursor, p.cursor())
			}
		}
		if read > 1 {
			t.Errorf("%q is of several lists", cursor)
		}
	})
}
