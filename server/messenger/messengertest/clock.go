package messengertest

import (
	"context"
	"sync"
	"time"
)

// Clock is the simulator's time. The zero value goes with real time; one made by NewClock stands still. Advance moves
// either.
type Clock struct {
	mu     sync.Mutex
	stands time.Time // zero: it goes
	ahead  time.Duration
	moved  chan struct{} // closed by the next Advance
}

// NewClock gives a clock that stands at a time.
func NewClock(at time.Time) *Clock { return &Clock{stands: at} }

// Now gives the time, in the milliseconds that Facebook counts in.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	at := c.stands
	if at.IsZero() {
		at = time.Now()
	}
	return at.Add(c.ahead).UTC().Truncate(time.Millisecond)
}

// Advance moves the clock and wakes whoever waits for a time that has come by it.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	if c.moved != nil {
		close(c.moved)
		c.moved = nil
	}
}

// Until waits for a time to come, or returns the error of ctx.
func (c *Clock) Until(ctx context.Context, at time.Time) error {
	for {
		left, moved := c.wait(at)
		if left <= 0 {
			return ctx.Err()
		}
		var passed <-chan time.Time
		if c.stands.IsZero() {
			passed = time.After(left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-passed:
		}
	}
}

func (c *Clock) wait(at time.Time) (time.Duration, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moved == nil {
		c.moved = make(chan struct{})
	}
	return at.Sub(c.now()), c.moved
}
