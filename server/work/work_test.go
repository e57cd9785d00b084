package work_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"parley/server/fault"
	"parley/server/store"
	"parley/server/work"
)

func TestAnItemRunsExactlyIfItsTransactionCommitted(t *testing.T) {
	onBench(t, func(b *bench) {
		given := errors.New("given up")
		err := b.store.InTx(ctx, func(tx *store.Tx) error {
			return errors.Join(work.Put(ctx, tx, b.clock.Now(), say("a", "never")), given)
		})
		if !errors.Is(err, given) {
			b.Fatal(err)
		}
		b.put(work.Item{Kind: "say", Lane: "a", Scope: "s", Payload: []byte{0, 0xff}})
		p, _ := b.start(b.store, b.options())
		c := b.next("\x00\xff")
		if c.Attempts != 1 || c.Lapsed || c.Lane != "a" || c.Scope != "s" || c.Kind != "say" {
			b.Errorf("got %+v", c.Job)
		}
		c.answer <- work.Done()
		b.nothingElse(p)
	})
}

func TestALaneRunsInOrderAndASlowOneDelaysNoOther(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("slow", "1"), say("slow", "2"))
		p, _ := b.start(b.store, b.options())
		first := b.next("1")
		b.put(say("other", "3"), say("other", "4"))
		p.Signal()
		b.settle("3", work.Done())
		b.settle("4", work.Done())
		b.nothingElse(p)
		first.answer <- work.Done()
		b.settle("2", work.Done())
	})
}

func TestLaterHoldsTheLaneUntilItsTime(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"), say("a", "2"))
		p, _ := b.start(b.store, b.options())
		b.settle("1", work.Later(b.clock.Now().Add(time.Minute), "not \x00 now \xff"))
		b.nothingElse(p)
		if n := b.count("error = 'not  now '"); n != 1 {
			b.Error("the reason is not kept")
		}
		b.clock.Advance(time.Minute)
		p.Signal()
		again := b.next("1")
		if again.Attempts != 2 || again.Lapsed {
			b.Errorf("got %+v", again.Job)
		}
		again.answer <- work.Done()
		b.settle("2", work.Done())
	})
}

func TestADeadItemLetsTheLaneGoOnAndRunsAgainAtItsEndWhenReplayed(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(work.Item{Kind: "say", Lane: "a", Scope: "s", Payload: []byte("1")}, say("a", "2"), say("a", "3"))
		p, _ := b.start(b.store, b.options())
		b.settle("1", work.Dead("no such page"))
		running := b.next("2")
		list, err := work.DeadItems(ctx, b.store, 0, 10)
		if err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
		if d := list[0]; d.Why != "no such page" || d.Attempts != 1 || d.Item.Scope != "s" || string(d.Item.Payload) != "1" || !d.CreatedAt.Equal(b.clock.Now()) {
			b.Errorf("got %+v", d)
		}
		b.inTx(func(tx *store.Tx) error { return work.Replay(ctx, tx, list[0].ID, b.clock.Now()) })
		b.nothingElse(p)
		running.answer <- work.Done()
		b.settle("3", work.Done())
		replayed := b.next("1")
		if replayed.Attempts != 1 || replayed.Lapsed || replayed.Scope != "s" {
			b.Errorf("got %+v", replayed.Job)
		}
		replayed.answer <- work.Done()
		err = b.store.InTx(ctx, func(tx *store.Tx) error { return work.Replay(ctx, tx, list[0].ID, b.clock.Now()) })
		if fault.CodeOf(err) != fault.NotFound {
			b.Errorf("replayed twice: %v", err)
		}
	})
}

func TestReleaseRunsAScopeNowWithItsLanesStillInOrder(t *testing.T) {
	onBench(t, func(b *bench) {
		hour := b.clock.Now().Add(time.Hour)
		held := func(scope, lane, payload string) work.Item {
			return work.Item{Kind: "say", Lane: lane, Scope: scope, Payload: []byte(payload), RunAt: hour}
		}
		b.put(held("s", "a", "1"), held("s", "a", "2"), held("other", "b", "3"))
		p, _ := b.start(b.store, b.options())
		b.nothingElse(p)
		b.inTx(func(tx *store.Tx) error { return work.Release(ctx, tx, "s", b.clock.Now()) })
		p.Signal()
		first := b.next("1")
		b.nothingElse(p)
		first.answer <- work.Done()
		b.settle("2", work.Done())
		b.nothingElse(p)
	})
}

