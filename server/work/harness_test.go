package work_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"parley/server/store"
	"parley/server/store/storetest"
	"parley/server/work"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bench is a database with a clock, and one pool whose handler hands its jobs
// to the test and waits for the test's decision.
type bench struct {
	*testing.T
	store *store.Store
	clock *clock
	calls chan call
}

type call struct {
	work.Job
	ctx    context.Context
	answer chan<- work.Decision
}

func onBench(t *testing.T, test func(b *bench)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		test(&bench{T: t, store: s, clock: newClock(), calls: make(chan call)})
	})
}

func (b *bench) handler(ctx context.Context, job work.Job) work.Decision {
	answer := make(chan work.Decision, 1)
	select {
	case b.calls <- call{job, ctx, answer}:
		return <-answer
	case <-ctx.Done(): // the test has failed and does not listen any more
		return work.Later(b.clock.Now(), "not heard")
	}
}

var quiet = slog.New(slog.DiscardHandler)

func (b *bench) options() work.Options {
	return work.Options{Now: b.clock.Now, Log: quiet, Poll: time.Hour, Grace: 2 * time.Second, Workers: 4}
}

// start runs a pool for kind "say" until the test or the returned function
// ends it.
func (b *bench) start(s *store.Store, o work.Options) (*work.Pool, func()) {
	p := work.New(s, o, map[string]work.Handler{"say": b.handler})
	return p, run(b.T, p)
}

func run(t testing.TB, p *work.Pool) func() {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { defer close(over); p.Run(ctx) }()
	stop := func() { cancel(); <-over }
	t.Cleanup(stop)
	return stop
}

func (b *bench) put(items ...work.Item) {
	b.Helper()
	b.inTx(func(tx *store.Tx) error { return work.Put(ctx, tx, b.clock.Now(), items...) })
}

func (b *bench) inTx(f func(*store.Tx) error) {
	b.Helper()
	if err := b.store.InTx(ctx, f); err != nil {
		b.Fatal(err)
	}
}

func say(lane, payload string) work.Item {
	return work.Item{Kind: "say", Lane: lane, Payload: []byte(payload)}
}

const patience = 15 * time.Second

// next is the next call; it has to be of this payload.
func (b *bench) next(payload string) call {
	b.Helper()
	select {
	case c := <-b.calls:
		if string(c.Payload) != payload {
			b.Fatalf("%q runs, want %q", c.Payload, payload)
		}
		return c
	case <-time.After(patience):
		b.Fatalf("%q does not run", payload)
		panic("unreachable")
	}
}

func (b *bench) settle(payload string, d work.Decision) {
	b.Helper()
	b.next(payload).answer <- d
}

// nothingElse shows that the pool has looked and found nothing: what is due runs
// in the round of the first probe at the latest, so before the second.
func (b *bench) nothingElse(p *work.Pool) {
	b.Helper()
	for range 2 {
		b.put(say("", "probe"))
		p.Signal()
		b.settle("probe", work.Done())
	}
}

func (b *bench) count(where string, args ...any) (n int) {
	b.Helper()
	b.inTx(func(tx *store.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM works WHERE "+where, args...).Scan(&n)
	})
	return n
}

// await asks the database until it agrees.
func (b *bench) await(what, where string, args ...any) {
	b.Helper()
	for end := time.Now().Add(patience); b.count(where, args...) == 0; {
		if time.Now().After(end) {
			b.Fatalf("never: %s", what)
		}
	}
}

// awaitEmpty waits until nothing is left to run.
func (b *bench) awaitEmpty() {
	b.Helper()
	for end := time.Now().Add(3 * patience); b.count("NOT dead") > 0; {
		if time.Now().After(end) {
			b.Fatalf("%d items are left", b.count("NOT dead"))
		}
	}
}
