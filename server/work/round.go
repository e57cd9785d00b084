package work

import (
	"context"
	"time"

	"parley/server/store"
)

// round is what one transaction brought about.
type round struct {
	rest []answer // another transaction has their rows: record them later
	renewal
	late bool // there is more to park
	jobs []Job
	next time.Time // when something becomes due, if that is known
}

// round records answers, renews leases and claims for the free workers, all in
// one transaction, so that the load makes the batches. It returns how long there
// is nothing to do unless something happens.
func (r *run) round(ctx context.Context, claiming bool) time.Duration {
	began := time.Now()
	if r.open() == 0 {
		r.renewAt = began.Add(r.options.Lease / 3)
	}
	renewing := !began.Before(r.renewAt)
	if !renewing && len(r.unsettled) == 0 && (!claiming || r.open() == r.options.Workers) {
		return r.renewAt.Sub(began)
	}
	parking := claiming && !began.Before(r.parkAt)
	result, err := r.transact(ctx, renewing, parking, claiming)
	if err != nil {
		r.options.Log.Warn("work: the database did not answer", "error", err)
		r.dropExpired()
		return min(r.options.Poll, r.options.Lease/3)
	}
	r.unsettled = result.rest
	if renewing {
		r.extend(result.renewal, began)
	}
	if parking && !result.late {
		r.parkAt = began.Add(r.options.Poll)
	}
	r.dropExpired()
	for _, job := range result.jobs {
		if ctx.Err() != nil { // an orderly stop gives back what it has not begun
			r.unsettled = append(r.unsettled, answer{job, Decision{verdict: unused}})
			continue
		}
		r.start(ctx, job, began)
	}
	return r.pause(result)
}

// pause is how long to wait after a round unless something happens.
func (r *run) pause(result round) time.Duration {
	longest := r.options.Poll
	if r.open() > 0 {
		longest = min(longest, time.Until(r.renewAt))
	}
	if len(result.rest) > 0 || result.late {
		longest = min(longest, 20*time.Millisecond)
	}
	if !result.next.IsZero() {
		longest = min(longest, result.next.Sub(r.options.Now()))
	}
	return max(longest, time.Millisecond)
}

// transact is not cut short by a stop, which would leave open what was claimed.
func (r *run) transact(ctx context.Context, renewing, parking, claiming bool) (result round, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(r.options.Lease/3, time.Second))
	defer cancel()
	err = r.store.InTx(ctx, func(tx *store.Tx) (err error) {
		result = round{}
		if result.rest, err = r.settle(ctx, tx); err != nil {
			return wrap(err, "record answers")
		}
		if renewing {
			if result.renewal, err = r.renew(ctx, tx, result.rest); err != nil {
				return wrap(err, "renew leases")
			}
		}
		if parking {
			if result.late, err = r.park(ctx, tx); err != nil {
				return wrap(err, "park")
			}
		}
		free := r.options.Workers - len(r.running) - len(result.rest)
		if !claiming || free <= 0 {
			return nil
		}
		if result.jobs, err = r.claim(ctx, tx, free); err != nil {
			return wrap(err, "claim")
		}
		if len(result.jobs) < free {
			result.next, err = r.nextDue(ctx, tx)
		}
		return wrap(err, "look ahead")
	})
	return result, err
}

// extend notes how far the leases reach that the database has renewed.
func (r *run) extend(result renewal, began time.Time) {
	again := r.options.Lease / 3
	for key, job := range r.running {
		switch {
		case result.renewed[key]:
			job.until = began.Add(r.options.Lease)
		case result.held[key]: // somebody has its row; that will be over soon
			again = min(again, r.options.Lease/20)
		case !job.lost:
			r.lose(key, job)
		}
	}
	r.renewAt = began.Add(again)
}

// dropExpired gives up what could not be renewed in time: somebody else may have
// it by now.
func (r *run) dropExpired() {
	for key, job := range r.running {
		if !job.lost && !time.Now().Before(job.until) {
			r.lose(key, job)
		}
	}
}

func (r *run) lose(key claim, job *running) {
	job.lost = true
	job.cancel(ErrLeaseLost)
	r.options.Log.Warn("work: lost a lease", "item", key.id)
}
