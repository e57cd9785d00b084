package edge_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/graph"
	"parley/server/app/apptest"
	"parley/server/edge"
)

func TestAPanicInAResolverShowsARequestIDAndNothingElse(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	log := &apptest.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	// Without channels, connecting a page fails as a mistake of ours would.
	broken := httptest.NewServer(edge.New(edge.Options{
		Resolver: &graph.Resolver{Desk: w.App.Desk, Auth: w.App.Auth, Log: logger},
		Auth:     w.App.Auth, MaxConnections: 10, Now: time.Now, Log: logger,
	}))
	defer broken.Close()
	const connect = `mutation { connectFacebookPage(input: {pageAccessToken: "a secret"}) { channel { id } userErrors { code } } }`
	admin := *w.Admin
	admin.URL = broken.URL
	a := admin.Do(connect, nil)
	var id string
	if len(a.Errors) == 1 {
		id, _ = a.Errors[0].Extensions["requestId"].(string)
	}
	if a.Code() != "INTERNAL" || id == "" || a.Errors[0].Message != "internal error" || strings.Contains(a.Body, "nil") {
		t.Error(a.Body)
	}
	if text := log.String(); !strings.Contains(text, id) || !strings.Contains(text, "nil pointer") || !strings.Contains(text, "channel.resolvers.go") || strings.Contains(text, "a secret") {
		t.Errorf("the log: %s", text)
	}
	s := apptest.Remote(t, broken.URL).Connect(w.Admin)
	s.Subscribe("1", connect, nil)
	if f := s.Read(); apptest.Get(f.Payload, "errors.0.extensions.code") != "INTERNAL" {
		t.Errorf("%+v", f)
	}
	s.Subscribe("2", `{ viewer { role } }`, nil)
	for f := s.Read(); f.ID != "2"; f = s.Read() { // the socket goes on
	}
}
