package work

import (
	"context"
	"strings"
	"time"

	"github.com/lib/pq"

	"parley/server/store"
)

// A row's lease is empty, the token of the worker that has it, or "lapsed" when
// nobody has it and an earlier claim ended without an answer. The token of a
// claim that follows such a one begins with "lapsed".
const lapsed = "lapsed"

// parked is the lease_until of a due item that has waited for its lane for a
// while. Claims would otherwise look at all that wait behind held lanes, every
// time: with 100,000 of them a claim took a second. Its lane's first item frees
// it when it is done or dead.
//
// Parking locks the first item, so that it happens wholly before that item's end,
// which then sees it, or not at all. What is parked therefore always has one that
// will free it. Release and Wake do not touch what is due, hence not what is
// parked, so that freeing waits for nobody.
const parked = int64(1) << 62

// woken is the run_at of an item that was released or woken. It cannot be taken
// for a time from a clock, so that an answer Later that crosses it gives way.
var woken = time.Unix(0, 0).UTC()

const (
	releaseSQL = `UPDATE works SET run_at = $3 WHERE scope = $1 AND NOT dead AND (run_at > $2 OR lease <> '')`

	wakeSQL = `UPDATE works SET run_at = $3 WHERE (run_at > $2 OR lease <> '')
		AND id = (SELECT id FROM works WHERE lane = $1 AND NOT dead ORDER BY id LIMIT 1)`

	firstSQL = `SELECT id FROM works WHERE lane = $1 AND NOT dead ORDER BY id LIMIT 1`

	finishSQL = `DELETE FROM works WHERE id = $1 AND lease = $2`

	unparkSQL = `UPDATE works SET lease_until = 0 WHERE lease_until = $3
		AND id = (SELECT id FROM works WHERE lane = $1 AND id > $2 AND NOT dead ORDER BY id LIMIT 1)`

	deadSQL = `SELECT id, kind, lane, scope, payload, run_at, attempts, error, created_at
		FROM works WHERE dead AND id > $1 ORDER BY id LIMIT $2`

	exhumeSQL = `DELETE FROM works WHERE id = $1 AND dead RETURNING kind, lane, scope, payload`

	// An item that waits for its lane only wakes the pool once for nothing.
	nextSQL = `SELECT run_at FROM works WHERE NOT dead AND lease_until < 4611686018427387904 AND run_at > $1 ORDER BY run_at LIMIT 1`

	// SQLite has one process: leases of another one are those of a dead one.
	inheritSQL = `UPDATE works SET lease = 'lapsed', lease_until = 0
		WHERE lease NOT IN ('', 'lapsed') AND instr(lease, $1) = 0`
)

// statements are what a pool's rounds say, in the words of one database.
type statements struct{ park, unpark, claim, done, keep, renew, held string }

