package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent/operator"
	"parley/server/app"
	"parley/server/app/apptest"
	"parley/server/audit"
	"parley/server/config"
	"parley/server/seal"
	"parley/server/settings"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

type world = apptest.World

func status(t *testing.T, w *world, path string) int {
	t.Helper()
	response, err := http.Get(w.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestTwoAppsOnOneDatabaseAreOneDesk(t *testing.T) {
	one := apptest.Start(t, apptest.Options{Postgres: true})
	other := apptest.Start(t, apptest.Options{Database: one.Options.Database, SecretKey: one.Options.SecretKey, Bare: true})
	if other.App.FirstAdmin != nil {
		t.Error("the second one made an administrator of its own")
	}
	ann, ben := one.Add("Ann", operator.RoleOperator), one.Add("Ben", operator.RoleOperator)
	one.Members(one.Queue, ann, ben)
	ben.URL = other.URL // with the token that the first one gave
	ben.Must(`{ viewer { role } }`, nil)
	socket := other.Connect(ben)
	socket.Watch("1", `... on MessageAdded { message { text } } ... on ChatUpdated { chat { operator { name } } }`)

	chat := one.Hears(one.Customer("Ada"), "hello")
	until := func(text string) {
		for !strings.Contains(fmt.Sprint(socket.Read().Payload), text) {
		}
	}
	until("hello")
	const accept = `mutation($id: ID!) { acceptChat(input: {chatId: $id}) { chat { id } userErrors { code message } } }`
	ann.Must(accept, map[string]any{"id": chat})
	until("Ann")
	if a := ben.Do(accept, map[string]any{"id": chat}); a.Code() != "CONFLICT" {
		t.Errorf("both have it: %s", a.Body)
	}
	// What was promised by one is done by whoever is there.
	ann.Must(`mutation($id: ID!) { sendMessage(input: {chatId: $id, text: "Hi Ada"}) { userErrors { code message } } }`, map[string]any{"id": chat})
	until("Hi Ada")
	if err := one.Stop(); err != nil {
		t.Error(err)
	}
	ben.Must(`{ chats { nodes { id } } }`, nil)
}

func TestItSaysWhetherItIsAliveAndReady(t *testing.T) {
	apptest.Each(t, apptest.Options{Bare: true}, func(t *testing.T, w *world) {
		if alive, ready := status(t, w, "/healthz"), status(t, w, "/readyz"); alive != http.StatusOK || ready != http.StatusOK {
			t.Errorf("healthz %d, readyz %d", alive, ready)
		}
		if err := w.Store.Close(); err != nil {
			t.Fatal(err)
		}
		if alive, ready := status(t, w, "/healthz"), status(t, w, "/readyz"); alive != http.StatusOK || ready != http.StatusServiceUnavailable {
			t.Errorf("without its database: healthz %d, readyz %d", alive, ready)
		}
	})
}

func TestOnlyOutsideProductionIsThereAnExplorer(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Bare: true})
	if got := status(t, w, "/"); got != http.StatusOK {
		t.Errorf("/ is %d", got)
	}
	w = apptest.Start(t, apptest.Options{Bare: true, Environ: []string{"PARLEY_PRODUCTION=true"}})
	for _, path := range []string{"/", "/assets/", "/THIRD-PARTY-LICENSES.txt"} {
		if got := status(t, w, path); got != http.StatusNotFound {
			t.Errorf("%s is %d", path, got)
		}
	}
	if got := status(t, w, "/readyz"); got != http.StatusOK {
		t.Errorf("/readyz is %d", got)
	}
}

func TestTheFirstStartMakesOneAdministratorAndTheNextNone(t *testing.T) {
	apptest.Each(t, apptest.Options{Bare: true}, func(t *testing.T, w *world) {
		first := w.App.FirstAdmin
		if first == nil || first.Password == "" {
			t.Fatalf("%+v", first)
		}
		admin := w.SignInBy(first.Email, first.Password)
		if a := admin.Must(`{ viewer { role } operators { nodes { id } } }`, nil); a.Get("viewer.role") != "ADMIN" || len(a.List("operators.nodes")) != 1 {
			t.Error(a.Body)
		}
		if strings.Contains(w.Log.String(), first.Password) {
			t.Error("the password is in the log")
		}
		o := w.Options
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		if again := apptest.Start(t, o); again.App.FirstAdmin != nil {
			t.Error("the second start made another one")
		}
	})
}

