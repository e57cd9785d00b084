package ingest

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"parley/server/desk"
	"parley/server/messenger"
	"parley/server/store"
)

const (
	maxBody   = 16 << 20         // a legal batch of 1,000 texts is well over a mebibyte
	budget    = 192 << 20        // bytes of bodies in flight
	maxLag    = time.Second / 2  // of the oldest unapplied event, before new ones are refused
	bodyTime  = 30 * time.Second // to send a body in
	shards    = 64
	groupRows = 2000 // rows stored by one statement
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

	bytes  *semaphore.Weighted
	posts  chan post
	stored chan struct{}  // there may be something to apply
	oldest []atomic.Int64 // per worker: arrival, in Unix milliseconds, of the oldest event it saw unapplied; 0 is none
}

// New makes an Inbox; Run must follow.
func New(s *store.Store, d *desk.Desk, o Options) *Inbox {
	in := &Inbox{
		Options: o, store: s, desk: d,
		bytes: semaphore.NewWeighted(budget), posts: make(chan post, 256), stored: make(chan struct{}, 1),
	}
	workers := 1
	if s.Postgres() {
		workers = 3
	}
	in.oldest = make([]atomic.Int64, workers)
	return in
}

// Run stores and applies until the context ends; what was stored and not
// applied is, after the next start.
func (in *Inbox) Run(ctx context.Context) {
	var all sync.WaitGroup
	for range len(in.oldest) {
		all.Go(func() { in.storePosts(ctx) })
	}
	for i := range in.oldest {
		all.Go(func() { in.applyStored(ctx, i) })
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

// lagging says that the oldest unapplied event is older than new ones may make
// it.
func (in *Inbox) lagging() bool {
	now := in.Now().UnixMilli()
	for i := range in.oldest {
		if since := in.oldest[i].Load(); since != 0 && now-since > maxLag.Milliseconds() {
			return true
		}
	}
	return false
}

// applyStored has the desk apply stored events, batch after batch.
func (in *Inbox) applyStored(ctx context.Context, worker int) {
	const poll = 200 * time.Millisecond
	for ctx.Err() == nil {
		n, err := in.desk.Receive(ctx, func(ctx context.Context, tx *store.Tx) ([]desk.Inbound, error) {
			return in.claim(ctx, tx, worker)
		}, settle)
		if err != nil && ctx.Err() == nil {
			in.Log.Error("cannot apply webhook events, will try again", "error", err)
		}
		if n == 0 && err == nil {
			in.oldest[worker].Store(0)
		}
		if n > 0 && err == nil {
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

// Housekeeping keeps the table small: applied events go after a day, ignored
// and unrouted ones after a while, parked ones never. Unrouted events whose page
// was connected meanwhile go on their way.
func (in *Inbox) Housekeeping(ctx context.Context) error {
	now := in.Now()
	err := in.store.InTx(ctx, func(tx *store.Tx) error {
		for state, age := range map[string]time.Duration{"APPLIED": 24 * time.Hour, "IGNORED": 30 * 24 * time.Hour, "UNROUTED": 7 * 24 * time.Hour} {
			_, err := tx.Exec(ctx, "DELETE FROM webhook_events WHERE state = $1 AND received_at < $2", state, now.Add(-age).UTC())
			if err != nil {
				return err
			}
		}
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
		return fmt.Errorf("webhook events: %w", err)
	}
	in.wake()
	return nil
}

// maxUnrouted bounds what a page that nobody connects can fill.
const maxUnrouted = 10_000
