// Package work owns the work table: things to be done outside the transaction
// that decided on them, such as a send, a look-up or a timer. A caller puts
// items in its own transaction; pools of any number of replicas claim them with
// a lease, run a handler, and record its decision.
//
// Items of a lane run one at a time in the order of their ids, which is the
// order in which their transactions committed. The first item of a lane that is
// not dead holds the lane until it is done or dead. Lanes run beside each other.
//
// The functions that take a transaction may be called from any goroutine that
// owns one; a Pool's Run is called once at a time, its Signal by anybody.
//
// Invariants: an item runs if and only if its transaction committed; it is not
// lost until a handler says Done; only the holder of its lease changes it, so a
// worker that was taken for dead changes nothing any more. A handler may run
// more than once for an item, but never without knowing: a claim that follows
// one without an answer has Job.Lapsed.
package work

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/server/fault"
	"parley/server/store"
)

// Item is something to be done.
type Item struct {
	Kind string // names the handler; has no comma
	// Lane is what the item keeps its order in. An item without one waits for no
	// other and holds none up.
	Lane    string
	Scope   string    // group that Release lets go together, such as "channel:<id>"
	Payload []byte    // ids, not content: what has to be erased lives in the domain's rows
	RunAt   time.Time // not before this; zero is now
}

// Put adds the items; they exist exactly if the transaction commits. It holds
// the lanes until then, so that the order of ids is the order of commits: call
// it after locking rows of the domain and before appending to the event log.
func Put(ctx context.Context, tx *store.Tx, now time.Time, items ...Item) error {
	if len(items) == 0 {
		return nil
	}
	whole, shared := make([]Item, len(items)), []string{}
	for i, item := range items {
		if item.Kind == "" || strings.Contains(item.Kind, ",") {
			return fmt.Errorf("put work: %q is not a kind", item.Kind)
		}
		if item.RunAt.IsZero() {
			item.RunAt = now
		}
		if item.Lane == "" {
			item.Lane = uuid.NewString()
		} else {
			shared = append(shared, item.Lane)
		}
		whole[i] = item
	}
	if err := insert(ctx, tx, now, whole, shared); err != nil {
		return fmt.Errorf("put work: %w", err)
	}
	return nil
}

// Release makes every item of the scope due: what they waited for as a group is
// there. An item that is running and answers Later runs again at once, because
// its answer may be from before.
func Release(ctx context.Context, tx *store.Tx, scope string, now time.Time) error {
	_, err := tx.Exec(ctx, releaseSQL, scope, clean(now), woken)
	return wrap(err, "release work")
}

// Wake makes the first item of the lane due, in the same way.
func Wake(ctx context.Context, tx *store.Tx, lane string, now time.Time) error {
	_, err := tx.Exec(ctx, wakeSQL, lane, clean(now), woken)
	return wrap(err, "wake work")
}

// Ensure puts an item in its lane, where it is to be alone, or makes the one that
// is there due, in the same way. The caller sees to it that nobody else does so
// for this lane before the transaction ends.
func Ensure(ctx context.Context, tx *store.Tx, now time.Time, item Item) error {
	if err := Wake(ctx, tx, item.Lane, now); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, firstSQL, item.Lane)
	if err != nil {
		return wrap(err, "ensure work")
	}
	there := rows.Next()
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || there {
		return wrap(err, "ensure work")
	}
	return Put(ctx, tx, now, item)
}

// DeadItem is an item that a handler gave up.
type DeadItem struct {
	ID        int64
	Item      Item
	Attempts  int
	Why       string
	CreatedAt time.Time
}

// DeadItems lists items that handlers gave up, oldest first, from after an id.
func DeadItems(ctx context.Context, s *store.Store, after int64, limit int) ([]DeadItem, error) {
	rows, err := s.Query(ctx, deadSQL, after, limit)
	if err != nil {
		return nil, wrap(err, "list dead work")
	}
	defer rows.Close()
	var dead []DeadItem
	for rows.Next() {
		var d DeadItem
		if err := rows.Scan(&d.ID, &d.Item.Kind, &d.Item.Lane, &d.Item.Scope, &d.Item.Payload,
			&d.Item.RunAt, &d.Attempts, &d.Why, &d.CreatedAt); err != nil {
			return nil, wrap(err, "list dead work")
		}
		dead = append(dead, d)
	}
	return dead, wrap(rows.Err(), "list dead work")
}

// Replay puts a dead item again, as new and at the end of its lane: what came
// after it has run, or is running now.
func Replay(ctx context.Context, tx *store.Tx, id int64, now time.Time) error {
	rows, err := tx.Query(ctx, exhumeSQL, id)
	if err != nil {
		return wrap(err, "replay work")
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return wrap(err, "replay work")
		}
		return fault.New(fault.NotFound, "id", "there is no failed work item %d", id)
	}
	var item Item
	if err := rows.Scan(&item.Kind, &item.Lane, &item.Scope, &item.Payload); err != nil {
		return wrap(err, "replay work")
	}
	if err := rows.Close(); err != nil {
		return wrap(err, "replay work")
	}
	return Put(ctx, tx, now, item)
}

// clean is the form in which times are kept and compared.
func clean(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
