package ingest

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"parley/ent/webhookevent"
	"parley/server/desk"
	"parley/server/messenger"
	"parley/server/store"
)

const (
	maxBody   = 16 << 20         // a legal batch of 1,000 texts is well over a mebibyte
	budget    = 192 << 20        // bytes of bodies in flight; their rows take about as much again
	bodyTime  = 30 * time.Second // to send a body in
	storeTime = 5 * time.Second  // for one statement: after that the provider has given up waiting
	applyTime = 30 * time.Second // for one batch: a connection that died without a word must not hold a worker
	shards    = 64
	groupRows = 2000 // rows stored by one statement
	longestID = 250  // of a page; no provider has longer ones, and no index takes any length
)

// Options are what an Inbox needs to know.
type Options struct {
	AppSecret, VerifyToken string
	Now                    func() time.Time
	Log                    *slog.Logger
}

// Inbox takes events in and has them applied.
type Inbox struct {
	Options
	store *store.Store
	desk  *desk.Desk

	bytes   *semaphore.Weighted
	posts   chan post
	stored  chan struct{} // there may be something to apply
	backlog backlog
	workers int
}

// New makes an Inbox; Run must follow.
func New(s *store.Store, d *desk.Desk, o Options) *Inbox {
	in := &Inbox{
		Options: o, store: s, desk: d,
		bytes: semaphore.NewWeighted(budget), posts: make(chan post, 256), stored: make(chan struct{}, 1),
		workers: 1, backlog: backlog{looked: time.Now(), rate: firstRate},
	}
	if s.Postgres() {
		in.workers = 3
	}
	return in
}

// Run stores and applies until the context ends; what was stored and not
// applied is, after the next start.
func (in *Inbox) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { in.watchBacklog(ctx) })
	for range in.workers {
		all.Go(func() { in.storePosts(ctx) })
		all.Go(func() { in.applyStored(ctx) })
	}
	all.Wait()
}

// row is one event to store.
type row struct {
	shard int16
	page  string
	body  []byte
}

// post is what one webhook call brought, and whom to tell when it is stored.
type post struct {
	at   time.Time
	rows []row
	done chan error // has room for one
}

func rowsOf(body []byte) []row {
	items := messenger.Split(body)
	rows := make([]row, len(items))
	for i, item := range items {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(item.Page + "\x00" + item.Person))
		if len(item.Page) > longestID { // it is in the body, where it hurts nobody
			item.Page = ""
		}
		rows[i] = row{int16(hash.Sum32() % shards), item.Page, item.Body}
	}
	return rows
}

// put stores a post together with others that come at the same time.
func (in *Inbox) put(ctx context.Context, rows []row) error {
	p := post{in.Now().UTC().Truncate(time.Microsecond), rows, make(chan error, 1)}
	select {
	case in.posts <- p:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// storePosts takes what has come while the statement before was under way, and
// stores it with one.
func (in *Inbox) storePosts(ctx context.Context) {
	for {
		var group []post
		select {
		case first := <-in.posts:
			group = append(group, first)
		case <-ctx.Done():
			return
		}
		for n := len(group[0].rows); n < groupRows; {
			select {
			case next := <-in.posts:
				group, n = append(group, next), n+len(next.rows)
				continue
			default:
			}
			break
		}
		err := in.insert(ctx, group)
		if err == nil {
			in.wake()
		}
		for _, p := range group {
			p.done <- err
		}
	}
}

func (in *Inbox) wake() {
	select {
	case in.stored <- struct{}{}:
	default:
	}
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

// kept is how long events stay that are done with; parked ones stay for ever.
var kept = []struct {
	state webhookevent.State
	age   time.Duration
}{
	{webhookevent.StateApplied, 24 * time.Hour},
	{webhookevent.StateIgnored, 30 * 24 * time.Hour},
	{webhookevent.StateUnrouted, 7 * 24 * time.Hour},
}

// Housekeeping keeps the table small, and sends unrouted events on their way
// whose page was connected while they were being looked at.
func (in *Inbox) Housekeeping(ctx context.Context) error {
	now := in.Now().UTC()
	for _, k := range kept {
		if err := in.purge(ctx, k.state, now.Add(-k.age)); err != nil {
			return fmt.Errorf("purge webhook events: %w", err)
		}
	}
	err := in.store.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM webhook_events WHERE state = 'UNROUTED' AND id <= (
			SELECT id FROM webhook_events WHERE state = 'UNROUTED' ORDER BY id DESC LIMIT 1 OFFSET $1)`, maxUnrouted)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE webhook_events SET state = 'PENDING' WHERE state = 'UNROUTED'
			AND page IN (SELECT external_id FROM channels)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("route webhook events: %w", err)
	}
	in.wake()
	return nil
}

// purge deletes events of a state that came before a time, in portions so that
// nothing waits long for it. Ids rise with the time, so that it reads no more
// than it deletes.
func (in *Inbox) purge(ctx context.Context, state webhookevent.State, before time.Time) error {
	for n := int64(purgeRows); n == purgeRows; {
		err := in.store.InTx(ctx, func(tx *store.Tx) error {
			result, err := tx.Exec(ctx, `DELETE FROM webhook_events WHERE id IN (
				SELECT id FROM webhook_events WHERE state = $1 AND id < COALESCE((
					SELECT id FROM webhook_events WHERE state = $1 AND received_at >= $2 ORDER BY id LIMIT 1), $3)
				ORDER BY id LIMIT $4)`, string(state), before, int64(math.MaxInt64), purgeRows)
			if err != nil {
				return err
			}
			n, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	maxUnrouted = 10_000 // bounds what a page that nobody connects can fill
	purgeRows   = 5000
)