// statementsFor writes NOW for the database's clock in milliseconds, LOCK for
// passing over rows that another transaction has locked, KIND for $5 as a list,
// and PAIRS for the pairs of an id and a text in $1.
//
// A round never waits for a row: the domain's transactions hold rows while they
// finish, wake or release items, and the leases of all others would run out.
//
// claim: the subquery is a plan of its own, so it is always one probe of the
// index on (lane, id) and never a join with the whole table. PostgreSQL walks the
// index on run_at up to now, in order, and stops at the limit: what is due later
// costs nothing. FOR UPDATE takes the newest version of a row and checks it
// again, so of two claims at the same moment one passes the row over. The first
// of a lane by an older snapshot is still the first or is gone (ids of a lane
// become visible in order, and what is dead stays so), hence never two of a lane.
func statementsFor(postgres bool) statements {
	words := strings.NewReplacer("PARKED", "4611686018427387904", "NOW", `CAST(unixepoch('subsec') * 1000 AS INTEGER)`, "LOCK", "",
		"KIND", `instr(',' || $5 || ',', ',' || w.kind || ',') > 0`,
		"PAIRS", `SELECT value ->> 0 AS id, value ->> 1 AS name FROM json_each($1)`)
	if postgres {
		words = strings.NewReplacer("PARKED", "4611686018427387904", "NOW", `(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)`, "LOCK", "FOR UPDATE SKIP LOCKED",
			"KIND", `w.kind = ANY (string_to_array($5, ','))`,
			"PAIRS", `SELECT (value ->> 0)::bigint AS id, value ->> 1 AS name FROM json_array_elements($1::json)`)
	}
	return statements{
		park: words.Replace(`WITH late AS MATERIALIZED (
			SELECT f.id FROM works f JOIN works h
			ON h.id = (SELECT e.id FROM works e WHERE e.lane = f.lane AND NOT e.dead ORDER BY e.id LIMIT 1)
			WHERE NOT f.dead AND f.lease_until < PARKED AND f.run_at <= $1 AND f.lease_until = 0 AND f.lease = '' AND h.id < f.id AND NOT h.dead
			LIMIT $2 LOCK)
			UPDATE works SET lease_until = $3 WHERE id IN (SELECT id FROM late)`),
		unpark: words.Replace(`UPDATE works SET lease_until = 0 WHERE lease_until = $2 AND id IN (
			SELECT (SELECT f.id FROM works f WHERE f.lane = p.name AND f.id > p.id AND NOT f.dead ORDER BY f.id LIMIT 1)
			FROM (PAIRS) p)`),
		claim: words.Replace(`WITH heads AS MATERIALIZED (
			SELECT w.id FROM works w
			WHERE NOT w.dead AND w.lease_until < PARKED AND w.run_at <= $1 AND w.lease_until <= NOW AND KIND
			AND w.id = (SELECT e.id FROM works e WHERE e.lane = w.lane AND NOT e.dead ORDER BY e.id LIMIT 1)
			ORDER BY w.run_at LIMIT $2 LOCK)
			UPDATE works SET attempts = attempts + 1, lease_until = NOW + $4,
			lease = CASE lease WHEN '' THEN '' ELSE 'lapsed:' END || $3,
			run_at = CASE run_at WHEN $6 THEN $1 ELSE run_at END
			WHERE id IN (SELECT id FROM heads)
			RETURNING id, kind, lane, scope, payload, attempts, lease`),
		done: words.Replace(`DELETE FROM works WHERE id IN (
			SELECT id FROM works WHERE (id, lease) IN (PAIRS) LOCK) RETURNING id, lease`),
		keep: words.Replace(`UPDATE works SET run_at = CASE run_at WHEN $3 THEN $4 ELSE COALESCE($5, run_at) END,
			dead = $6, error = COALESCE($7, error), lease = $8, lease_until = 0, attempts = attempts - $9
			WHERE id IN (SELECT id FROM works WHERE id = $1 AND lease = $2 LOCK)`),
		renew: words.Replace(`UPDATE works SET lease_until = NOW + $2 WHERE id IN (
			SELECT id FROM works WHERE (id, lease) IN (PAIRS) LOCK) RETURNING id, lease`),
		held: words.Replace(`SELECT id, lease FROM works WHERE (id, lease) IN (PAIRS)`),
	}
}

// insert puts the rows with ids in the order of the items.
//
// PostgreSQL gives ids before the commit, so of two transactions the later id
// could become visible first, and run first. Each shared lane is therefore locked
// until the commit, before ids are drawn: ORDER BY comes after the join with the locks,
// and ids are drawn after ORDER BY.
func insert(ctx context.Context, tx *store.Tx, now time.Time, items []Item, shared []string) error {
	if !tx.Postgres() {
		return insertSQLite(ctx, tx, now, items)
	}
	var kinds, lanes, scopes, times []string
	var payloads [][]byte
	for _, item := range items {
		kinds, lanes, scopes = append(kinds, item.Kind), append(lanes, item.Lane), append(scopes, item.Scope)
		payloads = append(payloads, bytesOf(item))
		times = append(times, clean(item.RunAt).Format(time.RFC3339Nano))
	}
	_, err := tx.Exec(ctx, `WITH locked AS MATERIALIZED (
			SELECT pg_advisory_xact_lock(hashtext('work'), lane)
			FROM (SELECT DISTINCT hashtext(l) AS lane FROM unnest($7::text[]) l ORDER BY 1) lanes)
		INSERT INTO works (kind, lane, scope, payload, run_at, created_at)
		SELECT i.kind, i.lane, i.scope, i.payload, i.run_at, $6
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[])
			WITH ORDINALITY AS i(kind, lane, scope, payload, run_at, n), (SELECT count(*) FROM locked) l
		ORDER BY i.n`,
		pq.StringArray(kinds), pq.StringArray(lanes), pq.StringArray(scopes), pq.ByteaArray(payloads), pq.StringArray(times), clean(now),
		pq.StringArray(shared))
	return err
}

// insertSQLite needs no lock: there is one writer.
func insertSQLite(ctx context.Context, tx *store.Tx, now time.Time, items []Item) error {
	const most = 1000 // rows in a statement, for its limit of 32,766 parameters
	for len(items) > 0 {
		part := items[:min(most, len(items))]
		items = items[len(part):]
		args := make([]any, 0, 6*len(part))
		for _, item := range part {
			args = append(args, item.Kind, item.Lane, item.Scope, bytesOf(item), clean(item.RunAt), clean(now))
		}
		rows := strings.Repeat(", (?, ?, ?, ?, ?, ?)", len(part))[2:]
		if _, err := tx.Exec(ctx, `INSERT INTO works (kind, lane, scope, payload, run_at, created_at) VALUES `+rows, args...); err != nil {
			return err
		}
	}
	return nil
}

// bytesOf is never nil, which would be NULL.
func bytesOf(item Item) []byte { return append([]byte{}, item.Payload...) }
