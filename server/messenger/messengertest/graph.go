package messengertest

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Options of a simulator; the zero value is usable.
type Options struct {
	Clock *Clock       // nil: real time
	HTTP  *http.Client // for webhooks; nil: a plain one
	// Seed makes ids repeat from run to run. 0 makes them new, as a database that outlives the simulator needs them.
	Seed      uint64
	Behaviour Behaviour
	Retry     Retry
	PageSize  int    // most items of an answer that goes on at a cursor; 0: 2, so that whoever does not go on notices
	TokenMark string // is in every token and code that is made, for tests that look for where these get to
	Keep      int    // how many requests, posts and sent messages the logs hold; 0: 100,000
}

// Behaviour is how Facebook delivers. The zero value is the friendly case: one item per post, each once and in order.
type Behaviour struct {
	Batch      int           `json:"batch"`       // items per post; 0 means 1
	Grouped    bool          `json:"grouped"`     // items of one page in a row share an entry, instead of each having its own
	Repeat     int           `json:"repeat"`      // how many more times every post is sent
	Shuffle    bool          `json:"shuffle"`     // what waits in the queue is sent in random order
	Delay      time.Duration `json:"-"`           // between an event and its post, by the clock
	Hold       bool          `json:"hold"`        // nothing is posted, the queue grows
	NumericIDs bool          `json:"numeric_ids"` // sender, recipient and entry ids as JSON numbers
	Seconds    bool          `json:"seconds"`     // item timestamps in seconds, as some kinds have them
	EchoFirst  bool          `json:"echo_first"`  // a send is answered after its echo was delivered
	NoReceipts bool          `json:"no_receipts"` // nobody's phone confirms delivery
	AutoRead   bool          `json:"auto_read"`   // people read what they get at once
}

// Retry is what happens to a post that is not answered by 200 in time.
type Retry struct {
	Timeout time.Duration                   // 0: 5 s
	Backoff func(attempt int) time.Duration // by the clock; nil: three times at once, then 1 s doubling up to 5 min
	GiveUp  time.Duration                   // after that the app loses its subscription of the page; 0: 1 h
}

// Graph is a simulated Graph API with its apps, pages and people. Make it by New, end it by Close.
// All methods are safe for concurrent use.
type Graph struct {
	clock *Clock
	http  *http.Client
	retry Retry
	keep  int
	most  int // items of an answer
	mark  string
	mux   *http.ServeMux
	stop  context.CancelFunc
	ctx   context.Context
	work  sync.WaitGroup

	mu        sync.Mutex // guards everything below, and the state of apps, pages and people
	changed   chan struct{}
	random    *rand.Rand
	behaviour Behaviour
	apps      map[string]*App
	pages     map[string]*Page
	users     map[string]*User
	tokens    map[string]*token
	codes     map[string]*code
	faults    []*Fault
	pending   int // webhook items not yet delivered
	requests  []Request
	posts     []Post
	sent      []Sent
}

// New makes a simulator without apps and pages.
func New(o Options) *Graph {
	g := &Graph{
		clock: o.Clock, http: o.HTTP, retry: o.Retry, keep: o.Keep, most: o.PageSize, mark: o.TokenMark, behaviour: o.Behaviour,
		changed: make(chan struct{}), apps: map[string]*App{}, pages: map[string]*Page{}, tokens: map[string]*token{},
		users: map[string]*User{}, codes: map[string]*code{},
	}
	if g.clock == nil {
		g.clock = &Clock{}
	}
	if g.http == nil {
		g.http = &http.Client{}
	}
	if g.keep == 0 {
		g.keep = 100_000
	}
	if g.most == 0 {
		g.most = 2
	}
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	g.random = rand.New(rand.NewPCG(seed, seed))
	g.retry.fill()
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.mux = g.control()
	return g
}

func (r *Retry) fill() {
	if r.Timeout == 0 {
		r.Timeout = 5 * time.Second
	}
	if r.GiveUp == 0 {
		r.GiveUp = time.Hour
	}
	if r.Backoff == nil {
		r.Backoff = func(attempt int) time.Duration {
			if attempt <= 3 {
				return 0
			}
			return min(time.Second<<min(attempt-4, 20), 5*time.Minute)
		}
	}
}

// Close ends all deliveries and waits for them to end; requests that hang by a fault are let go.
func (g *Graph) Close() {
	g.stop()
	g.work.Wait()
}

// Clock gives the simulator's clock.
func (g *Graph) Clock() *Clock { return g.clock }

// Behave changes how Facebook delivers from now on.
func (g *Graph) Behave(b Behaviour) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.behaviour = b
	g.touch()
}

// Reset empties the logs and takes back faults and behaviour. Apps, pages, people, users and what waits for delivery stay.
func (g *Graph) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests, g.posts, g.sent, g.faults, g.behaviour = nil, nil, nil, nil, Behaviour{}
	g.touch()
}

// Settle waits until every webhook item is delivered or given up. While the clock stands, a post that waits for its
// next attempt waits for Advance.
func (g *Graph) Settle(ctx context.Context) error {
	return g.Wait(ctx, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.pending == 0
	})
}

// Wait waits until a condition on the simulator holds, and looks at it again whenever something happens in it.
func (g *Graph) Wait(ctx context.Context, holds func() bool) error {
	for {
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.ctx.Done():
			return g.ctx.Err()
		case <-changed:
		}
	}
}

// touch wakes all who wait for something to happen. The caller holds the lock.
func (g *Graph) touch() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// newID gives an id like those of Facebook's objects: 16 digits, no leading zero. The caller holds the lock.
func (g *Graph) newID() string {
	return strconv.FormatInt(1e15+g.random.Int64N(9e15), 10)
}

// newToken makes a token. The caller holds the lock.
func (g *Graph) newToken() string { return "EAAG" + g.mark + g.newMID()[2:] }

// newMID gives a message id. The caller holds the lock.
func (g *Graph) newMID() string {
	raw := make([]byte, 60)
	for i := range raw {
		raw[i] = byte(g.random.Uint32())
	}
	return "m_" + base64.RawURLEncoding.EncodeToString(raw)
}

// keepLast appends to a log that holds at most max entries.
func keepLast[T any](log []T, entry T, most int) []T {
	if len(log) >= 2*most {
		log = append([]T(nil), log[len(log)-most:]...)
	}
	return append(log, entry)
}
