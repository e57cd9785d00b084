package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/webhookevent"
	"parley/server/audit"
	"parley/server/channels"
	"parley/server/channels/channelstest"
	"parley/server/desk"
	"parley/server/ingest"
	"parley/server/messenger"
	"parley/server/messenger/messengertest"
	"parley/server/paging"
	"parley/server/seal"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

func always(s string) func() string { return func() string { return s } }

const (
	appID       = "1517776481860111"
	appSecret   = "an app secret"
	verifyToken = "a verify token"
)

// world is one database, the simulated Facebook with one page, and one clock
// for all.
type world struct {
	testing.TB
	store *store.Store
	clock *messengertest.Clock
	graph *messengertest.Graph
	page  *messengertest.Page
	url   string                 // of the Graph API
	at    *messengertest.Address // of the replica that gets the webhooks
}

func onBoth(t *testing.T, test func(w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(newWorld(t, s)) })
}

// newWorld is a world whose clock goes; it may be given one that stands.
func newWorld(t testing.TB, s *store.Store, clock ...*messengertest.Clock) *world {
	w := &world{TB: t, store: s, at: &messengertest.Address{}, clock: append(clock, &messengertest.Clock{})[0]}
	w.graph = messengertest.New(messengertest.Options{Clock: w.clock, HTTP: messengertest.Reaching(channelstest.Host, w.at.Get)})
	t.Cleanup(w.graph.Close)
	w.graph.AddApp(messengertest.App{ID: appID, Secret: appSecret})
	w.page = w.graph.AddPage(messengertest.Page{ID: "1000", Name: "Demo page"})
	api := httptest.NewServer(w.graph)
	t.Cleanup(api.Close)
	w.url = api.URL
	return w
}

// replica is the way in, as one process has it.
type replica struct {
	*world
	desk     *desk.Desk
	inbox    *ingest.Inbox
	channels *channels.Channels
	server   *httptest.Server
	stop     func() // what run began; the server stays
	logged   *safeBuffer
	opened   *store.Store
}

// replica starts one on a store.
func (w *world) replica(s *store.Store, o ...func(*ingest.Options)) *replica {
	w.Helper()
	r := &replica{world: w, stop: func() {}, logged: &safeBuffer{}, opened: s}
	log := slog.New(slog.NewTextHandler(r.logged, nil))
	var err error
	r.desk, err = desk.Open(ctx, s, desk.Options{
		Limits:    desk.Limits{SplitText: messenger.SplitText, ReplyWindow: messenger.StandardWindow, SimultaneousChats: func() int { return 5 }},
		WorkAdded: func() {}, Now: w.clock.Now, Log: log,
	})
	w.must(err)
	options := ingest.Options{AppSecret: always(appSecret), VerifyToken: always(verifyToken), Now: w.clock.Now, Log: log}
	for _, change := range o {
		change(&options)
	}
	r.inbox = ingest.New(s, r.desk, options)
	box, err := seal.New("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	w.must(err)
	client := &messenger.Client{BaseURL: w.url, App: func() messenger.App { return messenger.App{ID: appID, Secret: appSecret} }}
	ready, err := channelstest.Options(ctx, s, client.App(), w.clock.Now, log)
	w.must(err)
	ready.Connected = r.inbox.ReplayPage
	r.channels = channels.New(s, r.desk, client, box, ready)
	r.server = httptest.NewServer(r.inbox)
	w.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
		r.stop()
	})
	r.run()
	return r
}

func (r *replica) run() {
	running, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { r.inbox.Run(running) })
	parts.Go(func() { r.desk.Run(running) })
	r.stop = func() { cancel(); parts.Wait() }
}

// connect makes the page a channel.
func (r *replica) connect() *ent.Channel {
	r.Helper()
	r.at.Set(r.server.Listener.Addr().String())
	ch, err := r.channels.ConnectPage(ctx, audit.Actor{}, r.page.Token, false)
	r.must(err)
	return ch
}

// subscribe has the simulator deliver to this replica.
func (r *replica) subscribe() {
	r.Helper()
	r.at.Set(r.server.Listener.Addr().String())
	r.must(r.graph.SetCallback(ctx, appID, channelstest.PublicURL+channels.WebhookPath, verifyToken))
	r.page.Subscribe(appID, messenger.SubscribedFields()...)
}

// post delivers a signed body, as is, and gives the status of the answer.
func (r *replica) post(body string) int {
	r.Helper()
	status, _ := r.send([]byte(body), messenger.Sign(appSecret, []byte(body)))
	return status
}

