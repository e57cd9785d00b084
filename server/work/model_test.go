package work_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/server/store"
	"parley/server/work"
)

var seed = flag.Uint64("seed", 0, "of the random test; 0 is a new one each time")

// model watches every run of every item and knows the rules.
type model struct {
	mu     sync.Mutex
	random *rand.Rand
	lanes  map[string]*laneModel
	runs   map[string]*itemModel // by payload
	broken []string
	ended  chan struct{} // a run ended
}

type laneModel struct {
	first  int64 // the item that has the lane, or had it last
	active *runModel
}

type itemModel struct {
	attempts     int
	settled      bool   // the last run answered Done or Dead
	last         string // the last run's answer
	doubtful     bool   // a run must be followed by one that knows: it answered Done or Dead, or broke off
	lastID       int64
	finishedInTx bool
}

type runModel struct {
	id    int64
	ended bool
}

func newModel(seed uint64) *model {
	return &model{random: rand.New(rand.NewPCG(seed, seed)), lanes: map[string]*laneModel{}, runs: map[string]*itemModel{}, ended: make(chan struct{}, 1)}
}

func (m *model) break_(format string, args ...any) {
	m.broken = append(m.broken, fmt.Sprintf(format, args...))
}

// begin checks that this run may be.
func (m *model) begin(j work.Job) (*runModel, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lane, item := m.lanes[j.Lane], m.runs[string(j.Payload)]
	if lane == nil {
		lane = &laneModel{}
		m.lanes[j.Lane] = lane
	}
	if item == nil {
		item = &itemModel{lastID: j.ID}
		m.runs[string(j.Payload)] = item
	}
	if a := lane.active; a != nil && !a.ended && !(a.id == j.ID && j.Lapsed) {
		m.break_("%s: %d runs beside %d", j.Lane, j.ID, a.id)
	}
	if j.ID < lane.first {
		m.break_("%s: %d runs after %d", j.Lane, j.ID, lane.first)
	}
	if j.ID > lane.first {
		for payload, other := range m.runs {
			if other.lastID == lane.first && !other.settled {
				m.break_("%s: %d runs though %s answered %s", j.Lane, j.ID, payload, other.last)
			}
		}
	}
	if item.doubtful && !j.Lapsed {
		m.break_("%s: %d runs after %s and does not know", j.Lane, j.ID, item.last)
	}
	if item.finishedInTx {
		m.break_("%s: %d runs though it was finished with its effects", j.Lane, j.ID)
	}
	if j.Attempts <= item.attempts {
		m.break_("%s: %d has attempt %d after %d", j.Lane, j.ID, j.Attempts, item.attempts)
	}
	run := &runModel{id: j.ID}
	lane.first, lane.active = j.ID, run
	item.attempts, item.settled = j.Attempts, false
	return run, m.random.IntN(100)
}

// end notes what the run answered.
func (m *model) end(j work.Job, run *runModel, answer string, finished bool) {
	m.mu.Lock()
	item := m.runs[string(j.Payload)]
	run.ended = true
	// The answer of a run that others took for dead says nothing about the item.
	if m.lanes[j.Lane].active == run || m.lanes[j.Lane].first == run.id {
		item.last, item.settled = answer, answer == "done" || answer == "dead"
	}
	item.doubtful = item.doubtful || answer != "later"
	item.finishedInTx = item.finishedInTx || finished
	m.mu.Unlock()
	select {
	case m.ended <- struct{}{}:
	default:
	}
}

// member is one replica of the fleet, with a connection of its own.
type member struct {
	store *store.Store
	pool  *work.Pool
	kill  chan bool // true: as if its process died, false: a hasty stop
}

func (m *model) handle(self *member) work.Handler {
	return func(ctx context.Context, j work.Job) work.Decision {
		run, dice := m.begin(j)
		answer, finished := "panic", false
		defer func() { m.end(j, run, answer, finished) }()
		if dice%16 == 0 {
			select {
			case self.kill <- dice%32 == 0:
			default:
			}
		}
		switch {
		case dice < 4:
			panic("a bug")
		case dice < 25:
			answer = "later"
			return work.Later(time.Now().Add(time.Duration(dice)*time.Millisecond), "not yet")
		case dice < 35:
			answer = "dead"
			return work.Dead("never")
		case dice < 60:
			finished = self.store.InTx(ctx, func(tx *store.Tx) error { return j.Finish(ctx, tx) }) == nil
		}
		answer = "done"
		return work.Done()
	}
}

func TestAnyNumberOfReplicasKeepTheRulesThroughRandomDeaths(t *testing.T) {
	seed := *seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with -seed=%d", seed)
	onBench(t, func(b *bench) { b.playFleet(seed) })
}

func (b *bench) playFleet(seed uint64) {
	const items, lanes, replicas = 120, 10, 3
	m := newModel(seed)
	fleet, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	var deaths atomic.Int32
	for range replicas {
		running.Go(func() {
			for fleet.Err() == nil {
				b.playMember(fleet, m, &deaths)
			}
		})
	}
	put := b.putAtRandom(rand.New(rand.NewPCG(seed, 7)), items, lanes)
	for end := time.After(4 * patience); b.count("NOT dead") > 0; {
		select {
		case <-m.ended:
		case <-time.After(50 * time.Millisecond): // the last answer has to be recorded
		case <-end:
			b.Fatalf("%d items are left", b.count("NOT dead"))
		}
	}
	stop()
	running.Wait()
	for _, what := range m.broken {
		b.Error(what)
	}
	for payload, committed := range put {
		if ran := m.runs[payload] != nil; ran != committed {
			b.Errorf("%s: ran %t, committed %t", payload, ran, committed)
		}
	}
	b.Logf("%d items ran through %d deaths", len(m.runs), deaths.Load())
}

// playMember is the life of one replica.
func (b *bench) playMember(fleet context.Context, m *model, deaths *atomic.Int32) {
	s, err := store.Open(ctx, b.store.URL)
	if err != nil {
		b.Error(err)
		return
	}
	defer s.Close()
	self := &member{store: s, kill: make(chan bool, 1)}
	self.pool = work.New(s, work.Options{Log: quiet, Workers: 4, Lease: 500 * time.Millisecond, Poll: 10 * time.Millisecond, Grace: time.Millisecond},
		map[string]work.Handler{"say": m.handle(self)})
	life, end := context.WithCancel(fleet)
	defer end()
	over := make(chan struct{})
	go func() { defer close(over); self.pool.Run(life) }()
	select {
	case crash := <-self.kill:
		deaths.Add(1)
		if crash {
			_ = s.Close()
		}
		end()
	case <-fleet.Done():
	}
	<-over
}

// putAtRandom says of each payload whether its transaction committed.
func (b *bench) putAtRandom(random *rand.Rand, items, lanes int) map[string]bool {
	put := map[string]bool{}
	for n := 0; n < items; {
		commit := random.IntN(8) > 0
		var batch []work.Item
		for range 1 + random.IntN(4) {
			payload := fmt.Sprint("item ", n)
			item := say(fmt.Sprint("lane ", random.IntN(lanes)), payload)
			item.RunAt = time.Now().Add(time.Duration(random.IntN(30)) * time.Millisecond)
			batch, put[payload], n = append(batch, item), commit, n+1
		}
		err := b.store.InTx(ctx, func(tx *store.Tx) error {
			if err := work.Put(ctx, tx, time.Now(), batch...); err != nil || commit {
				return err
			}
			return context.Canceled
		})
		if commit && err != nil {
			b.Fatal(err)
		}
	}
	return put
}
