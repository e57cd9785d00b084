// Package apptest gives tests a whole Parley over real HTTP, on a fresh database
// of each kind, with the simulator as its Facebook: a connected page that is
// live, a queue, an administrator. Nothing of ours is faked. A World may be used
// by several goroutines of its test.
package apptest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent/operator"
	"parley/server/app"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/config"
	"parley/server/edge"
	"parley/server/messenger/messengertest"
	"parley/server/seal"
	"parley/server/store"
	"parley/server/store/storetest"
)

// What the world is set up with.
const (
	AppID       = "1111111111"
	AppSecret   = "app-secret-of-the-simulator"
	VerifyToken = "verify token/of+the&simulator"
	AdminEmail  = "admin@test.example"
	// Password is everybody's.
	Password = "correct horse battery"
)

// Options of a World; zero values do.
type Options struct {
	Postgres  bool
	Database  string // of a World before; empty is a fresh one
	Data      string // its folder; empty is a fresh one
	SecretKey string // empty makes one on PostgreSQL
	Environ   []string
	Timing    edge.Timing
	Now       func() time.Time
	Store     func(*store.Store) // sees the store before anything else does
	LogLevel  slog.Level         // least level that is kept in the log
	TokenMark string             // is in every token and code of the simulator
	Bare      bool               // no page, no queue, no administrator by a known password
}

