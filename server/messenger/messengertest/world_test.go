package messengertest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// world is a simulator with one app and page, a client for it, and a receiver of its webhooks.
type world struct {
	*testing.T
	ctx      context.Context
	sim      *messengertest.Graph
	app      *messengertest.App
	page     *messengertest.Page
	client   *messenger.Client
	receiver *receiver
}

func newWorld(t *testing.T, o messengertest.Options) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	if o.Clock == nil {
		o.Clock = messengertest.NewClock(start)
	}
	sim := messengertest.New(o)
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	t.Cleanup(sim.Close)
	w := &world{T: t, ctx: ctx, sim: sim, receiver: newReceiver(t)}
	w.app = sim.AddApp(messengertest.App{ID: "222", Secret: "app-secret"})
	w.page = sim.AddPage(messengertest.Page{ID: "101", Name: "Demo page"})
	w.client = &messenger.Client{BaseURL: api.URL, DialogURL: api.URL, HTTP: api.Client(),
		App: func() messenger.App { return messenger.App{ID: w.app.ID, Secret: w.app.Secret} }, Now: o.Clock.Now}
	w.must(sim.SetCallback(ctx, w.app.ID, w.receiver.url, "verify"))
	w.must(w.client.Subscribe(ctx, w.page.Token, w.page.ID, messenger.SubscribedFields()))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// settled waits for all webhooks and gives what they were.
func (w *world) settled() []messenger.Event {
	w.Helper()
	w.must(w.sim.Settle(w.ctx))
	return w.receiver.events()
}

func (w *world) says(to *messengertest.Person, text string) (messenger.SendResult, error) {
	return w.client.SendText(w.ctx, w.page.Token, messenger.SendText{PageID: w.page.ID, PSID: to.ID, Text: text,
		Metadata: "our-" + text, MessagingType: messenger.TypeResponse})
}

// receiver is an app's webhook endpoint as it ought to be.
type receiver struct {
	t      *testing.T
	url    string
	answer func() int // status for a post; nil: 200

	mu     sync.Mutex
	bodies [][]byte
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet {
		if req.URL.Query().Get("hub.verify_token") != "verify" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, req.URL.Query().Get("hub.challenge"))
		return
	}
	body, _ := io.ReadAll(req.Body)
	if !messenger.Verify("app-secret", req.Header.Get("X-Hub-Signature-256"), body) || req.Header.Get("X-Hub-Signature") == "" {
		r.t.Errorf("not signed: %s", body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil {
		if status := r.answer(); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
	}
	r.bodies = append(r.bodies, body)
}

func (r *receiver) answering(f func() int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *receiver) posts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, body := range r.bodies {
		all = append(all, string(body))
	}
	return all
}

func (r *receiver) events() []messenger.Event {
	var all []messenger.Event
	for _, body := range r.posts() {
		for _, item := range messenger.Split([]byte(body)) {
			e, err := messenger.Decode(item.Body())
			if err != nil {
				r.t.Errorf("%s: %v", item.Body(), err)
			}
			all = append(all, e)
		}
	}
	return all
}

func kinds(events []messenger.Event) string {
	s := ""
	for _, e := range events {
		if e.Standby {
			s += "standby:"
		}
		s += e.Kind + " "
	}
	return s
}