func TestAnEmbeddedAppKeepsItsDataItsKeyAndItsSessionsOverARestart(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	chat := w.Hears(w.Customer("Ada"), "hello")
	key, err := os.ReadFile(filepath.Join(w.Options.Data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	token, cursor := w.Admin.Token, w.Admin.Must(`{ eventCursor }`, nil).String("eventCursor")
	o := w.Options
	o.Bare = true
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	again := apptest.Start(t, o)
	if now, err := os.ReadFile(filepath.Join(o.Data, "secret.key")); err != nil || string(now) != string(key) {
		t.Errorf("the key is another: %v", err)
	}
	admin := again.Anonymous()
	admin.Token = token
	a := admin.Must(`query($id: ID!, $c: Cursor) { node(id: $id) { ... on Chat { lastMessage { text } } } events(after: $c) { resync { reason } } }`,
		map[string]any{"id": chat, "c": cursor})
	if a.Get("node.lastMessage.text") != "hello" || a.Get("events.resync") != nil {
		t.Error(a.Body)
	}
}

func TestAWebhookInFlightIsAnsweredAndStoredBeforeTheAppStops(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		body := []byte(`{"object":"page","entry":[{"id":"1000","time":1760000000000,"messaging":[{"sender":{"id":"4711"},"recipient":{"id":"1000"},` +
			`"timestamp":1760000000000,"message":{"mid":"m_in_flight","text":"just in time"}}]}]}`)
		conn, err := net.Dial("tcp", w.App.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /webhooks/facebook HTTP/1.1\r\nHost: parley.test\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", apptest.Sign(body), len(body))
		answers := bufio.NewReader(conn)
		if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("%q %v", line, err) // it is being served
		}
		_, _ = answers.ReadString('\n')
		w.Stopping()
		w.Until("nobody else is let in", func() bool {
			late, err := net.Dial("tcp", w.App.Addr())
			if err == nil {
				_ = late.Close()
			}
			return err != nil
		})
		if _, err := conn.Write(body); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", response, err)
		}
		o, token := w.Options, w.Admin.Token
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		o.Bare = true
		again := apptest.Start(t, o)
		admin := again.Anonymous()
		admin.Token = token
		again.Until("it is there", func() bool {
			return strings.Contains(admin.Must(`{ chats { nodes { lastMessage { text } } } }`, nil).Body, "just in time")
		})
	})
}

func TestAnAppThatCannotStartGivesBackWhatItTook(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder := t.TempDir()
	c, err := config.Load([]string{"-addr", taken.Addr().String(), "-data", folder}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), app.Options{Config: c}); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("an address in use: %v", err)
	}
	_ = taken.Close()
	a, err := app.New(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if err := os.WriteFile(filepath.Join(folder, "secret.key"), []byte("another key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), app.Options{Config: c}); err == nil {
		t.Error("a broken key was taken")
	}
}

func TestAfterRotatingKeysNewTokensAndOldOnesAreAccepted(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Postgres: true})
	before := w.Add("Ann", operator.RoleOperator)
	c := w.Options
	err := app.RotateKeys(t.Context(), app.Options{Config: config.Config{
		DatabaseURL: c.Database, SecretKey: c.SecretKey, PublicURL: "http://elsewhere.test", AccessTokenTTL: time.Minute,
	}})
	if err != nil {
		t.Fatal(err)
	}
	other := apptest.Start(t, apptest.Options{Database: c.Database, SecretKey: c.SecretKey, Bare: true})
	after := other.SignIn("ann@test.example")
	before.URL = other.URL
	for _, who := range []*apptest.Client{before, after} {
		who.Must(`{ viewer { role } }`, nil)
	}
	if header := func(token string) string { head, _, _ := strings.Cut(token, "."); return head }; header(before.Token) == header(after.Token) {
		t.Error("the old key still signs")
	}
}

