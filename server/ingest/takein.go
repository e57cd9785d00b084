package ingest

import (
	"context"
	"hash/fnv"
	"time"

	"parley/ent/webhookevent"
	"parley/server/desk"
	"parley/server/messenger"
	"parley/server/store"
)

// row is one event as it came.
type row struct {
	at    time.Time
	shard int16
	page  string // as it is stored
	item  messenger.Item
}

// part is what a post has for one of those who take in, and whom to tell when
// it is durable.
type part struct {
	rows []row
	done chan error // has room for all parts of the post
}

// groupRows is how many events one transaction applies. More gain little and
// make the first of them wait for the last.
const groupRows = 450

func rowsOf(body []byte, at time.Time) []row {
	items := messenger.Split(body)
	rows := make([]row, len(items))
	for i, item := range items {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(item.Page))
		_, _ = hash.Write([]byte{0})
		_, _ = hash.Write([]byte(item.Person))
		rows[i] = row{at, int16(hash.Sum32() % shards), item.Page, item}
		if len(item.Page) > longestID { // it is in the body, where it hurts nobody
			rows[i].page = ""
		}
	}
	return rows
}

// put makes a post durable together with others that come at the same time.
func (in *Inbox) put(ctx context.Context, rows []row) error {
	split := make([][]row, len(in.parts))
	for i := range split {
		split[i] = make([]row, 0, len(rows))
	}
	for _, r := range rows {
		to := int(r.shard) % len(split)
		split[to] = append(split[to], r)
	}
	done, waiting := make(chan error, len(split)), 0
	for i, rows := range split {
		if len(rows) == 0 {
			continue
		}
		select {
		case in.parts[i] <- part{rows, done}:
			waiting++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range waiting {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// linger is how long a group waits for as many as the one before had. Who posts
// much at once has just been answered and comes again in a moment: without that
// moment every other transaction would be for the first few, and each costs as
// much as thirty events.
const linger = 3 * time.Millisecond

// takeIn takes what has come while the transaction before was under way, and
// has one transaction for it.
func (in *Inbox) takeIn(ctx context.Context, parts <-chan part) {
	var group []part
	var rows []row
	for {
		like := len(group)
		select {
		case first := <-parts:
			group, rows = gather(parts, append(group[:0], first), append(rows[:0], first.rows...), like)
		case <-ctx.Done():
			return
		}
		err := in.take(ctx, rows)
		for _, p := range group {
			p.done <- err
		}
	}
}

// gather adds to a group what is there, and what comes in a moment until it is
// like the one before.
func gather(parts <-chan part, group []part, rows []row, like int) ([]part, []row) {
	var enough <-chan time.Time
	for len(rows) < groupRows {
		var next part
		select {
		case next = <-parts:
		default:
			if len(group) >= like {
				return group, rows
			}
			if enough == nil {
				enough = time.After(linger)
			}
			select {
			case next = <-parts:
			case <-enough:
				return group, rows
			}
		}
		group, rows = append(group, next), append(rows, next.rows...)
	}
	return group, rows
}

// take applies events and keeps what they said, in one transaction. If they
// cannot be applied now, they are stored, to be applied later: an answer waits
// for a disk, not for whoever holds a chat.
func (in *Inbox) take(ctx context.Context, rows []row) error {
	g := &group{rows: rows}
	soon, cancel := context.WithTimeout(ctx, atOnce)
	defer cancel()
	n, err := in.desk.Receive(soon, g.load, g.keep)
	if err != nil && ctx.Err() == nil {
		in.Log.Warn("webhook events are stored, as they cannot be applied at once", "error", err)
		n, g.applied, err = 0, 0, in.storeAll(ctx, rows)
	}
	if err != nil {
		return err
	}
	in.backlog.apply(n)
	in.applied.Add(int64(g.applied))
	if left := len(rows) - n; left > 0 {
		in.backlog.store(left)
		in.wake()
	}
	return nil
}

// storeAll stores events without a look at them.
func (in *Inbox) storeAll(ctx context.Context, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return in.store.InTx(ctx, func(tx *store.Tx) error { return (&group{rows: rows}).keep(ctx, tx, nil) })
}

// group is what one transaction takes in. An event's place in it is its id to
// the desk.
type group struct {
	rows    []row
	events  []desk.Inbound
	applied int // of the events, which leave nothing to keep
}

// load leaves out the events of shards that have others waiting to be applied:
// theirs would overtake them. Of all that came before this group, whatever is
// not applied is seen to be waiting, wherever it was taken in; what comes to
// another replica at the same time has no order with this.
func (g *group) load(ctx context.Context, tx *store.Tx) ([]desk.Inbound, error) {
	behind, err := waitingShards(ctx, tx, g.rows)
	if err != nil {
		return nil, err
	}
	if g.events == nil {
		g.events = make([]desk.Inbound, len(g.rows))
		for i, r := range g.rows {
			event, err := r.item.Decode()
			g.events[i] = inbound(int64(i), r.at, event, err)
		}
	}
	if len(behind) == 0 {
		return g.events, nil
	}
	var free []desk.Inbound
	for i, event := range g.events {
		if !behind[g.rows[i].shard] {
			free = append(free, event)
		}
	}
	return free, nil
}

// keep stores the events of the group that had no effect, each with what became
// of it; those that nothing became of wait. Of the others their effect is stored:
// to keep them beside it took an eighth of the way in.
func (g *group) keep(ctx context.Context, tx *store.Tx, settled []desk.Settled) error {
	g.applied = 0
	became := make(map[int64]desk.Settled, len(settled))
	for _, s := range settled {
		became[s.ID] = s
	}
	var rows store.Rows
	for i, r := range g.rows {
		state, why := webhookevent.StatePending, ""
		if s, ok := became[int64(i)]; ok {
			if s.Outcome == desk.Applied {
				g.applied++
				continue
			}
			state, why = states[s.Outcome], reason(s)
		}
		rows.Add(r.at, r.shard, r.page, r.item.Body(), state, why)
	}
	return tx.Insert(ctx, eventTable, rows)
}
