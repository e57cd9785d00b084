package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"parley/server/messenger/messengertest"
	"parley/server/store/storetest"
)

// Replicas of these tests are processes of their own: this test binary, told to
// be the server.
func TestMain(m *testing.M) {
	if os.Getenv("PARLEY_TEST_SERVE") == "" {
		storetest.Main(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, nil, os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	testAppID     = "1111111111"
	testAppSecret = "an app secret"
	testEmail     = "admin@test.example"
	testPassword  = "a long password"
)

// replica is one server process.
type replica struct {
	t       *testing.T
	addr    string
	environ []string
	process *exec.Cmd
	output  bytes.Buffer
}

// newReplica starts a server process on a free port and waits until it is
// ready. location is a PostgreSQL URL, or a folder for the embedded database.
func newReplica(t *testing.T, graphURL, key, location string) *replica {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	r := &replica{t: t, addr: addr, environ: []string{
		"PARLEY_TEST_SERVE=1", "PARLEY_ADDR=" + addr, "PARLEY_PUBLIC_URL=http://parley.test",
		"PARLEY_SECRET_KEY=" + key, "PARLEY_GRAPH_URL=" + graphURL, "PARLEY_LOG_LEVEL=WARN",
		"PARLEY_ADMIN_EMAIL=" + testEmail, "PARLEY_ADMIN_PASSWORD=" + testPassword, "PARLEY_ACCESS_TOKEN_TTL=1h",
		"FACEBOOK_APP_ID=" + testAppID, "FACEBOOK_APP_SECRET=" + testAppSecret, "FACEBOOK_WEBHOOK_VERIFY_TOKEN=verify",
	}}
	if _, err := os.Stat(location); err == nil {
		r.environ = append(r.environ, "PARLEY_DATA="+location)
	} else {
		r.environ = append(r.environ, "DATABASE_URL="+location)
	}
	r.start()
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("replica %s said:\n%s", r.addr, r.output.String())
		}
	})
	return r
}

func (r *replica) start() {
	r.t.Helper()
	r.process = exec.Command(os.Args[0])
	r.process.Env, r.process.Stdout, r.process.Stderr = r.environ, &r.output, &r.output
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if answer, err := http.Get("http://" + r.addr + "/readyz"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
	}
	r.t.Fatalf("the replica did not get ready:\n%s", r.output.String())
}

// kill ends the process as a power cut would.
func (r *replica) kill() {
	_ = r.process.Process.Kill()
	_ = r.process.Wait()
}

// ask runs a GraphQL operation and unpacks its data into v.
func (r *replica) ask(token, query string, variables map[string]any, v any) {
	r.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": variables})
	request, _ := http.NewRequest(http.MethodPost, "http://"+r.addr+"/graphql", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	var all struct {
		Data   json.RawMessage
		Errors json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil || all.Errors != nil {
		r.t.Fatalf("%s: %v %s", query, err, all.Errors)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(all.Data, v); err != nil {
		r.t.Fatal(err)
	}
}

// facebook is a simulated Graph API with one page. Its app's webhooks go to the
// replica that is at the address in the end.
func facebook(t *testing.T, at *messengertest.Address) (url string, page *messengertest.Page) {
	t.Helper()
	graph := messengertest.New(messengertest.Options{HTTP: messengertest.Reaching("parley.test", at.Get)})
	t.Cleanup(graph.Close)
	graph.AddApp(messengertest.App{ID: testAppID, Secret: testAppSecret})
	page = graph.AddPage(messengertest.Page{ID: "1000", Name: "Test page", AppID: testAppID})
	server := httptest.NewServer(graph)
	t.Cleanup(server.Close)
	return server.URL, page
}

// goLive signs in and makes the page a live channel with a queue.
func (r *replica) goLive(page *messengertest.Page) (token string) {
	r.t.Helper()
	var signIn struct{ SignIn struct{ AccessToken string } }
	r.ask("", `mutation($e: String!, $p: String!) { signIn(input: {email: $e, password: $p}) { accessToken } }`,
		map[string]any{"e": testEmail, "p": testPassword}, &signIn)
	token = signIn.SignIn.AccessToken
	var made struct {
		Page  struct{ Channel struct{ ID string } }
		Queue struct{ Queue struct{ ID string } }
	}
	r.ask(token, `mutation($t: String!) {
		page: connectFacebookPage(input: {pageAccessToken: $t}) { channel { id } }
		queue: createQueue(input: {name: "Support"}) { queue { id } } }`,
		map[string]any{"t": page.Token}, &made)
	r.ask(token, `mutation($c: ID!, $q: ID!) { updateChannel(input: {id: $c, active: true, queueId: $q}) { channel { id } userErrors { message } } }`,
		map[string]any{"c": made.Page.Channel.ID, "q": made.Queue.Queue.ID}, nil)
	return token
}

func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}
