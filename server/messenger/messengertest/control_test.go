package messengertest_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/server/messenger/messengertest"
)

// script drives a simulator by its control API alone, as another language would.
func script(t *testing.T, sim *messengertest.Graph) func(method, path, body string) (int, string) {
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	return func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, api.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := api.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw)
	}
}

func TestAScriptCanDriveTheSimulator(t *testing.T) {
	sim := messengertest.New(messengertest.Options{Clock: messengertest.NewClock(start)})
	defer sim.Close()
	r := newReceiver(t)
	call := script(t, sim)
	for _, step := range []struct{ method, path, body, want string }{
		{"POST", "/_sim/apps", `{"id":"222","secret":"app-secret"}`, `"secret":"app-secret"`},
		{"POST", "/_sim/pages", `{"id":"101","name":"Demo","token":"T"}`, `"token":"T"`},
		{"POST", "/_sim/callback", `{"app_id":"222","url":"` + r.url + `","verify_token":"verify"}`, `{}`},
		{"POST", "/_sim/pages/101/subscribe", ``, `{}`},
		{"POST", "/_sim/pages/101/people", `{"id":"11","first_name":"Ann","profile":"partial"}`, `"id":"11"`},
		{"POST", "/_sim/behaviour", `{"batch":10,"hold":true,"delay_ms":0}`, `{}`},
		{"POST", "/_sim/pages/101/people/11/writes", `{"text":"Hi","count":3}`, `"mids":["m_`},
		{"POST", "/_sim/pages/101/people/11/sends", `{"message":{"text":"?"}}`, `"mid":"m_`},
		{"POST", "/_sim/pages/101/people/11/taps", `{"title":"Go","payload":"GO"}`, `"mid":"m_`},
		{"POST", "/_sim/pages/101/people/11/reads", ``, `{}`},
		{"POST", "/_sim/pages/101/people/11/inbox", `{"text":"I"}`, `"mid":"m_`},
		{"POST", "/_sim/pages/101/posts", `{"array":"standby","items":[{"hologram":1}]}`, `{}`},
		{"POST", "/_sim/reset", ``, `{}`},
		{"POST", "/_sim/settle", ``, `{}`},
		{"GET", "/_sim/posts", ``, `hologram`},
		{"POST", "/_sim/faults", `{"path":"/messages","code":190,"subcode":460}`, `{}`},
		{"POST", "/101/messages?access_token=T", ``, `"error_subcode":460`},
		{"POST", "/101/messages?access_token=T&recipient={%22id%22:11}&message={%22text%22:%22x%22}", ``, `"message_id":"m_`},
		{"GET", "/_sim/sent", ``, `"psid":"11"`},
		{"POST", "/_sim/pages/101/people/11/blocks", `{"blocked":true}`, `{}`},
		{"POST", "/_sim/clock", `{"advance_ms":3600000}`, `2026-11-22T11:00:00Z`},
		{"POST", "/_sim/tokens/kill", `{"token":"T","subcode":467}`, `{}`},
		{"GET", "/me?access_token=T", ``, `"error_subcode":467`},
		{"GET", "/_sim/log", ``, `"path":"/me"`},
	} {
		if _, got := call(step.method, step.path, step.body); !strings.Contains(got, step.want) {
			t.Errorf("%s %s: %s", step.method, step.path, got)
		}
	}
	if err := sim.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := kinds(r.events()); !strings.HasPrefix(got, "message message message message postback read echo standby:unknown ") {
		t.Error(got)
	}
}

func TestAScriptHearsOfItsMistakes(t *testing.T) {
	sim := messengertest.New(messengertest.Options{})
	defer sim.Close()
	call := script(t, sim)
	for path, body := range map[string]string{
		"/_sim/pages":                   `{"id":"101"}`,
		"/_sim/apps":                    `{"idd":"1"}`,
		"/_sim/callback":                `{"app_id":"1"}`,
		"/_sim/pages/9/people":          `{}`,
		"/_sim/pages/9/subscribe":       `{}`,
		"/_sim/pages/9/posts":           `{}`,
		"/_sim/pages/9/people/1/writes": `{"text":"x"}`,
		"/_sim/faults":                  `{"code":"x"}`,
	} {
		var answer struct{ Error string }
		status, raw := call("POST", path, body)
		if err := json.Unmarshal([]byte(raw), &answer); err != nil || status != 400 || answer.Error == "" {
			t.Errorf("%s: %d %s", path, status, raw)
		}
	}
	sim.AddApp(messengertest.App{ID: "222"})
	page := sim.AddPage(messengertest.Page{ID: "101"})
	page.AddPerson(messengertest.Person{ID: "11"})
	for path, body := range map[string]string{
		"/_sim/pages/101/people/12/writes": `{}`, "/_sim/pages/101/people/11/sings": `{}`,
		"/_sim/pages/101/people/11/sends": `{}`, "/_sim/pages/101/subscribe": `{"app_id":"9"}`,
	} {
		if status, raw := call("POST", path, body); status != 400 {
			t.Errorf("%s: %d %s", path, status, raw)
		}
	}
}

func TestSettlingInVainEndsInTime(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{Hold: true}})
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	if status, body := script(t, w.sim)("POST", "/_sim/settle", `{"timeout_ms":20}`); status != http.StatusGatewayTimeout {
		t.Errorf("%d %s", status, body)
	}
}

func TestChatteringCustomersAnswerOperators(t *testing.T) {
	w := newWorld(t, messengertest.Options{Clock: &messengertest.Clock{}})
	ctx, stop := context.WithCancel(w.ctx)
	chatter := messengertest.Chatter{Graph: w.sim, Pages: []*messengertest.Page{w.page}, Customers: 3, Every: time.Millisecond,
		Random: rand.New(rand.NewPCG(1, 1))}
	ended := make(chan struct{})
	go func() { chatter.Run(ctx); close(ended) }()
	heard := func(kind string) func() bool {
		return func() bool { return strings.Contains(kinds(w.receiver.events()), kind) }
	}
	w.must(w.sim.Wait(w.ctx, heard("message")))
	first := w.receiver.events()[0]
	_, err := w.says(w.page.AddPerson(messengertest.Person{ID: first.Person}), "How can I help?")
	w.must(err)
	w.must(w.sim.Wait(w.ctx, heard("read message")))
	stop()
	<-ended
}
