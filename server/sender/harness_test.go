package sender_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/delivery"
	"parley/ent/message"
	"parley/ent/operator"
	entwork "parley/ent/work"
	"parley/server/audit"
	"parley/server/channels"
	"parley/server/channels/channelstest"
	"parley/server/desk"
	"parley/server/globalid"
	"parley/server/ingest"
	"parley/server/messenger"
	"parley/server/messenger/messengertest"
	"parley/server/seal"
	"parley/server/sender"
	"parley/server/store"
	"parley/server/store/storetest"
	"parley/server/work"
)

func TestMain(m *testing.M) {
	if os.Getenv(beVictim) != "" {
		victim()
		return
	}
	storetest.Main(m)
}

var ctx = context.Background()

const (
	appID       = "1517776481860111"
	appSecret   = "an app secret"
	verifyToken = "a verify token"
	key         = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	otherKey    = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="
)

// world is one database, the simulated Facebook, an operator, and the chat that
// they have with Ann. One clock, which stands, for all.
type world struct {
	testing.TB
	store *store.Store
	clock *messengertest.Clock
	graph *messengertest.Graph
	page  *messengertest.Page
	url   string
	at    *messengertest.Address // of the replica that gets the webhooks
	ann   *messengertest.Person
	agent desk.Viewer
	chat  globalid.ID
}

// replica is what is needed to send and to hear of it, as one process has it.
type replica struct {
	*world
	desk     *desk.Desk
	inbox    *ingest.Inbox
	channels *channels.Channels
	pool     *work.Pool
	stop     func()
	logged   *safeBuffer
}

func onBoth(t *testing.T, test func(r *replica)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		r := w.replica(s, options{})
		r.meetAnn()
		test(r)
	})
}

func newWorld(t testing.TB, s *store.Store) *world {
	w := &world{TB: t, store: s, at: &messengertest.Address{}, clock: messengertest.NewClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))}
	// Posts that are refused come again at once: the clock stands, and would not
	// let any time pass for them. A clock that leaps ages what is not yet applied.
	w.graph = messengertest.New(messengertest.Options{Clock: w.clock, HTTP: messengertest.Reaching(channelstest.Host, w.at.Get), Retry: messengertest.Retry{
		Backoff: func(int) time.Duration { return 0 }, GiveUp: 10_000 * time.Hour,
	}})
	t.Cleanup(w.graph.Close)
	w.graph.AddApp(messengertest.App{ID: appID, Secret: appSecret})
	w.page = w.graph.AddPage(messengertest.Page{ID: "1000", Name: "Demo page"})
	w.ann = w.page.AddPerson(messengertest.Person{ID: "ann"})
	api := httptest.NewServer(w.graph)
	t.Cleanup(api.Close)
	w.url = api.URL
	return w
}

type options struct {
	key     string
	timeout time.Duration // of calls to Facebook
	pool    work.Options
	idle    bool // nothing is sent
}

func (w *world) replica(s *store.Store, o options) *replica {
	w.Helper()
	r := &replica{world: w, logged: &safeBuffer{}}
	log := slog.New(slog.NewTextHandler(r.logged, nil))
	var err error
	r.desk, r.channels, r.inbox, r.pool, err = assemble(s, w.url, w.clock.Now, log, o)
	w.must(err)
	hook := httptest.NewServer(r.inbox)
	running, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { r.inbox.Run(running) })
	parts.Go(func() { r.desk.Run(running) })
	if !o.idle {
		parts.Go(func() { r.pool.Run(running) })
	}
	r.stop = func() { cancel(); parts.Wait() }
	w.Cleanup(func() {
		hook.CloseClientConnections()
		hook.Close()
		r.stop()
		if w.Failed() {
			w.Logf("the replica said:\n%s", r.logged)
		}
	})
	w.at.Set(hook.Listener.Addr().String())
	w.must(w.graph.SetCallback(ctx, appID, channelstest.PublicURL+channels.WebhookPath, verifyToken))
	return r
}

// assemble wires the parts as app does.
func assemble(s *store.Store, graphURL string, now func() time.Time, log *slog.Logger, o options) (*desk.Desk, *channels.Channels, *ingest.Inbox, *work.Pool, error) {
	var pool *work.Pool
	d, err := desk.Open(ctx, s, desk.Options{
		Limits:    desk.Limits{SplitText: messenger.SplitText, ReplyWindow: messenger.StandardWindow, SimultaneousChats: func() int { return 5 }},
		WorkAdded: func() { pool.Signal() }, Now: now, Log: log,
	})
	if err != nil {
		return nil, nil, nil, nil, err
	}
	inbox := ingest.New(s, d, ingest.Options{AppSecret: func() string { return appSecret }, VerifyToken: func() string { return verifyToken }, Now: now, Log: log})
	if o.key == "" {
		o.key = key
	}
	box, err := seal.New(o.key)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	client := &messenger.Client{BaseURL: graphURL, App: func() messenger.App { return messenger.App{ID: appID, Secret: appSecret} }}
	if o.timeout > 0 {
		client.HTTP = &http.Client{Timeout: o.timeout}
	}
	ready, err := channelstest.Options(ctx, s, client.App(), now, log)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	ready.Connected = inbox.ReplayPage
	c := channels.New(s, d, client, box, ready)
	if o.pool.Poll == 0 { // it is how a moved clock is noticed
		o.pool.Poll = 10 * time.Millisecond
	}
	if o.pool.Grace == 0 { // at the end of a test, nobody answers
		o.pool.Grace = 500 * time.Millisecond
	}
	o.pool.Now, o.pool.Log = now, log
	pool = work.New(s, o.pool, map[string]work.Handler{
		desk.WorkSend: sender.New(d, c, client, now, log).Send, desk.WorkProfile: c.ReadProfile,
	})
	return d, c, inbox, pool, nil
}

