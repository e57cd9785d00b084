package ingest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"parley/server/desk"
	"parley/server/store"
)

const (
	maxBody   = 16 << 20         // a legal batch of 1,000 texts is well over a mebibyte
	budget    = 192 << 20        // bytes of bodies in flight; their rows take about as much again
	bodyTime  = 30 * time.Second // to send a body in
	atOnce    = 2 * time.Second  // to apply a group before it is answered
	storeTime = 3 * time.Second  // to store it instead: after both the provider has given up waiting
	applyTime = 30 * time.Second // for one batch: a connection that died without a word must not hold a worker
	shards    = 64
	longestID = 250 // of a page; no provider has longer ones, and no index takes any length
)

// Options are what an Inbox needs to know.
type Options struct {
	AppSecret, VerifyToken func() string // as they are now; none lets nobody in
	Now                    func() time.Time
	Log                    *slog.Logger
}

// Inbox takes events in and has them applied.
type Inbox struct {
	Options
	store *store.Store
	desk  *desk.Desk

	bytes   *semaphore.Weighted
	parts   []chan part   // one for each that takes in; a shard always goes to the same
	stored  chan struct{} // there may be something stored to apply
	backlog backlog
	applied atomic.Int64 // events that had their effect as they came
}

// New makes an Inbox; Run must follow.
func New(s *store.Store, d *desk.Desk, o Options) *Inbox {
	in := &Inbox{
		Options: o, store: s, desk: d,
		bytes: semaphore.NewWeighted(budget), parts: make([]chan part, 1), stored: make(chan struct{}, 1),
		backlog: backlog{looked: time.Now(), rate: firstRate},
	}
	if s.Postgres() { // more than two gain nothing: the event log has one end
		in.parts = make([]chan part, 2)
	}
	for i := range in.parts {
		in.parts[i] = make(chan part, 256)
	}
	return in
}

// Run stores and applies until the context ends; what was stored and not
// applied is, after the next start.
func (in *Inbox) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { in.watchBacklog(ctx) })
	for _, parts := range in.parts {
		all.Go(func() { in.takeIn(ctx, parts) })
		all.Go(func() { in.applyStored(ctx) })
	}
	all.Wait()
}

// applyStored has the desk apply stored events, batch after batch.
func (in *Inbox) applyStored(ctx context.Context) {
	const poll = 200 * time.Millisecond
	for ctx.Err() == nil {
		n, err := in.applyBatch(ctx)
		if err != nil && ctx.Err() == nil {
			in.Log.Error("cannot apply webhook events, will try again", "error", err)
		}
		if n > 0 && err == nil {
			in.backlog.apply(n)
			in.wake() // another worker may find more
			continue
		}
		select {
		case <-ctx.Done():
		case <-in.stored:
		case <-time.After(poll):
		}
	}
}

func (in *Inbox) applyBatch(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTime)
	defer cancel()
	return in.desk.Receive(ctx, claim, settle)
}

func (in *Inbox) now() time.Time { return in.Now().UTC().Truncate(time.Microsecond) }

func (in *Inbox) wake() {
	select {
	case in.stored <- struct{}{}:
	default:
	}
}