func TestWakeRunsOnlyTheFirstOfALaneNow(t *testing.T) {
	onBench(t, func(b *bench) {
		hour := b.clock.Now().Add(time.Hour)
		b.put(work.Item{Kind: "say", Lane: "a", Payload: []byte("1"), RunAt: hour}, work.Item{Kind: "say", Lane: "a", Payload: []byte("2"), RunAt: hour})
		p, _ := b.start(b.store, b.options())
		b.inTx(func(tx *store.Tx) error { return work.Wake(ctx, tx, "a", b.clock.Now()) })
		p.Signal()
		b.settle("1", work.Done())
		b.nothingElse(p)
	})
}

func TestAWakeThatCrossesAnAnswerLaterIsNotLost(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"))
		p, _ := b.start(b.store, b.options())
		c := b.next("1")
		b.inTx(func(tx *store.Tx) error { return work.Wake(ctx, tx, "a", b.clock.Now()) })
		c.answer <- work.Later(b.clock.Now().Add(time.Hour), "unconfirmed")
		b.settle("1", work.Later(b.clock.Now().Add(time.Hour), "still so"))
		b.nothingElse(p) // the wake is used up
	})
}

func TestKindsThatAPoolDoesNotKnowAreLeftToOthersAndHoldTheirLane(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(work.Item{Kind: "sing", Lane: "a"}, say("a", "1"))
		p, _ := b.start(b.store, b.options())
		b.nothingElse(p)
		sung := make(chan work.Job, 1)
		run(b.T, work.New(b.store, b.options(), map[string]work.Handler{"sing": func(_ context.Context, j work.Job) work.Decision {
			sung <- j
			return work.Done()
		}}))
		if j := <-sung; len(j.Payload) != 0 {
			b.Errorf("payload %q", j.Payload)
		}
		b.await("the song is over", "NOT EXISTS (SELECT 1 FROM works WHERE kind = 'sing')")
		p.Signal()
		b.settle("1", work.Done())
	})
}

func TestAnItemNeedsAKind(t *testing.T) {
	onBench(t, func(b *bench) {
		for _, kind := range []string{"", "a,b"} {
			if err := b.store.InTx(ctx, func(tx *store.Tx) error { return work.Put(ctx, tx, b.clock.Now(), work.Item{Kind: kind}) }); err == nil {
				b.Errorf("kind %q was taken", kind)
			}
		}
	})
}

func TestManyItemsArePutInOrderAtOnce(t *testing.T) {
	onBench(t, func(b *bench) {
		items := make([]work.Item, 2500)
		for i := range items {
			items[i] = say("a", string(rune('a'+i%26)))
		}
		b.put(items...)
		b.put()
		if n := b.count("TRUE"); n != 2500 {
			b.Fatalf("%d items", n)
		}
		rows, err := b.store.Query(ctx, "SELECT payload FROM works ORDER BY id")
		if err != nil {
			b.Fatal(err)
		}
		defer rows.Close()
		for i := 0; rows.Next(); i++ {
			var payload string
			if err := rows.Scan(&payload); err != nil || payload != string(items[i].Payload) {
				b.Fatal(i, payload, err)
			}
		}
	})
}

func TestBackoffDoublesFromASecondToTenMinutes(t *testing.T) {
	least, most := func() float64 { return 0 }, func() float64 { return 1 }
	for attempts, want := range map[int]time.Duration{-1: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 300 * time.Second, 5000: 300 * time.Second} {
		if got := work.Backoff(attempts, least); got != want {
			t.Errorf("after %d attempts at least %s, want %s", attempts, got, want)
		}
		if got := work.Backoff(attempts, most); got != min(2*want, 10*time.Minute) {
			t.Errorf("after %d attempts at most %s", attempts, got)
		}
	}
}
