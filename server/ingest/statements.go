package ingest

import (
	"context"
	"database/sql"
	"time"

	"github.com/lib/pq"

	"parley/ent/webhookevent"
	"parley/server/desk"
	"parley/server/store"
)

// What differs between the databases stands here, side by side.

// insert stores a group of posts by one statement, or, in SQLite, where a
// statement is a function call, by one prepared statement.
func (in *Inbox) insert(ctx context.Context, group []post) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return in.store.InTx(ctx, func(tx *store.Tx) error {
		if tx.Postgres() {
			return insertPostgres(ctx, tx, group)
		}
		return insertSQLite(ctx, tx, group)
	})
}

func insertPostgres(ctx context.Context, tx *store.Tx, group []post) error {
	var at []string
	var shard []int64
	var page []string
	var body [][]byte
	for _, p := range group {
		for _, r := range p.rows {
			at = append(at, string(pq.FormatTimestamp(p.at)))
			shard, page, body = append(shard, int64(r.shard)), append(page, r.page), append(body, r.body)
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO webhook_events (received_at, shard, page, body)
		SELECT * FROM unnest($1::timestamptz[], $2::smallint[], $3::text[], $4::bytea[])`,
		pq.Array(at), pq.Array(shard), pq.Array(page), pq.Array(body))
	return err
}

func insertSQLite(ctx context.Context, tx *store.Tx, group []post) error {
	insert, err := tx.PrepareContext(ctx, "INSERT INTO webhook_events (received_at, shard, page, body) VALUES (?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, p := range group {
		for _, r := range p.rows {
			if _, err := insert.ExecContext(ctx, p.at, r.shard, r.page, r.body); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch is how many events one transaction applies. More gain little and make
// the first of them wait for the last.
const batch = 300

// claim locks shards that have something to apply, those that wait longest
// first, and loads their oldest events. Taking some and not all leaves the
// others to other workers; those that others have are passed over before the
// limit counts, or they would hide the rest. SQLite has one worker, which needs
// no locks.
func claim(ctx context.Context, tx *store.Tx) ([]desk.Inbound, error) {
	if !tx.Postgres() {
		return load(ctx, tx, `SELECT id, received_at, body FROM webhook_events
			WHERE state = 'PENDING' ORDER BY id LIMIT $1`, batch)
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
		ORDER BY e.id LIMIT $1`, batch, pq.Array(mine), pq.Array(first))
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
		events = append(events, inbound(id, at, body))
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

// settle marks what became of each event.
func settle(ctx context.Context, tx *store.Tx, settled []desk.Settled) error {
	states := map[desk.Outcome]webhookevent.State{
		desk.Applied: webhookevent.StateApplied, desk.Ignored: webhookevent.StateIgnored, desk.Unrouted: webhookevent.StateUnrouted,
	}
	alike := map[desk.Outcome][]int64{}
	for _, s := range settled {
		if s.Outcome != desk.Parked {
			alike[s.Outcome] = append(alike[s.Outcome], s.ID)
			continue
		}
		err := tx.WebhookEvent.UpdateOneID(s.ID).SetState(webhookevent.StateParked).SetError(s.Err.Error()).Exec(ctx)
		if err != nil {
			return err
		}
	}
	for outcome, ids := range alike {
		if err := setState(ctx, tx, states[outcome], ids); err != nil {
			return err
		}
	}
	return nil
}

func setState(ctx context.Context, tx *store.Tx, state webhookevent.State, ids []int64) error {
	if tx.Postgres() { // one parameter, not hundreds
		_, err := tx.Exec(ctx, "UPDATE webhook_events SET state = $1, error = '' WHERE id = ANY($2)", string(state), pq.Array(ids))
		return err
	}
	_, err := tx.WebhookEvent.Update().Where(webhookevent.IDIn(ids...)).SetState(state).SetError("").Save(ctx)
	return err
}
