package ingest

import (
	"context"
	"sync"
	"time"
)

const (
	maxLag    = time.Second / 2        // of the oldest unapplied event, before new ones are refused
	maxWait   = 2 * time.Second        // of a post, before new ones are refused
	firstRate = 2000                   // events a second, until it is seen how many can be applied
	lookEvery = 100 * time.Millisecond // the database is asked how far behind it is
	blindFor  = 2 * time.Second        // without an answer, before new ones are refused
)

// backlog is how far applying is behind, over all replicas. The database says
// so and no worker does, because a worker may be stuck, and the events may be
// another replica's to apply. Age alone would say it too late: a burst that
// takes five seconds to apply is young when it comes. So no more events may
// wait than are applied in maxLag, at the rate seen lately. Those that are being
// taken in are not behind, as nobody has had an answer; there may be as many as
// keep a post from waiting so long that the provider gives it up.
type backlog struct {
	mu      sync.Mutex
	looked  time.Time // when the database last answered, by this process's clock
	oldest  time.Time // arrival of the oldest unapplied event; zero is none
	waiting int       // unapplied events then
	stored  int       // left waiting here since the database was asked
	storing int       // being taken in here
	applied int       // applied here since the database was asked
	enough  bool      // there was enough to do then
	rate    float64   // applied here in a second while there was enough to do
}

// limit is how many events are applied in a while: some transactions' at least.
func (b *backlog) limit(while time.Duration, transactions int) int {
	return max(transactions*groupRows, int(b.rate*while.Seconds()))
}

// apply counts what was applied here.
func (b *backlog) apply(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied += n
}

// see takes in what the database says. The rate is measured only while events
// were waiting, because otherwise it is that of their arrival.
func (b *backlog) see(oldest time.Time, waiting, storedBefore int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.enough && waiting+b.storing >= groupRows {
		const weight = 8 // workers commit hundreds at once: about a second is looked at
		b.rate += (float64(b.applied)/now.Sub(b.looked).Seconds() - b.rate) / weight
	}
	b.looked, b.oldest, b.waiting, b.applied = now, oldest, waiting, 0
	b.enough = waiting+b.storing >= groupRows
	b.stored -= storedBefore // the others may have been stored after the database looked
}

// admit says whether n more events may come; leave must follow if so.
func (b *backlog) admit(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.looked) > blindFor || !b.oldest.IsZero() && now.Sub(b.oldest) > maxLag ||
		b.waiting+b.stored >= b.limit(maxLag, 1) || b.storing >= b.limit(maxWait, 4) {
		return false
	}
	b.storing += n
	return true
}

// leave ends an admission.
func (b *backlog) leave(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.storing -= n
}

// store counts what was stored here without being applied.
func (b *backlog) store(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored += n
}

// watchBacklog asks the database again and again.
func (in *Inbox) watchBacklog(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := in.look(ctx); err != nil && ctx.Err() == nil {
			in.Log.Error("cannot see how many webhook events wait", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (in *Inbox) look(ctx context.Context) error {
	b := &in.backlog
	b.mu.Lock()
	before, limit := b.stored, b.limit(maxLag, 1)
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, blindFor)
	defer cancel()
	// No more are counted than it takes to refuse.
	rows, err := in.store.Query(ctx, `SELECT received_at, (SELECT count(*) FROM (
			SELECT 1 FROM webhook_events WHERE state = 'PENDING' LIMIT $1) few)
		FROM webhook_events WHERE state = 'PENDING' ORDER BY id LIMIT 1`, limit)
	if err != nil {
		return err
	}
	defer rows.Close()
	var oldest time.Time
	var waiting int
	if rows.Next() {
		if err := rows.Scan(&oldest, &waiting); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	b.see(oldest, waiting, before)
	return nil
}
