package ingest

import (
	"context"
	"database/sql"
	"time"

	"github.com/lib/pq"

	"parley/ent/webhookevent"
	"parley/server/desk"
	"parley/server/messenger"
	"parley/server/store"
)

// What differs between the databases stands here, side by side.

var eventTable = store.NewTable("webhook_events",
	"received_at timestamptz", "shard smallint", "page text", "body bytea", "state text", "error text")

// waitingShards are those of the rows' shards that have events waiting.
func waitingShards(ctx context.Context, tx *store.Tx, rows []row) (map[int16]bool, error) {
	var shards []int64
	for _, r := range rows {
		shards = append(shards, int64(r.shard))
	}
	list, param := "unnest($1::smallint[]) AS of(shard)", any(pq.Array(shards))
	if !tx.Postgres() {
		list, param = "(SELECT value AS shard FROM json_each($1)) AS of", store.JSON(shards)
	}
	found, err := tx.Query(ctx, `SELECT shard FROM `+list+` WHERE EXISTS (
		SELECT 1 FROM webhook_events e WHERE e.state = 'PENDING' AND e.shard = of.shard)`, param)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	waiting := map[int16]bool{}
	for found.Next() {
		var shard int16
		if err := found.Scan(&shard); err != nil {
			return nil, err
		}
		waiting[shard] = true
	}
	return waiting, found.Err()
}

// claim locks shards that have something to apply, those that wait longest
// first, and loads their oldest events. Taking some and not all leaves the
// others to other workers; those that others have are passed over before the
// limit counts, or they would hide the rest. SQLite has one worker, which needs
// no locks.
func claim(ctx context.Context, tx *store.Tx) ([]desk.Inbound, error) {
	if !tx.Postgres() {
		return load(ctx, tx, `SELECT id, received_at, body FROM webhook_events
			WHERE state = 'PENDING' ORDER BY id LIMIT $1`, groupRows)
	}
	locked, err := tx.Query(ctx, `WITH waiting AS MATERIALIZED (
			SELECT shard, min(id) AS first FROM webhook_events WHERE state = 'PENDING' GROUP BY shard ORDER BY first)
		SELECT shard, first FROM waiting WHERE pg_try_advisory_xact_lock($1, shard) LIMIT 24`, shardLock)
	if err != nil {
		return nil, err
	}
	mine, first, err := pairs(locked)
	if err != nil || len(mine) == 0 {
		return nil, err
	}
	// A statement of its own: it sees what the last holder of a lock committed.
	// Until the next vacuum the index keeps what has been applied, at its front;
	// beginning behind that, a claim costs the same however much it is.
	return load(ctx, tx, `SELECT e.id, e.received_at, e.body FROM unnest($2::smallint[], $3::bigint[]) AS mine(shard, first), LATERAL (
			SELECT id, received_at, body FROM webhook_events
			WHERE state = 'PENDING' AND shard = mine.shard AND id >= mine.first ORDER BY id LIMIT $1) e
		ORDER BY e.id LIMIT $1`, groupRows, pq.Array(mine), pq.Array(first))
}

// shardLock is the first half of the shards' advisory locks.
const shardLock = 7_105_312

func load(ctx context.Context, tx *store.Tx, query string, args ...any) ([]desk.Inbound, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []desk.Inbound
	for rows.Next() {
		var id int64
		var at time.Time
		var body []byte
		if err := rows.Scan(&id, &at, &body); err != nil {
			return nil, err
		}
		event, err := messenger.Decode(body)
		events = append(events, inbound(id, at, event, err))
	}
	return events, rows.Err()
}

func pairs(rows *sql.Rows) (a, b []int64, err error) {
	defer rows.Close()
	for rows.Next() {
		var x, y int64
		if err := rows.Scan(&x, &y); err != nil {
			return nil, nil, err
		}
		a, b = append(a, x), append(b, y)
	}
	return a, b, rows.Err()
}

// states are what the desk's outcomes are called here.
var states = map[desk.Outcome]webhookevent.State{
	desk.Applied: webhookevent.StateApplied, desk.Ignored: webhookevent.StateIgnored,
	desk.Unrouted: webhookevent.StateUnrouted, desk.Parked: webhookevent.StateParked,
}

// reason is why an event is parked.
func reason(s desk.Settled) string {
	if s.Err == nil {
		return ""
	}
	return s.Err.Error()
}

var outcomeTable = store.NewTable("webhook_events", "id bigint", "state text", "error text")

// settle marks what became of each stored event.
func settle(ctx context.Context, tx *store.Tx, settled []desk.Settled) error {
	var rows store.Rows
	for _, s := range settled {
		rows.Add(s.ID, states[s.Outcome], reason(s))
	}
	return tx.Update(ctx, outcomeTable, rows)
}