// meetAnn connects the page, and has Ann write and the operator accept.
func (r *replica) meetAnn() {
	r.Helper()
	ch, err := r.channels.ConnectPage(ctx, audit.Actor{}, r.page.Token, false)
	r.must(err)
	nobody := desk.Viewer{Operator: &ent.Operator{Role: operator.RoleAdmin}}
	o, err := r.desk.CreateOperator(ctx, nobody, desk.NewOperator{Email: "o@test.example", Name: "Olga", PasswordHash: "x", Role: operator.RoleAdmin})
	r.must(err)
	r.agent, err = r.desk.Viewer(ctx, o.ID)
	r.must(err)
	q, err := r.desk.CreateQueue(ctx, r.agent, "Support", nil, "")
	r.must(err)
	active, queue := true, q.GlobalID()
	_, err = r.desk.UpdateChannel(ctx, audit.Actor{}, desk.ChannelChange{ChannelRef: desk.ChannelRef{ID: ch.GlobalID()}, Active: &active, Queue: &desk.Queued{ID: queue}})
	r.must(err)
	r.ann.Writes("hello")
	r.await("Ann's chat is there", func() bool {
		chat, err := r.store.Client().Chat.Query().Only(ctx)
		if err != nil {
			return false
		}
		r.chat = chat.GlobalID()
		return true
	})
	_, err = r.desk.Accept(ctx, r.agent, r.chat)
	r.must(err)
	r.await("Ann's profile is read", func() bool {
		n, err := r.store.Client().Work.Query().Where(entwork.KindNEQ(desk.WorkCheck)).Count(ctx)
		r.must(err)
		return n == 0
	})
}

// says has the operator write.
func (r *replica) says(text string) *ent.Message {
	r.Helper()
	m, err := r.desk.Send(ctx, r.agent, r.chat, text, "")
	r.must(err)
	return m
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// await asks until the answer is yes.
func (w *world) await(what string, holds func() bool) {
	w.Helper()
	storetest.Until(w, what, holds, func() string { return fmt.Sprintf("deliveries %s; sent %q", w.deliveries(), w.sent()) })
}

// awaitLater lets time go by until the answer is yes.
func (w *world) awaitLater(what string, step time.Duration, holds func() bool) {
	w.Helper()
	w.await(what, func() bool { w.clock.Advance(step); return holds() })
}

func (w *world) state(m *ent.Message) message.State {
	w.Helper()
	now, err := w.store.Client().Message.Get(ctx, m.ID)
	w.must(err)
	return *now.State
}

func (w *world) is(m *ent.Message, s message.State) func() bool {
	return func() bool { w.Helper(); return w.state(m) == s }
}

func (w *world) delivery(m *ent.Message) *ent.Delivery {
	w.Helper()
	d, err := w.store.Client().Delivery.Query().Where(delivery.MessageID(m.ID)).Only(ctx)
	w.must(err)
	return d
}

// deliveries tells the states of all, in order.
func (w *world) deliveries() string {
	rows, err := w.store.Client().Delivery.Query().Order(ent.Asc(delivery.FieldID)).All(ctx)
	w.must(err)
	var all []string
	for _, d := range rows {
		all = append(all, string(d.State))
	}
	return strings.Join(all, " ")
}

// sent gives the texts that Facebook accepted, in order.
func (w *world) sent() (texts []string) {
	for _, s := range w.graph.Sent() {
		texts = append(texts, s.Text)
	}
	return texts
}

// calls counts the attempts to send that reached Facebook.
func (w *world) calls() (n int) {
	for _, request := range w.graph.Requests() {
		if strings.HasSuffix(request.Path, "/messages") {
			n++
		}
	}
	return n
}

// due gives when the next item of the work table is.
func (w *world) due() time.Time {
	w.Helper()
	row, err := w.store.Client().Work.Query().Where(entwork.KindNEQ(desk.WorkCheck)).Order(ent.Asc("id")).First(ctx)
	w.must(err)
	return row.RunAt
}

// once checks that these texts and no others went out, each once and in order.
func (w *world) once(texts ...string) {
	w.Helper()
	if got, want := fmt.Sprintf("%.20q", w.sent()), fmt.Sprintf("%.20q", texts); got != want {
		w.Errorf("Facebook has %s, want %s", got, want)
	}
}

// settled waits until Facebook has delivered everything and it is applied.
func (w *world) settled() {
	w.Helper()
	w.must(w.graph.Settle(ctx))
	w.await("every event is applied", func() bool {
		var n int
		w.must(w.store.DB.QueryRowContext(ctx, "SELECT count(*) FROM webhook_events WHERE state = 'PENDING'").Scan(&n))
		return n == 0
	})
}

// safeBuffer is a log that a test reads while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
