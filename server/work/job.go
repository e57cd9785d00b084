package work

import (
	"context"
	"errors"
	"math"
	"time"

	"parley/server/store"
)

// Job is a claimed item.
type Job struct {
	ID       int64
	Kind     string
	Lane     string
	Scope    string
	Payload  []byte
	Attempts int // claims so far, this one included
	// Lapsed says that an earlier claim of this item, not only the last one,
	// ended without an answer (a crash, a lost lease, a panic): whatever it did
	// may have happened. It stays until the item is done; a handler that has
	// cleared up what happened says so in rows of its own.
	Lapsed bool

	lease string
}

// ErrLeaseLost is the cause of a handler's cancelled context, and Finish's
// answer, once somebody else may have the item.
var ErrLeaseLost = errors.New("work: the lease is lost")

// Finish makes the job done in the transaction that holds its effects, so that
// these happen once. It fails with ErrLeaseLost, and the transaction has to be
// rolled back, if the item has gone to another worker. The handler then answers
// Done.
func (j Job) Finish(ctx context.Context, tx *store.Tx) error {
	result, err := tx.Exec(ctx, finishSQL, j.ID, j.lease)
	if err != nil {
		return wrap(err, "finish work")
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrLeaseLost, err)
	}
	_, err = tx.Exec(ctx, unparkSQL, j.Lane, j.ID, parked)
	return wrap(err, "finish work")
}

// Handler does a job and decides what becomes of the item. Its context ends
// when the lease is lost and when the pool's grace is over.
type Handler func(ctx context.Context, job Job) Decision

// Decision is a handler's answer.
type Decision struct {
	verdict verdict
	at      time.Time
	why     string
	untried bool // of later: this claim is no attempt
}

type verdict int

const (
	none   verdict = iota // the handler panicked
	done                  // the item goes away
	later                 // it stays, and holds its lane
	dead                  // it stays aside, and the lane goes on
	unused                // the handler never started
)

// Done ends the item.
func Done() Decision { return Decision{verdict: done} }

// Later runs the item again; until then it holds its lane. Why is kept with the
// item for people to read and must hold no secret.
func Later(at time.Time, why string) Decision {
	return Decision{verdict: later, at: at, why: why}
}

// Wait is Later for an item that was not tried, because it could not be: the
// claim does not count as an attempt.
func Wait(at time.Time, why string) Decision {
	return Decision{verdict: later, at: at, why: why, untried: true}
}

// Dead puts the item aside for good, or until somebody replays it; its lane
// goes on.
func Dead(why string) Decision { return Decision{verdict: dead, why: why} }

const longestBackoff = 10 * time.Minute

// Backoff says how long to wait after so many attempts: twice as long each
// time, from 1 s to 10 min, and somewhere in the upper half of that so that
// what failed together does not come back together.
func Backoff(attempts int, random func() float64) time.Duration {
	whole := math.Min(math.Ldexp(1, max(attempts, 1)), longestBackoff.Seconds())
	return time.Duration(whole * (1 + random()) / 2 * float64(time.Second))
}
