package work

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	random "math/rand/v2"
	"slices"
	"strings"
	"time"

	"parley/server/store"
)

// process tells the leases of this process from those that a dead one left.
var process = rand.Text()

// inherit takes over at once what a dead process of this SQLite had. Leases on
// PostgreSQL may be those of other replicas, and run out.
func (r *run) inherit(ctx context.Context) {
	if r.store.Postgres() {
		return
	}
	err := r.store.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, inheritSQL, process)
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.options.Log.Warn("work: leases of an earlier process have to run out", "error", err)
	}
}

func (r *run) claim(ctx context.Context, tx *store.Tx, free int) ([]Job, error) {
	rows, err := tx.Query(ctx, r.say.claim, clean(r.options.Now()), free, process+"."+rand.Text(), r.options.Lease.Milliseconds(), r.kinds, woken)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		var j Job
		if err := rows.Scan(&j.ID, &j.Kind, &j.Lane, &j.Scope, &j.Payload, &j.Attempts, &j.lease); err != nil {
			return nil, err
		}
		j.Lapsed = strings.HasPrefix(j.lease, lapsed)
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

func (r *run) nextDue(ctx context.Context, tx *store.Tx) (next time.Time, err error) {
	rows, err := tx.Query(ctx, nextSQL, clean(r.options.Now()))
	if err != nil {
		return next, err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&next)
	}
	return next, err
}

// settle records the answers, lets their lanes go on, and returns the answers
// whose rows another transaction has. Those of lost leases fall away.
func (r *run) settle(ctx context.Context, tx *store.Tx) ([]answer, error) {
	open := map[claim]answer{}
	var finished, over []claim // over pairs ids with lanes
	for _, a := range r.unsettled {
		open[a.job.claim()] = a
		if a.verdict == done {
			finished = append(finished, a.job.claim())
			continue
		}
		kept, err := r.keep(ctx, tx, a)
		if err != nil {
			return nil, err
		}
		if kept {
			delete(open, a.job.claim())
		}
		if kept && a.verdict == dead {
			over = append(over, claim{a.job.ID, a.job.Lane})
		}
	}
	gone, err := claims(ctx, tx, r.say.done, pairs(finished))
	if err != nil {
		return nil, err
	}
	for key := range gone {
		over = append(over, claim{key.id, open[key].job.Lane})
		delete(open, key)
	}
	if len(over) > 0 {
		if _, err := tx.Exec(ctx, r.say.unpark, pairs(over), parked); err != nil {
			return nil, err
		}
	}
	return r.stillHeld(ctx, tx, open)
}

func (r *run) stillHeld(ctx context.Context, tx *store.Tx, open map[claim]answer) (rest []answer, err error) {
	keys := slices.Collect(maps.Keys(open))
	held, err := claims(ctx, tx, r.say.held, pairs(keys))
	for key := range held {
		rest = append(rest, open[key])
	}
	return rest, err
}

// keep records an answer with which the item stays, and says whether it could.
func (r *run) keep(ctx context.Context, tx *store.Tx, a answer) (bool, error) {
	now := clean(r.options.Now())
	var at, why any // nil leaves what is there
	mark, back := "", 0
	if a.job.Lapsed {
		mark = lapsed
	}
	switch a.verdict {
	case later:
		at, why = clean(a.at), plain(a.why)
		if a.untried {
			back = 1
		}
	case dead:
		why = plain(a.why)
	case unused:
		back = 1
	case none:
		mark, at, why = lapsed, clean(now.Add(Backoff(a.job.Attempts, random.Float64))), "the handler broke off"
	}
	result, err := tx.Exec(ctx, r.say.keep, a.job.ID, a.job.lease, woken, now, at, a.verdict == dead, why, mark, back)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// renewal says which leases reach further now, and which are ours though another
// transaction has their rows.
type renewal struct{ renewed, held map[claim]bool }

func (r *run) renew(ctx context.Context, tx *store.Tx, rest []answer) (result renewal, err error) {
	keys := slices.Collect(maps.Keys(r.running))
	for _, a := range rest {
		keys = append(keys, a.job.claim())
	}
	result.renewed, err = claims(ctx, tx, r.say.renew, pairs(keys), r.options.Lease.Milliseconds())
	if err == nil && len(result.renewed) < len(keys) {
		result.held, err = claims(ctx, tx, r.say.held, pairs(keys))
	}
	return result, err
}

// park sets aside what has waited for its lane for a while, and says whether
// there may be more of it.
func (r *run) park(ctx context.Context, tx *store.Tx) (more bool, err error) {
	const most = 5000
	waited := clean(r.options.Now().Add(-r.options.Poll))
	result, err := tx.Exec(ctx, r.say.park, waited, most, parked)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == most, err
}

// claims runs a statement about claims that returns claims.
func claims(ctx context.Context, tx *store.Tx, statement, keys string, args ...any) (map[claim]bool, error) {
	if keys == "[]" {
		return nil, nil
	}
	rows, err := tx.Query(ctx, statement, append([]any{keys}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[claim]bool{}
	for rows.Next() {
		var key claim
		if err := rows.Scan(&key.id, &key.lease); err != nil {
			return nil, err
		}
		found[key] = true
	}
	return found, rows.Err()
}

func pairs(keys []claim) string {
	list := make([][2]any, len(keys))
	for i, key := range keys {
		list[i] = [2]any{key.id, key.lease}
	}
	text, _ := json.Marshal(list) // numbers and strings
	return string(text)
}

const longestWhy = 1000

// plain is what both databases take as text: no answer is refused for its words.
func plain(why string) string {
	why = strings.ReplaceAll(why[:min(len(why), longestWhy)], "\x00", "")
	return strings.ToValidUTF8(why, "")
}
