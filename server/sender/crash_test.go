package sender_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"parley/ent/message"
	"parley/server/messenger/messengertest"
	"parley/server/store"
	"parley/server/store/storetest"
	"parley/server/work"
)

// What tells this test binary to be a process that sends, until it is killed.
const (
	beVictim = "PARLEY_TEST_SENDER_DATABASE"
	victimOf = "PARLEY_TEST_SENDER_GRAPH"
	lease    = 2 * time.Second
)

func victim() {
	s, err := store.Open(ctx, os.Getenv(beVictim))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	clock := messengertest.NewClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	_, _, _, pool, err := assemble(s, os.Getenv(victimOf), clock.Now, slog.Default(), options{pool: work.Options{Lease: lease}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pool.Run(context.Background())
}

func TestASenderThatIsKilledBetweenSendingAndRecordingSendsNothingTwice(t *testing.T) {
	t.Parallel()
	for _, database := range []struct {
		name string
		open func(testing.TB) *store.Store
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		t.Run(database.name, func(t *testing.T) {
			w := newWorld(t, database.open(t))
			first := w.replica(w.store, options{})
			first.meetAnn()
			first.stop()
			idle := w.replica(w.store, options{idle: true})
			one, two := idle.says("one"), idle.says("two")
			idle.stop()
			w.graph.Behave(messengertest.Behaviour{Hold: true})
			w.graph.Fail(messengertest.Fault{Path: messages, Mode: messengertest.Silence, Accepted: true})

			process := exec.Command(os.Args[0])
			process.Env = append(os.Environ(), beVictim+"="+w.store.URL, victimOf+"="+w.url)
			process.Stdout, process.Stderr = os.Stdout, os.Stderr
			w.must(process.Start())
			w.await("Facebook has it", func() bool { return len(w.sent()) == 1 })
			w.must(process.Process.Kill())
			_ = process.Wait() // it was killed
			if s := w.state(one); s != message.StatePending {
				t.Fatalf("it is %s", s)
			}

			r := w.replica(w.store, options{pool: work.Options{Lease: lease}})
			r.await("it is unconfirmed", r.is(one, message.StateUnconfirmed))
			if s := r.state(two); s != message.StatePending {
				r.Errorf("the next one is %s", s)
			}
			r.graph.Behave(messengertest.Behaviour{})
			r.await("the echo settles it", r.is(one, message.StateSent))
			r.await("the lane goes on", r.is(two, message.StateSent))
			r.once("one", "two")
		})
	}
}

func TestAStopInTheMiddleOfASendSendsNothingTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		short := options{pool: work.Options{Lease: lease, Grace: time.Millisecond}}
		first := w.replica(s, short)
		first.meetAnn()
		w.graph.Behave(messengertest.Behaviour{Hold: true})
		w.graph.Fail(messengertest.Fault{Path: messages, Mode: messengertest.Silence, Accepted: true})
		one, two := first.says("one"), first.says("two")
		w.await("Facebook has it", func() bool { return len(w.sent()) == 1 })
		first.stop()
		r := w.replica(s, short)
		r.awaitLater("it is unconfirmed", 10*time.Millisecond, r.is(one, message.StateUnconfirmed))
		r.graph.Behave(messengertest.Behaviour{})
		r.await("both are sent", func() bool { return r.is(one, message.StateSent)() && r.is(two, message.StateSent)() })
		r.once("one", "two")
	})
}

func TestTwoReplicasSendEachMessageOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t))
	one := w.replica(w.store, options{})
	one.meetAnn()
	s, err := store.Open(ctx, w.store.URL)
	w.must(err)
	w.Cleanup(func() { _ = s.Close() })
	two := w.replica(s, options{})
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
		from := one
		if i%2 == 1 {
			from = two
		}
		from.says(want[i])
	}
	w.await("all are sent", func() bool { return len(w.sent()) >= len(want) })
	w.settled()
	w.once(want...)
}
