package work_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"parley/server/store"
	"parley/server/work"
)

// replica is a further connection to the bench's database; closing it is what a
// crash looks like to the others.
func (b *bench) replica() *store.Store {
	b.Helper()
	s, err := store.Open(ctx, b.store.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func (b *bench) leased(lease time.Duration) work.Options {
	o := b.options()
	o.Lease, o.Poll, o.Grace = lease, 20*time.Millisecond, time.Millisecond
	return o
}

func TestAPanicIsLaterAndSaysThatItLapsed(t *testing.T) {
	onBench(t, func(b *bench) {
		var log bytes.Buffer
		o := b.options()
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		runs := make(chan work.Job, 1)
		p := work.New(b.store, o, map[string]work.Handler{"say": func(_ context.Context, j work.Job) work.Decision {
			if j.Attempts == 1 {
				panic("oh no")
			}
			runs <- j
			return work.Done()
		}})
		b.put(say("a", "1"))
		stop := run(b.T, p)
		b.await("the panic is recorded", "attempts = 1 AND lease = 'lapsed'")
		b.clock.Advance(2 * time.Second)
		p.Signal()
		if j := <-runs; !j.Lapsed || j.Attempts != 2 {
			b.Errorf("got %+v", j)
		}
		stop()
		if said := log.String(); !strings.Contains(said, "oh no") || !strings.Contains(said, "pool_test.go") {
			b.Errorf("log: %s", said)
		}
	})
}

func TestWhatADeadReplicaHadRunsAgainAsLapsedAndItsAnswerChangesNothing(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"), say("a", "2"))
		other := b.replica()
		b.start(other, b.leased(300*time.Millisecond))
		lost := b.next("1")
		_ = other.Close()

		b.start(b.store, b.leased(time.Minute))
		again := b.next("1")
		if !again.Lapsed || again.Attempts != 2 {
			b.Errorf("got %+v", again.Job)
		}
		<-lost.ctx.Done()
		if cause := context.Cause(lost.ctx); cause != work.ErrLeaseLost {
			b.Errorf("the old handler ends with %v", cause)
		}
		if err := b.store.InTx(ctx, func(tx *store.Tx) error { return lost.Finish(ctx, tx) }); !errors.Is(err, work.ErrLeaseLost) {
			b.Errorf("the old handler finishes with %v", err)
		}
		lost.answer <- work.Done()

		again.answer <- work.Later(b.clock.Now(), "look again")
		third := b.next("1")
		if !third.Lapsed {
			b.Error("an answer Later hid that the first claim lapsed")
		}
		third.answer <- work.Done()
		if second := b.next("2"); second.Lapsed || second.Attempts != 1 {
			b.Errorf("got %+v", second.Job)
		} else {
			second.answer <- work.Done()
		}
	})
}

func TestAHandlerLearnsThatSomebodyElseHasTheLease(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"))
		_, stop := b.start(b.store, b.leased(300*time.Millisecond))
		c := b.next("1")
		b.inTx(func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE works SET lease = 'another', lease_until = $1", int64(1)<<60)
			return err
		})
		<-c.ctx.Done()
		if cause := context.Cause(c.ctx); cause != work.ErrLeaseLost {
			b.Errorf("ended with %v", cause)
		}
		c.answer <- work.Dead("too late")
		stop()
		if b.count("lease = 'another' AND NOT dead") != 1 {
			b.Error("the answer changed the item")
		}
	})
}

func TestALeaseIsRenewedWhileTheHandlerRuns(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"), say("a", "2"))
		o := b.leased(time.Second)
		b.start(b.store, o)
		b.start(b.replica(), o)
		c := b.next("1")
		var until int64
		b.inTx(func(tx *store.Tx) error {
			return tx.QueryRow(ctx, "SELECT lease_until FROM works WHERE lease_until > 0").Scan(&until)
		})
		b.await("the lease is longer than one lease", "lease_until > $1", until+o.Lease.Milliseconds())
		select {
		case <-b.calls:
			b.Error("it runs twice")
		case <-c.ctx.Done():
			b.Error("the lease was lost")
		default:
		}
		c.answer <- work.Done()
		b.settle("2", work.Done())
	})
}

func TestFinishCommitsWithItsEffects(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"), say("a", "2"))
		b.start(b.store, b.options())
		c := b.next("1")
		given := errors.New("given up")
		err := b.store.InTx(ctx, func(tx *store.Tx) error { return errors.Join(c.Finish(ctx, tx), given) })
		if !errors.Is(err, given) || b.count("TRUE") != 2 {
			b.Fatal("finished without a commit", err)
		}
		b.inTx(func(tx *store.Tx) error { return c.Finish(ctx, tx) })
		if b.count("TRUE") != 1 {
			b.Error("not finished")
		}
		c.answer <- work.Done()
		b.settle("2", work.Done())
	})
}