// World is one app and what is around it.
type World struct {
	t        testing.TB
	App      *app.App
	Store    *store.Store
	Facebook *messengertest.Graph
	Page     *messengertest.Page
	URL      string // of the app
	Admin    *Client
	Queue    string // id of the page's queue
	Channel  string // id of the page's channel
	Options  Options
	Log      *Log

	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

// Each runs a test on SQLite and on PostgreSQL.
func Each(t *testing.T, o Options, test func(*testing.T, *World)) {
	t.Run("sqlite", func(t *testing.T) { test(t, Start(t, o)) })
	t.Run("postgres", func(t *testing.T) { o.Postgres = true; test(t, Start(t, o)) })
}

// Start runs an app until the test ends.
func Start(t testing.TB, o Options) *World {
	t.Helper()
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	if o.Postgres && o.Database == "" {
		o.Database, o.SecretKey = storetest.PostgresURL(t), seal.Generate()
	}
	w := &World{t: t, Options: o, Log: &Log{}, ended: make(chan struct{})}
	var address messengertest.Address
	w.Facebook = messengertest.New(messengertest.Options{TokenMark: o.TokenMark, HTTP: messengertest.Reaching("parley.test", address.Get)})
	t.Cleanup(w.Facebook.Close)
	w.Facebook.AddApp(messengertest.App{
		ID: AppID, Secret: AppSecret, Name: "Parley", RedirectURIs: []string{"http://parley.test" + channels.CallbackPath},
	})
	w.Page = w.Facebook.AddPage(messengertest.Page{ID: "1000", Name: "Harbour Coffee", AppID: AppID})
	graphAPI := httptest.NewServer(w.Facebook)
	t.Cleanup(graphAPI.Close)

	environ := []string{
		"PARLEY_ADDR=127.0.0.1:0", "PARLEY_DATA=" + o.Data, "PARLEY_GRAPH_URL=" + graphAPI.URL,
		"PARLEY_FACEBOOK_URL=" + graphAPI.URL, "PARLEY_PUBLIC_URL=http://parley.test",
		"FACEBOOK_APP_ID=" + AppID, "FACEBOOK_APP_SECRET=" + AppSecret, "FACEBOOK_WEBHOOK_VERIFY_TOKEN=" + VerifyToken,
		"DATABASE_URL=" + o.Database, "PARLEY_SECRET_KEY=" + o.SecretKey,
	}
	if !o.Bare {
		environ = append(environ, "PARLEY_ADMIN_EMAIL="+AdminEmail, "PARLEY_ADMIN_PASSWORD="+Password)
	}
	c, err := config.Load(nil, append(environ, o.Environ...))
	if err != nil {
		t.Fatal(err)
	}
	w.App, err = app.New(t.Context(), app.Options{
		Config: c, Timing: o.Timing, Now: o.Now, Log: slog.New(slog.NewTextHandler(w.Log, &slog.HandlerOptions{Level: o.LogLevel})),
		Open: func(ctx context.Context, location string) (*store.Store, error) {
			s, err := store.Open(ctx, location)
			if err == nil && o.Store != nil {
				o.Store(s)
			}
			w.Store = s
			return s, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.URL = "http://" + w.App.Addr()
	address.Set(w.App.Addr())
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() {
		w.err = w.App.Run(ctx)
		close(w.ended)
	}()
	t.Cleanup(func() { w.Stop() })
	if !o.Bare {
		w.setUp()
	}
	return w
}

// Stop ends the app and gives what Run gave.
func (w *World) Stop() error {
	w.stop()
	<-w.ended
	w.App.Close()
	return w.err
}

// Ended is closed when Run has returned.
func (w *World) Ended() <-chan struct{} { return w.ended }

// Stopping has the app begin to stop, and does not wait.
func (w *World) Stopping() { w.stop() }

func (w *World) setUp() {
	w.t.Helper()
	w.Admin = w.SignIn(AdminEmail)
	connected := w.Admin.Must(`mutation($t: String!) { connectFacebookPage(input: {pageAccessToken: $t}) { channel { id } userErrors { code message } } }`,
		map[string]any{"t": w.Page.Token})
	w.Channel = connected.String("connectFacebookPage.channel.id")
	w.Queue = w.AddQueue("Support")
	w.Admin.Must(`mutation($c: ID!, $q: ID!) { updateChannel(input: {id: $c, active: true, queueId: $q}) { userErrors { code message } } }`,
		map[string]any{"c": w.Channel, "q": w.Queue})
}

// AddQueue makes a queue with members, whoever was there before.
func (w *World) AddQueue(name string, members ...*Client) string {
	w.t.Helper()
	return w.Admin.Must(`mutation($n: String!, $o: [ID!]) { createQueue(input: {name: $n, operatorIds: $o}) { queue { id } userErrors { code message } } }`,
		map[string]any{"n": name, "o": ids(members)}).String("createQueue.queue.id")
}

// Members makes these the members of a queue.
func (w *World) Members(queue string, members ...*Client) {
	w.t.Helper()
	w.Admin.Must(`mutation($q: ID!, $o: [ID!]) { updateQueue(input: {id: $q, operatorIds: $o}) { userErrors { code message } } }`,
		map[string]any{"q": queue, "o": ids(members)})
}

func ids(clients []*Client) []string {
	list := []string{}
	for _, c := range clients {
		list = append(list, c.ID)
	}
	return list
}

// hash is Password's; making one takes its time.
var hash = sync.OnceValues(func() (string, error) { return auth.Hash(Password) })

// Add adds a person of any role, and signs them in.
func (w *World) Add(name string, role operator.Role) *Client {
	w.t.Helper()
	hash, err := hash()
	if err != nil {
		w.t.Fatal(err)
	}
	email := strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@test.example"
	err = w.Store.InTx(w.t.Context(), func(tx *store.Tx) error {
		return tx.Operator.Create().SetID(uuid.Must(uuid.NewV7())).SetEmail(email).SetName(name).SetPasswordHash(hash).
			SetRole(role).SetCreatedAt(time.Now().UTC().Truncate(time.Microsecond)).Exec(context.Background())
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.SignIn(email)
}

// Customer adds somebody who can write to the page.
func (w *World) Customer(name string) *messengertest.Person {
	return w.Page.AddPerson(messengertest.Person{FirstName: name, LastName: "Customer"})
}

// Hears has a customer write, waits until it is stored, and gives the chat's id.
func (w *World) Hears(from *messengertest.Person, text string) (chat string) {
	w.t.Helper()
	before := w.cursor()
	from.Writes(text)
	w.Until(text+" has come", func() bool {
		chat = w.chatOf(text, before)
		return chat != ""
	})
	// The log is read at once, followed a moment later: whoever subscribes after
	// this hears it no more.
	var last int64
	if err := w.Store.DB.QueryRowContext(w.t.Context(), "SELECT MAX(id) FROM events").Scan(&last); err != nil {
		w.t.Fatal(err)
	}
	w.Until(text+" is followed", func() bool { return w.App.Desk.Events().Head() >= last })
	return chat
}

func (w *World) cursor() string {
	w.t.Helper()
	return w.Admin.Must(`{ eventCursor }`, nil).String("eventCursor")
}

// chatOf is the chat that got the text after the cursor, or "".
func (w *World) chatOf(text, after string) string {
	w.t.Helper()
	page := w.Admin.Must(`query($c: Cursor) { events(after: $c) { events { ... on MessageAdded { message { text chat { id } } } } } }`,
		map[string]any{"c": after})
	for _, e := range page.List("events.events") {
		if message, ok := e.(map[string]any)["message"].(map[string]any); ok && message["text"] == text {
			return message["chat"].(map[string]any)["id"].(string)
		}
	}
	return ""
}

// Until waits for a fact, and looks for it again and again.
func (w *World) Until(fact string, holds func() bool) {
	w.t.Helper()
	storetest.Until(w.t, fact, holds)
}

// Sign is the signature of a webhook's body.
func Sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(AppSecret))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Remote is somebody else's app, to be asked and nothing more.
func Remote(t testing.TB, url string) *World { return &World{t: t, URL: url} }

// Log keeps what the app logs.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
