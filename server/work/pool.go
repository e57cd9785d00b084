package work

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"parley/server/store"
)

// Options of a pool; zero values mean the defaults.
type Options struct {
	Now     func() time.Time // the app's clock, for what is due
	Lease   time.Duration    // how long a dead worker's items wait; 30 s
	Poll    time.Duration    // how often to look without a signal; 1 s
	Grace   time.Duration    // how long running handlers may finish after a stop; 10 s
	Workers int              // how many handlers run at once; 16
	Log     *slog.Logger
}

// Pool runs handlers for items of the kinds it knows. Other kinds are left to
// others, such as replicas of a newer version.
type Pool struct {
	store    *store.Store
	options  Options
	handlers map[string]Handler
	kinds    string
	say      statements
	signal   chan struct{}
}

// New makes a pool with one handler per kind.
func New(s *store.Store, options Options, handlers map[string]Handler) *Pool {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	options.Lease = cmp.Or(options.Lease, 30*time.Second)
	options.Poll = cmp.Or(options.Poll, time.Second)
	options.Grace = cmp.Or(options.Grace, 10*time.Second)
	options.Workers = cmp.Or(options.Workers, 16)
	return &Pool{
		store: s, options: options, handlers: maps.Clone(handlers),
		kinds:  strings.Join(slices.Sorted(maps.Keys(handlers)), ","),
		say:    statementsFor(s.Postgres()),
		signal: make(chan struct{}, 1),
	}
}

// Signal says that something may be due: call it after a commit that put,
// released or woke items. It never blocks.
func (p *Pool) Signal() {
	select {
	case p.signal <- struct{}{}:
	default: // one that was not heard yet says the same
	}
}

// Run works until the context ends. Then it claims nothing more, lets running
// handlers finish within the grace, cancels those that do not, and returns; what
// has no answer by then lapses.
func (p *Pool) Run(ctx context.Context) {
	r := &run{Pool: p, answers: make(chan answer, p.options.Workers), running: map[claim]*running{}}
	r.inherit(ctx)
	for ctx.Err() == nil {
		r.wait(ctx.Done(), r.round(ctx, true))
	}
	r.drain(ctx)
}

// run is the state of one Run; only its goroutine touches it.
type run struct {
	*Pool
	answers   chan answer // has room for every worker: a handler that outlives the run blocks on nothing
	running   map[claim]*running
	unsettled []answer // not yet recorded
	renewAt   time.Time
	parkAt    time.Time
}

// claim names one claim of an item.
type claim struct {
	id    int64
	lease string
}

func (j Job) claim() claim { return claim{j.ID, j.lease} }

type running struct {
	cancel context.CancelCauseFunc
	until  time.Time // when the lease ends at the earliest, by this process's clock
	lost   bool
}

type answer struct {
	job Job
	Decision
}

// open counts the claims whose answer is not recorded yet.
func (r *run) open() int { return len(r.running) + len(r.unsettled) }

// start runs the handler of a job whose lease was asked for at began.
func (r *run) start(ctx context.Context, job Job, began time.Time) {
	handling, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r.running[job.claim()] = &running{cancel: cancel, until: began.Add(r.options.Lease)}
	go r.handle(handling, job)
}

// handle answers whatever happens in the handler.
func (r *run) handle(ctx context.Context, job Job) {
	var decision Decision
	defer func() {
		if decision.verdict == none {
			r.options.Log.Error("work: a handler broke off", "kind", job.Kind, "item", job.ID,
				"panic", recover(), "stack", string(debug.Stack()))
		}
		r.answers <- answer{job, decision}
	}()
	decision = r.handlers[job.Kind](ctx, job)
}

// wait returns when something happened or the time is over.
func (r *run) wait(stop <-chan struct{}, longest time.Duration) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case a := <-r.answers:
		r.take(a)
		r.collect()
	case <-r.signal:
	case <-timer.C:
	case <-stop:
	}
}

// collect takes the answers that are there, so that one round records them all.
func (r *run) collect() {
	for {
		select {
		case a := <-r.answers:
			r.take(a)
		default:
			return
		}
	}
}

func (r *run) take(a answer) {
	key := a.job.claim()
	r.running[key].cancel(nil)
	delete(r.running, key)
	r.unsettled = append(r.unsettled, a)
}

// afterCancel is how long a handler has to answer once its context has ended.
const afterCancel = time.Second

// drain records the answers of handlers that are still running: they may finish
// within the grace, and have a moment more when they are told that it is over.
func (r *run) drain(ctx context.Context) {
	for _, patience := range []time.Duration{r.options.Grace, afterCancel} {
		end := time.Now().Add(patience)
		for r.open() > 0 {
			longest := min(r.round(ctx, false), time.Until(end))
			if r.open() == 0 || longest <= 0 {
				break
			}
			r.wait(nil, longest)
		}
		for _, job := range r.running {
			job.cancel(context.Canceled)
		}
	}
	if n := r.open(); n > 0 {
		r.options.Log.Warn("work: stopped without an answer", "items", n)
	}
}
