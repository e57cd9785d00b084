package eventlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lib/pq"
)

const channel = "parley_events"

// Run follows the log until the context ends. What it cannot read now it reads
// later: the database is the truth, a notification only wakes.
func (l *Log) Run(ctx context.Context) {
	var telling sync.WaitGroup
	defer telling.Wait() // the database is not closed under it
	if l.store.Postgres() {
		telling.Go(func() { l.tellOthers(ctx) })
		go l.listen(ctx) // on a connection of its own, which may be slow to end
	}
	poll := time.NewTicker(l.poll)
	defer poll.Stop()
	for {
		more, err := l.pull(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.Error("cannot follow the event log, will try again", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-poll.C:
		}
	}
}

// pull moves what is new into the window and says whether there may be more. A
// replica that nobody reads from only keeps its place: loading what events are
// about is a quarter of the cost of the way in.
func (l *Log) pull(ctx context.Context) (more bool, err error) {
	if !l.isRead() {
		return false, l.leap(ctx)
	}
	fresh, err := l.fetch(ctx, l.Head(), batch)
	if errors.Is(err, ErrTrimmed) { // this replica slept longer than events are kept
		return true, l.leap(ctx)
	}
	if err != nil || len(fresh) == 0 {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= 2*window {
		// A new array: readers may still hold parts of the old one.
		kept := l.entries[len(l.entries)-window:]
		l.entries, l.floor = append(make([]Entry, 0, 2*window+batch), kept...), l.entries[len(l.entries)-window-1].ID
	}
	last := fresh[len(fresh)-1].ID
	for i := range fresh {
		fresh[i].stretch = last
	}
	l.entries = append(l.entries, fresh...)
	l.moveTo(last)
	return len(fresh) == batch, nil
}

// moveTo wakes who waits for the head to move.
func (l *Log) moveTo(head int64) {
	l.head = head
	close(l.grown)
	l.grown = make(chan struct{})
}

// tellOthers wakes the other replicas, once for all commits that happened while
// the notification before was under way. (NOTIFY inside each transaction cut
// the commits per second to well under a half in a probe.)
func (l *Log) tellOthers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.notify:
		}
		if _, err := l.store.DB.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, l.self); err != nil && ctx.Err() == nil {
			l.log.Warn("cannot notify other replicas, they will poll", "error", err)
		}
	}
}

// listen turns notifications into wake-ups. A pooler between us and the server
// can accept LISTEN and never deliver, so a first notification is sent to
// ourselves and its absence is said.
func (l *Log) listen(ctx context.Context) {
	listener := pq.NewListener(l.store.URL, 100*time.Millisecond, 10*time.Second, nil)
	context.AfterFunc(ctx, func() { _ = listener.Close() }) // also while Listen waits for a connection
	if err := listener.Listen(channel); err != nil && ctx.Err() == nil {
		l.log.Warn("cannot LISTEN, will poll", "error", err)
	}
	signal(l.notify)
	check := time.NewTimer(10 * time.Second)
	ping := time.NewTicker(30 * time.Second)
	defer check.Stop()
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-listener.Notify: // nil after a reconnect: notifications may be lost, so read as well
			// What is committed here wakes us by itself; but before the first one nobody
			// may have told us of what others committed.
			if first := check.Stop(); first || n == nil || n.Extra != l.self {
				signal(l.wake)
			}
		case <-ping.C:
			go func() { _ = listener.Ping() }() // a dead connection is found and made anew
		case <-check.C:
			l.log.Warn("LISTEN gets no notifications (is there a transaction-pooling proxy?): polling only, events arrive up to half a second late")
		}
	}
}
