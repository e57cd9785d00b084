package app_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/server/app/apptest"
	"parley/server/settings"
)

const (
	tokenMark = "MARKEDxTOKEN"
	control   = "a message that anybody with the database may read"
)

// run is a world whose answers are all kept.
type run struct {
	*world
	t       *testing.T
	secrets *marks
	answers *answers
	stray   apptest.Log // of what has no log of its own
	first   string      // cursor
	wrong   int
}

// All secrets of an installation are looked for in all that it writes and says,
// after a run that gives it every kind of secret and every reason to repeat one:
// what Facebook and an identity server say has them in it, too. Answers are cut
// where they show a secret by design, and what that is is looked for as well.
func TestNoSecretIsInTheDatabaseTheLogAnEventOrAnAnswer(t *testing.T) {
	for _, postgres := range []bool{false, true} {
		t.Run(map[bool]string{false: "sqlite", true: "postgres"}[postgres], func(t *testing.T) {
			r := start(t, postgres)
			r.people()
			r.machines()
			r.settings()
			r.pages()
			r.logins()
			r.conversation()
			r.strangers()
			r.search()
		})
	}
}

func start(t *testing.T, postgres bool) *run {
	r := &run{t: t, secrets: &marks{}}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&r.stray, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })
	r.world = apptest.Start(t, apptest.Options{Postgres: postgres, Bare: true, LogLevel: slog.LevelDebug, TokenMark: tokenMark})
	r.answers = &answers{secrets: r.secrets}
	app, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(app) }, ModifyResponse: r.answers.keep, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelError),
	})
	t.Cleanup(proxy.Close)
	r.URL = proxy.URL
	r.secrets.add("token or code of Facebook's", tokenMark)
	r.secrets.add("app secret", apptest.AppSecret)
	r.secrets.add("verify token", apptest.VerifyToken)
	r.secrets.add("first administrator's password", r.App.FirstAdmin.Password)
	r.secrets.add("installation's client secret", r.App.Settings.Current().Text(settings.IdentityServerClientSecret))
	r.secrets.add("secret key", r.secretKey())
	raw, err := base64.StdEncoding.DecodeString(r.secretKey())
	if err != nil {
		t.Fatal(err)
	}
	r.secrets.add("secret key's bytes", string(raw))
	return r
}

func (r *run) secretKey() string {
	if r.Options.SecretKey != "" {
		return r.Options.SecretKey
	}
	key, err := os.ReadFile(filepath.Join(r.Options.Data, "secret.key"))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(key))
}

// another is a secret nobody knows, to be refused.
func (r *run) another(what string) string {
	r.wrong++
	secret := fmt.Sprintf("wrong-%s/+%d", strings.ReplaceAll(what, " ", "-"), r.wrong)
	r.secrets.add("wrong "+what, secret)
	return secret
}

// refused asks for what has to fail.
func (r *run) refused(as *apptest.Client, query string, variables map[string]any) {
	r.t.Helper()
	if a := as.Do(query, variables); a.Status == http.StatusOK && a.Code() == "" && a.Get("connectFacebookPages.results.0.userErrors.0") == nil {
		r.t.Fatalf("%s is not refused: %s", query, a.Body)
	}
}

// search looks for every secret in everything.
func (r *run) search() {
	r.t.Helper()
	for _, request := range r.Facebook.Requests() { // what only the two of them know
		for _, name := range []string{"code_verifier", "code", "fb_exchange_token", "input_token"} {
			if value := request.Params[name]; value != "" {
				r.secrets.add(name, value)
			}
		}
	}
	places := map[string][]byte{
		"the database": contents(r.t, r.Store), "the log": []byte(r.Log.String() + r.stray.String()),
		"an event": r.events(), "an answer": r.answers.all(),
	}
	if !r.Options.Postgres {
		places["a file of the database"] = r.files()
	}
	for place, text := range places {
		for _, found := range r.secrets.in(text) {
			r.t.Errorf("%s has a secret: %s", place, found)
		}
	}
	for _, secret := range r.answers.twice {
		r.t.Errorf("shown again: %s", secret)
	}
	r.searches(places)
}

// searches shows that the search would have found something.
func (r *run) searches(places map[string][]byte) {
	r.t.Helper()
	if n := r.secrets.count(); n < 30 {
		r.t.Errorf("only %d secrets are looked for", n)
	}
	var known marks
	known.add("a message", control)
	for place, text := range places {
		if found := known.in(text); (place != "the log") != (len(found) > 0) {
			r.t.Errorf("%s, %d bytes, has of a message %v", place, len(text), found)
		}
	}
	if log := places["the log"]; !bytes.Contains(log, []byte("a login to Facebook failed")) {
		r.t.Errorf("nothing of what failed is in the log: %s", log)
	}
}

// files are those of the embedded database, one after the other. What was
// deleted or overwritten may still be there.
func (r *run) files() (all []byte) {
	names, err := filepath.Glob(filepath.Join(r.Options.Data, "parley.db*"))
	if err != nil || len(names) < 2 {
		r.t.Fatal(names, err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, file...)
	}
	return all
}

// events are all that there were, as an administrator reads them.
func (r *run) events() (all []byte) {
	r.t.Helper()
	const message = `message { text status author { name } deliveries { text status failure { code reason } } content { ... on TextContent { text } } }`
	for after, done := any(r.first), false; !done; {
		a := r.Admin.Must(`query($c: Cursor) { events(after: $c) { cursor caughtUp resync { reason } events { __typename
			... on MessageAdded { `+message+` } ... on MessageUpdated { `+message+` }
			... on ChatOpened { chat { id contact { name } } } ... on ChatUpdated { chat { id status } }
			... on OperatorUpdated { operator { name email } } ... on SystemSettingsUpdated { codes }
			... on ChannelUpdated { channel { name externalId state stateReason } } } } }`, map[string]any{"c": after})
		all = append(all, a.Body...)
		after, done = a.Get("events.cursor"), a.Get("events.caughtUp") == true
	}
	return all
}
