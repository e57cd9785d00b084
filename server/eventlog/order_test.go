package eventlog

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"parley/ent/event"
	"parley/server/store"
	"parley/server/store/storetest"
)

// Writers commit or roll back transactions of random length while replicas with
// several readers each follow, from random places on.
func TestEveryReaderSeesEveryCommittedEventOnceAndInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		replicas, writers, each := 1, 8, 25
		if s.Postgres() {
			replicas, writers = 3, 32
		}
		if testing.Short() {
			each = 5
		}
		logs := make([]*Log, replicas)
		for i := range logs {
			logs[i] = replica(t, s, pollEvery)
		}
		readers := make([]reader, 4*replicas)
		var reading, writing sync.WaitGroup
		for i := range readers {
			readers[i].log = logs[i%replicas]
			reading.Go(func() { readers[i].run(patient(t)) })
		}
		for i := range writers {
			writing.Go(func() { write(t, s, logs[i%replicas], each) })
		}
		writing.Wait()
		last := some(1, day)
		last[0].Kind = event.KindRightsChanged
		put(t, s, last...)
		logs[0].Committed()
		reading.Wait()

		ids, err := s.Client().Event.Query().Order(event.ByID()).IDs(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range readers {
			from, _ := slices.BinarySearch(ids, r.from+1)
			if r.err != nil || !slices.Equal(r.seen, ids[from:]) {
				t.Errorf("reader %d from %d: %v: saw %d events in another order or number than the %d that are there", i, r.from, r.err, len(r.seen), len(ids[from:]))
			}
		}
		if holes := ids[len(ids)-1] - int64(len(ids)); s.Postgres() && holes == 0 {
			t.Error("no rollback left a hole")
		}
	})
}

var errRollback = errors.New("rolled back")

// write runs transactions that hold the lock for a while.
func write(t *testing.T, s *store.Store, l *Log, n int) {
	ctx := patient(t)
	pause := func(tx *store.Tx) error {
		if !tx.Postgres() {
			return nil
		}
		_, err := tx.Exec(ctx, "SELECT pg_sleep($1)", rand.Float64()*0.002)
		return err
	}
	for range n {
		err := s.InTx(ctx, func(tx *store.Tx) error {
			if err := pause(tx); err != nil {
				return err
			}
			if err := Append(ctx, tx, some(1+rand.IntN(5), day)); err != nil {
				return err
			}
			if rand.IntN(5) == 0 {
				return errRollback
			}
			return pause(tx)
		})
		if err == nil {
			l.Committed()
		} else if !errors.Is(err, errRollback) {
			t.Error(err)
		}
	}
}

// reader starts somewhere in what is there and reads to the event that says so.
type reader struct {
	log  *Log
	from int64
	seen []int64
	err  error
}

func (r *reader) run(ctx context.Context) {
	if r.err = r.log.Wait(ctx, rand.Int64N(100)); r.err != nil {
		return
	}
	r.from = rand.Int64N(r.log.Head() + 1)
	for at := r.from; ; {
		entries, err := r.log.Read(ctx, at, 1+rand.IntN(50))
		if err != nil {
			r.err = err
			return
		}
		for _, e := range entries {
			r.seen, at = append(r.seen, e.ID), e.ID
			if e.Kind == event.KindRightsChanged {
				return
			}
		}
		if len(entries) == 0 {
			if r.err = r.log.Wait(ctx, at); r.err != nil {
				return
			}
		}
	}
}

func TestASlowReaderFallsOutOfTheWindowAndGoesOnFromTheDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := replica(t, s, pollEvery)
		put(t, s, some(10, day)...)
		await(t, l, 10)
		held, err := l.Read(patient(t), 0, 5)
		if err != nil || len(held) != 5 {
			t.Fatalf("%d entries, %v", len(held), err)
		}
		const all = 10 + 2*window + 2*batch // more than one statement can hold, too
		put(t, s, some(all-10, day)...)
		await(t, l, all)
		if l.floor == 0 || len(l.entries) > 2*window+batch {
			t.Fatalf("the window holds %d entries, from %d", len(l.entries), l.floor)
		}
		if held[4].ID != 5 {
			t.Error("what a reader holds has changed")
		}
		for at := int64(5); at < all; {
			entries, err := l.Read(patient(t), at, 300)
			if err != nil || len(entries) == 0 {
				t.Fatalf("after %d: %d entries, %v", at, len(entries), err)
			}
			for _, e := range entries {
				if at++; e.ID != at {
					t.Fatalf("event %d comes where %d should", e.ID, at)
				}
			}
		}
	})
}
