package eventlog

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/event"
	"parley/ent/schema"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	day   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	quiet = slog.New(slog.DiscardHandler)
)

const never = time.Hour // of polling

// patient is a context that ends before the test does.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, s *store.Store) *Log {
	t.Helper()
	l, err := Open(patient(t), s, func(context.Context, []Entry) error { return nil }, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// follow runs a log until the test ends.
func follow(t testing.TB, l *Log, poll time.Duration) *Log {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	l.poll = poll
	go func() { defer close(over); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	return l
}

// replica is a store of its own on the same database, and its log.
func replica(t testing.TB, s *store.Store, poll time.Duration) *Log {
	t.Helper()
	if s.Postgres() {
		other, err := store.Open(patient(t), s.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Close() })
		s = other
	}
	return follow(t, open(t, s), poll)
}

func some(n int, at time.Time) []*ent.Event {
	events := make([]*ent.Event, n)
	id := uuid.New()
	for i := range events {
		events[i] = &ent.Event{At: at, Kind: event.KindChatUpdated, ChatID: &id, ChannelID: &id, OperatorID: &id, MessageID: &id, AudienceBefore: &schema.Audience{}}
	}
	return events
}

// put appends events in one transaction and gives the id of the last one.
func put(t testing.TB, s *store.Store, events ...*ent.Event) (last int64) {
	t.Helper()
	err := s.InTx(patient(t), func(tx *store.Tx) error {
		if err := Append(patient(t), tx, events); err != nil {
			return err
		}
		return tx.QueryRow(patient(t), "SELECT MAX(id) FROM events").Scan(&last)
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func await(t testing.TB, l *Log, id int64) {
	t.Helper()
	if err := l.Wait(patient(t), id-1); err != nil {
		t.Fatalf("event %d does not come: %v", id, err)
	}
}
