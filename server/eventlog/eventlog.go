// Package eventlog owns the ordered event log that feeds subscriptions: it
// appends inside the caller's transaction and follows the log for the replica.
//
// One goroutine per replica reads the log's end into a shared window in memory;
// a subscriber is only a position, read from the window while it is inside and
// from the database when it fell behind, so a slow reader costs nothing but its
// own time. All methods are safe for concurrent use.
//
// Invariant: whoever reads from a position gets every later event exactly once
// and in order. For that ids must become visible in their order, so appending
// takes a lock that is held until the commit, as the last thing a transaction
// does. (Reading below the snapshot's xmin instead was tried: one open
// transaction anywhere in the cluster hides everything after it.)
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/server/store"
)

// Errors of a position that cannot be read on from.
var (
	ErrTrimmed = errors.New("events after this position are gone")
	ErrUnknown = errors.New("the position is of another history")
)

// Entry is an event with what it is about, loaded once for all subscribers of
// a replica. Both are read-only.
type Entry struct {
	*ent.Event
	Subject any
	stretch int64 // the id of the last entry that was read with it into the window
}

// Loader fills in what entries are about.
type Loader func(ctx context.Context, entries []Entry) error

const (
	window    = 4096 // entries in memory, at least, once that many were written
	batch     = 512  // entries read at once
	pollEvery = 500 * time.Millisecond
	unread    = 5 * time.Second // after which nobody reads the log
)

// Log follows one database's event log.
type Log struct {
	store *store.Store
	load  Loader
	log   *slog.Logger
	epoch string
	self  string // names this replica to the others
	poll  time.Duration

	wake   chan struct{} // there may be something to read
	notify chan struct{} // other replicas should be told

	mu      sync.Mutex
	entries []Entry       // the newest, in order; only ever appended to or replaced
	floor   int64         // every event after it is in entries
	head    int64         // the newest read
	grown   chan struct{} // closed when head moves
	waiting int           // readers who wait for that
	readAt  time.Time     // when somebody last looked into the window
}

// Open reads where the log ends. Run must follow.
func Open(ctx context.Context, s *store.Store, load Loader, log *slog.Logger) (*Log, error) {
	epoch, err := s.Client().EventEpoch.Query().Only(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the event log's epoch: %w", err)
	}
	l := &Log{
		store: s, load: load, log: log, epoch: epoch.Epoch, self: uuid.NewString(), poll: pollEvery,
		wake: make(chan struct{}, 1), notify: make(chan struct{}, 1), grown: make(chan struct{}),
	}
	return l, l.leap(ctx)
}

// leap moves to the log's end without reading what is before it.
func (l *Log) leap(ctx context.Context) error {
	end, err := l.end(ctx)
	if err != nil || end == l.Head() {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.floor = nil, end
	l.moveTo(end)
	return nil
}

// end is the id of the newest event there ever was.
func (l *Log) end(ctx context.Context) (int64, error) {
	row := l.store.DB.QueryRowContext(ctx,
		"SELECT CASE WHEN e.last > t.trimmed_to THEN e.last ELSE t.trimmed_to END FROM (SELECT COALESCE(MAX(id), 0) AS last FROM events) e, event_epochs t")
	var id int64
	if err := row.Scan(&id); err != nil {
		return 0, fmt.Errorf("read the end of the event log: %w", err)
	}
	return id, nil
}

// Append writes events at the end of the log. It must be the last thing that a
// transaction does before it commits; afterwards call Committed.
func Append(ctx context.Context, tx *store.Tx, events []*ent.Event) error {
	if len(events) == 0 {
		return nil
	}
	var rows store.Rows
	rows.Grow(len(events), 9)
	for _, e := range events {
		rows.Add(e.At, e.Kind, e.ChatID, e.MessageID, e.ChannelID, e.OperatorID,
			store.JSON(e.Audience), store.JSON(e.AudienceBefore), store.JSON(e.Facts))
	}
	return tx.Insert(ctx, table, rows)
}

// table takes the lock and inserts by one statement: ids are drawn for rows that
// come out of the join with the lock.
var table = store.NewTable("events", "at timestamptz", "kind text", "chat_id uuid", "message_id uuid", "channel_id uuid", "operator_id uuid",
	"audience jsonb", "audience_before jsonb", "facts jsonb").Locked(appendLock)

// appendLock is an arbitrary number that nothing else in the database locks.
const appendLock = 7_105_311

// Committed says that a transaction with events was committed here.
func (l *Log) Committed() {
	signal(l.wake)
	signal(l.notify)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting, which covers this one
	}
}

// Head is the newest position that this replica has read.
func (l *Log) Head() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Read returns up to limit entries after a position; none means that it is the
// newest.
func (l *Log) Read(ctx context.Context, after int64, limit int) ([]Entry, error) {
	if entries, inWindow := l.recent(after); inWindow {
		return entries[:min(limit, len(entries))], nil
	}
	return l.fetch(ctx, after, limit)
}

// Stretch returns up to limit entries after a position that is in the window,
// and whether it is. It ends where those end that were read at once: so readers
// who keep up, and those who come after them, all go from the same places to the
// same places, and what is made of a stretch can be shared.
func (l *Log) Stretch(after int64, limit int) ([]Entry, bool) {
	entries, inWindow := l.recent(after)
	if len(entries) == 0 {
		return nil, inWindow
	}
	entries = entries[:min(limit, len(entries))]
	last := entries[0].stretch
	return entries[:sort.Search(len(entries), func(i int) bool { return entries[i].ID > last })], true
}

// recent are the entries of the window after a position, and whether these are
// all.
func (l *Log) recent(after int64) ([]Entry, bool) {
	l.mu.Lock()
	entries, inWindow := l.entries, after >= l.floor
	l.readAt = time.Now()
	l.mu.Unlock()
	if !inWindow {
		return nil, false
	}
	return entries[sort.Search(len(entries), func(i int) bool { return entries[i].ID > after }):], true
}

// Wait returns when there is something after a position, or with the context's
// error.
func (l *Log) Wait(ctx context.Context, after int64) error {
	l.await(1)
	defer l.await(-1)
	for {
		l.mu.Lock()
		head, grown := l.head, l.grown
		l.mu.Unlock()
		if head > after {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) await(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting += n
}

// isRead says whether somebody will want what is new.
func (l *Log) isRead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting > 0 || time.Since(l.readAt) < unread
}

// Trim removes events from before a time. A reader at an earlier position is
// told ErrTrimmed. It reads no more than it removes.
func (l *Log) Trim(ctx context.Context, before time.Time) error {
	return l.store.InTx(ctx, func(tx *store.Tx) error {
		var last int64
		row := tx.QueryRow(ctx, `SELECT COALESCE((SELECT id - 1 FROM events WHERE at >= $1 ORDER BY id LIMIT 1),
			(SELECT MAX(id) FROM events), 0)`, before)
		if err := row.Scan(&last); err != nil || last == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE event_epochs SET trimmed_to = $1 WHERE trimmed_to < $1", last); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM events WHERE id <= $1", last)
		return err
	})
}