func TestAfterRotatingTheOldSecretKeyCanGo(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Postgres: true})
	fresh := seal.Generate()
	err := app.RotateKeys(t.Context(), app.Options{Config: config.Config{
		DatabaseURL: w.Options.Database, SecretKey: fresh + "," + w.Options.SecretKey, PublicURL: "http://parley.test", AccessTokenTTL: time.Minute,
	}})
	if err != nil {
		t.Fatal(err)
	}
	after := apptest.Start(t, apptest.Options{Database: w.Options.Database, SecretKey: fresh, Bare: true})
	token, err := after.App.Channels.Token(after.Store.Client().Channel.Query().OnlyX(t.Context()))
	if err != nil || token != w.Page.Token {
		t.Errorf("the page's token is %q, %v", token, err)
	}
	if secret := after.App.Settings.Current().Text(settings.FacebookAppSecret); secret != w.App.Settings.Current().Text(settings.FacebookAppSecret) {
		t.Errorf("the app's secret is %q", secret)
	}
	after.SignIn(apptest.AdminEmail)
}

func TestTheIdentityServerInsideIsNamedInTheSettingsAtTheFirstStart(t *testing.T) {
	first := apptest.Start(t, apptest.Options{Postgres: true})
	check := func(w *apptest.World, url string) {
		t.Helper()
		v := w.App.Settings.Current()
		if v.Text(settings.IdentityServerURL) != url {
			t.Errorf("its address is %q, not %q", v.Text(settings.IdentityServerURL), url)
		}
		if _, err := w.App.Auth.CheckClient(t.Context(), v.Text(settings.IdentityServerClientID), v.Text(settings.IdentityServerClientSecret)); err != nil {
			t.Error(err)
		}
	}
	check(first, "http://parley.test")
	o := apptest.Options{Database: first.Options.Database, SecretKey: first.Options.SecretKey, Bare: true, Environ: []string{"PARLEY_PUBLIC_URL=https://desk.test"}}
	check(apptest.Start(t, o), "https://desk.test")

	// An outside one stays, and what was taken away is not filled in again.
	set := func(url *string) {
		t.Helper()
		if _, err := first.App.Settings.Update(t.Context(), audit.Actor{}, settings.Change{Values: []settings.Value{
			{Code: settings.IdentityServerURL, Value: url}, {Code: settings.IdentityServerClientSecret, Value: url},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	outside := "https://id.test/realm"
	for _, url := range []*string{&outside, nil} {
		set(url)
		want := ""
		if url != nil {
			want = *url
		}
		if got := apptest.Start(t, o).App.Settings.Current().Text(settings.IdentityServerURL); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestReplicasThatStartTogetherAgreeOnTheIdentityServer(t *testing.T) {
	o := apptest.Options{Database: storetest.PostgresURL(t), SecretKey: seal.Generate(), Bare: true}
	var both sync.WaitGroup
	worlds := make([]*apptest.World, 3)
	for i := range worlds {
		both.Go(func() { worlds[i] = apptest.Start(t, o) })
	}
	both.Wait()
	for _, w := range worlds {
		v := w.App.Settings.Current()
		if _, err := w.App.Auth.CheckClient(t.Context(), v.Text(settings.IdentityServerClientID), v.Text(settings.IdentityServerClientSecret)); err != nil {
			t.Errorf("%s: %v", v.Text(settings.IdentityServerClientID), err)
		}
	}
}

func TestTheIdentityServerIsFoundByItsDiscoveryDocument(t *testing.T) {
	for name, environ := range map[string][]string{"development": nil, "production": {"PARLEY_PRODUCTION=true"}} {
		t.Run(name, func(t *testing.T) {
			w := apptest.Start(t, apptest.Options{Environ: environ})
			read := func(path string) (document map[string]any) {
				response, err := http.Get(w.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if err := json.NewDecoder(response.Body).Decode(&document); err != nil || response.StatusCode != http.StatusOK {
					t.Fatal(path, response.Status, err)
				}
				return document
			}
			const issuer = "http://parley.test"
			found := read("/.well-known/openid-configuration")
			if found["issuer"] != issuer || found["token_endpoint"] != issuer+"/oauth/token" {
				t.Errorf("discovery says %v", found)
			}
			keys := read(strings.TrimPrefix(found["jwks_uri"].(string), issuer))
			if _, refused := w.AddMachine("Importer", operator.RoleIntegrator).AskToken(); refused != "" || len(keys["keys"].([]any)) != 1 {
				t.Errorf("keys %v, a token is refused with %q", keys, refused)
			}
		})
	}
}
