package eventlog

import (
	"context"
	"testing"

	"parley/server/store"
	"parley/server/store/storetest"
)

func TestACommitWakesTheOtherReplicas(t *testing.T) {
	s := storetest.Postgres(t)
	a, b := replica(t, s, never), replica(t, s, never)
	for range 3 {
		last := put(t, s, some(2, day)...)
		a.Committed()
		await(t, a, last)
		await(t, b, last)
	}
}

func TestAReplicaWhoseListenerDiedReadsWhenItIsBack(t *testing.T) {
	s := storetest.Postgres(t)
	a, b := replica(t, s, never), replica(t, s, never)
	last := put(t, s, some(1, day)...)
	a.Committed()
	await(t, b, last)
	var killed int
	err := s.DB.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&killed)
	if err != nil || killed != 2 {
		t.Fatalf("%d listeners were ended, %v", killed, err)
	}
	last = put(t, s, some(1, day)...)
	a.Committed()
	await(t, b, last)
}

func TestPollingMakesUpForLostNotifications(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := replica(t, s, pollEvery)
		await(t, l, put(t, s, some(1, day)...)) // the writer died before it could call Committed
	})
}

func TestAReplicaThatSleptLongerThanEventsAreKeptGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		asleep := open(t, s)
		put(t, s, some(3, day)...)
		if err := open(t, s).Trim(patient(t), day.AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		last := put(t, s, some(1, day.AddDate(0, 0, 2))...)
		follow(t, asleep, pollEvery)
		await(t, asleep, last)
		if _, err := asleep.Read(patient(t), 0, 10); err != ErrTrimmed {
			t.Errorf("a reader from before gets %v", err)
		}
		if entries, err := asleep.Read(patient(t), 3, 10); err != nil || len(entries) != 1 {
			t.Errorf("a reader from the trimmed on gets %d entries, %v", len(entries), err)
		}
	})
}

func TestALogThatNobodyReadsKeepsItsPlaceAndLoadsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		loaded := 0
		l, err := Open(patient(t), s, func(_ context.Context, entries []Entry) error { loaded += len(entries); return nil }, quiet)
		if err != nil {
			t.Fatal(err)
		}
		last := put(t, s, some(7, day)...)
		if _, err := l.pull(patient(t)); err != nil || l.Head() != last || loaded != 0 {
			t.Errorf("it is at %d of %d, %v, and loaded %d", l.Head(), last, err, loaded)
		}
		for range 2 { // served by the database
			entries, err := l.Read(patient(t), last-7, 100)
			if err != nil || len(entries) != 7 || entries[6].ID != last {
				t.Errorf("%d entries, %v", len(entries), err)
			}
		}
		last = put(t, s, some(3, day)...)
		if _, err := l.pull(patient(t)); err != nil || l.Head() != last || loaded != 7+7+3 {
			t.Errorf("read, it is at %d of %d, %v, and loaded %d", l.Head(), last, err, loaded)
		}
	})
}