func TestTheNextOfALaneWaitsForTheCommitOfTheFirstAndNobodyElseDoes(t *testing.T) {
	onBench(t, func(b *bench) {
		if !b.store.Postgres() {
			b.Skip("SQLite has one writer")
		}
		b.put(say("a", "1"), say("a", "2"))
		o := b.leased(600 * time.Millisecond)
		p, _ := b.start(b.store, o)
		b.start(b.replica(), o)
		c := b.next("1")
		b.put(say("b", "3"))
		other := b.next("3")
		b.inTx(func(tx *store.Tx) error {
			if err := c.Finish(ctx, tx); err != nil {
				return err
			}
			var until int64
			if err := tx.QueryRow(ctx, "SELECT lease_until FROM works WHERE lane = 'b'").Scan(&until); err != nil {
				return err
			}
			// Other leases are renewed, though one row is locked; and lanes go on.
			b.await("the lease beside it is renewed", "lane = 'b' AND lease_until > $1", until+o.Lease.Milliseconds())
			c.answer <- work.Done()
			b.nothingElse(p)
			return other.ctx.Err()
		})
		other.answer <- work.Done()
		b.settle("2", work.Done())
	})
}

func TestIdsOfALaneAreInTheOrderOfCommits(t *testing.T) {
	onBench(t, func(b *bench) {
		second := make(chan error, 1)
		b.inTx(func(tx *store.Tx) error {
			if err := work.Put(ctx, tx, b.clock.Now(), say("a", "1")); err != nil {
				return err
			}
			go func() {
				second <- b.store.InTx(ctx, func(tx *store.Tx) error { return work.Put(ctx, tx, b.clock.Now(), say("a", "2")) })
			}()
			for b.store.Postgres() { // SQLite waits to begin
				var waiting int
				if err := tx.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&waiting); err != nil || waiting > 0 {
					return err
				}
			}
			return nil
		})
		if err := <-second; err != nil {
			b.Fatal(err)
		}
		b.start(b.store, b.options())
		b.settle("1", work.Done())
		b.settle("2", work.Done())
	})
}

func TestAStopLetsRunningHandlersFinish(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"), say("a", "2"))
		_, stop := b.start(b.store, b.options())
		c := b.next("1")
		over := make(chan struct{})
		go func() { stop(); close(over) }()
		c.answer <- work.Done()
		<-over
		if c.ctx.Err() == nil || b.count("lease = '' AND attempts = 0") != 1 || b.count("TRUE") != 1 {
			b.Error("the answer is not recorded, or the next was claimed")
		}
	})
}

func TestAHandlerThatOutlastsTheGraceIsCancelledAndItsAnswerStillCounts(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"))
		o := b.options()
		o.Grace = time.Millisecond
		_, stop := b.start(b.store, o)
		c := b.next("1")
		go func() {
			<-c.ctx.Done()
			c.answer <- work.Later(b.clock.Now(), "interrupted")
		}()
		stop()
		if b.count("lease = '' AND attempts = 1 AND error = 'interrupted'") != 1 {
			b.Error("the answer is not recorded")
		}
	})
}

func TestAStopGivesBackWhatHasNotStarted(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put(say("a", "1"))
		stopping, stop := context.WithCancel(ctx)
		o := b.options()
		o.Now = func() time.Time { stop(); return b.clock.Now() } // the stop comes while it claims
		work.New(b.store, o, map[string]work.Handler{"say": b.handler}).Run(stopping)
		if b.count("lease = '' AND attempts = 0 AND lease_until = 0") != 1 {
			b.Error("the lease is not given back")
		}
		b.start(b.store, b.options())
		if c := b.next("1"); c.Lapsed || c.Attempts != 1 {
			b.Errorf("got %+v", c.Job)
		} else {
			c.answer <- work.Done()
		}
	})
}

func TestATimerIsOnTimeWithoutASignal(t *testing.T) {
	onBench(t, func(b *bench) {
		o := b.options() // polls once an hour
		o.Now = time.Now
		soon := time.Now().Add(300 * time.Millisecond)
		b.put(work.Item{Kind: "say", RunAt: soon, Payload: []byte("1")})
		b.start(b.store, o)
		c := b.next("1")
		if late := time.Since(soon); late < 0 || late > 5*time.Second {
			b.Errorf("%s late", late)
		}
		c.answer <- work.Done()
	})
}