func (r *replica) send(body []byte, signature string) (int, http.Header) {
	r.Helper()
	request, err := http.NewRequest(http.MethodPost, r.server.URL, bytes.NewReader(body))
	r.must(err)
	if signature != "" {
		request.Header.Set("X-Hub-Signature-256", signature)
	}
	answer, err := r.server.Client().Do(request)
	r.must(err)
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// envelope puts items of the demo page into a post.
func envelope(items ...string) string {
	var b bytes.Buffer
	b.WriteString(`{"object":"page","entry":[{"id":"1000","time":1795000000456,"messaging":[`)
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item)
	}
	b.WriteString(`]}]}`)
	return b.String()
}

// text is a message of a person to the demo page.
func text(person, mid, text string, at time.Time) string {
	return fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":"1000"},"timestamp":%d,"message":{"mid":%q,"text":%q}}`,
		person, at.UnixMilli(), mid, text)
}

// events counts stored events by state.
func (w *world) events() map[webhookevent.State]int {
	w.Helper()
	var rows []struct {
		State webhookevent.State
		Count int
	}
	w.must(w.store.Client().WebhookEvent.Query().GroupBy(webhookevent.FieldState).Aggregate(ent.Count()).Scan(ctx, &rows))
	counts := map[webhookevent.State]int{}
	for _, row := range rows {
		counts[row.State] = row.Count
	}
	return counts
}

// appliedBy is how many events these replicas applied as they came.
func appliedBy(all ...*replica) (n int) {
	for _, r := range all {
		n += r.inbox.Applied()
	}
	return n
}

func (w *world) rows() int {
	w.Helper()
	n, err := w.store.Client().WebhookEvent.Query().Count(ctx)
	w.must(err)
	return n
}

// drained waits until nothing is left to apply.
func (w *world) drained() {
	w.Helper()
	w.await("every event is applied", func() bool {
		n, err := w.store.Client().WebhookEvent.Query().Where(webhookevent.StateEQ(webhookevent.StatePending)).Count(ctx)
		w.must(err)
		return n == 0
	})
}

// await asks until the answer is yes.
func (w *world) await(what string, holds func() bool) {
	w.Helper()
	storetest.Until(w, what, holds, func() string { return fmt.Sprint("events ", w.events()) })
}

// texts gives the texts of a person's messages in the order readers see.
func (w *world) texts(person string) []string {
	w.Helper()
	rows, err := w.store.Query(ctx, `SELECT m.text FROM messages m JOIN chats c ON c.id = m.chat_id
		JOIN identities i ON i.id = c.identity_id WHERE i.external_id = $1 ORDER BY m.sent_at, m.id`, person)
	w.must(err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		w.must(rows.Scan(&s))
		all = append(all, s)
	}
	w.must(rows.Err())
	return all
}

// second opens the same database once more, as another replica does.
func (w *world) second() *store.Store {
	w.Helper()
	s, err := store.Open(ctx, w.store.URL)
	w.must(err)
	w.Cleanup(func() { _ = s.Close() })
	return s
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

// spoil has the database refuse a change, as a bug of ours or of its would, until
// the returned function is called. NEW is the row; on is "INSERT ON messages", say.
func (w *world) spoil(on, when string) (heal func()) {
	w.Helper()
	verb, table, _ := strings.Cut(on, " ON ")
	name := "spoilt_" + verb
	statements := []string{fmt.Sprintf(`CREATE TRIGGER %s BEFORE %s ON %s WHEN %s BEGIN SELECT RAISE(ABORT, 'spoilt by the test'); END`, name, verb, table, when)}
	undo := "DROP TRIGGER " + name
	if w.store.Postgres() {
		statements = []string{
			`CREATE OR REPLACE FUNCTION spoil() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'spoilt by the test'; END $$ LANGUAGE plpgsql`,
			fmt.Sprintf(`CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION spoil()`, name, verb, table, when)}
		undo = "DROP TRIGGER " + name + " ON " + table
	}
	for _, statement := range statements {
		w.exec(statement)
	}
	return func() { w.Helper(); w.exec(undo) }
}

func (w *world) exec(statement string, args ...any) {
	w.Helper()
	w.must(w.store.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	}))
}

func (w *world) number(query string, args ...any) (n int) {
	w.Helper()
	w.must(w.store.DB.QueryRowContext(ctx, w.store.SQL(query), args...).Scan(&n))
	return n
}

// closeStore takes the database away from this replica.
func (r *replica) closeStore() {
	r.Helper()
	r.must(r.opened.Close())
}

// calm waits until nothing is left to apply and the replica has seen it.
func (w *world) calm(r *replica) {
	w.Helper()
	w.drained()
	w.await("the replica sees that nothing waits", func() bool { return r.inbox.Waiting() == 0 })
}

var noPaging paging.Args

func sign(body []byte) string { return messenger.Sign(appSecret, body) }

// standing is a clock that moves only when it is told to.
func standing() *messengertest.Clock {
	return messengertest.NewClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
}
