package ingest

import (
	"context"
	"fmt"
	"math"
	"time"

	"parley/ent/webhookevent"
	"parley/server/store"
)

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
