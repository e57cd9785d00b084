package edge_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/server/app/apptest"
	"parley/server/edge"
)

// eventStream reads server-sent events.
type eventStream struct {
	*http.Response
	lines *bufio.Reader
}

// tryStream posts an operation that wants a stream.
func tryStream(t *testing.T, w *world, as *apptest.Client, query string) *http.Response {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	if as.Token != "" {
		request.Header.Set("Authorization", "Bearer "+as.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func openStream(t *testing.T, w *world, as *apptest.Client, query string) *eventStream {
	t.Helper()
	r := tryStream(t, w, as, query)
	if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%v", r)
	}
	return &eventStream{r, bufio.NewReader(r.Body)}
}

// Next is the text up to the next empty line; empty at the end.
func (s *eventStream) Next() string {
	var event strings.Builder
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil || line == "\n" {
			return event.String()
		}
		event.WriteString(line)
	}
}

func (s *eventStream) Close() { _ = s.Body.Close() }

func TestAStreamGivesEventsKeepsAliveAndSaysThatItIsComplete(t *testing.T) {
	apptest.Each(t, apptest.Options{Timing: edge.Timing{Ping: 50 * time.Millisecond}}, func(t *testing.T, w *world) {
		s := openStream(t, w, w.Admin, watch)
		if first := s.Next(); first != ":\n" {
			t.Errorf("it opens with %q", first)
		}
		for s.Next() != "event: next\ndata: {\"data\":{\"chatEvents\":{\"__typename\":\"StreamCaughtUp\"}}}\n" {
		}
		for s.Next() != ": ping\n" {
		}
		w.Hears(w.Customer("Ada"), "two\nlines")
		for !strings.Contains(s.Next(), `"text":"two\nlines"`) {
		}
		s.Close()
		w.Until("it is gone", func() bool { return connections(w) == 0 })

		query := openStream(t, w, w.Admin, `{ viewer { role } }`)
		query.Next()
		if next := query.Next(); next != "event: next\ndata: {\"data\":{\"viewer\":{\"role\":\"ADMIN\"}}}\n" {
			t.Errorf("a query gives %q", next)
		}
		if last := query.Next(); last != "event: complete\ndata:\n" {
			t.Errorf("and ends with %q", last)
		}
		wrong := openStream(t, w, w.Admin, `{ nonsense }`)
		wrong.Next()
		if next := wrong.Next(); !strings.Contains(next, "GRAPHQL_VALIDATION_FAILED") {
			t.Errorf("a wrong query gives %q", next)
		}
	})
}

func TestAStreamEndsWithItsTokenAndDoesNotSayThatItIsComplete(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Environ: []string{"PARLEY_ACCESS_TOKEN_TTL=2s"}})
	s := openStream(t, w, w.SignIn(apptest.AdminEmail), watch)
	start := time.Now()
	for event := s.Next(); event != ""; event = s.Next() {
		if strings.Contains(event, "complete") {
			t.Errorf("%q", event)
		}
	}
	if time.Since(start) > 5*time.Second {
		t.Errorf("it ended after %v", time.Since(start))
	}
}

func TestNobodyWatchesWithoutAToken(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	for _, query := range []string{watch, `subscription { messageAdded { cursor } }`} {
		s := openStream(t, w, w.Anonymous(), query)
		s.Next()
		if next := s.Next(); !strings.Contains(next, "UNAUTHENTICATED") {
			t.Errorf("%q", next)
		}
		if last := s.Next(); !strings.HasPrefix(last, "event: complete") {
			t.Errorf("%q", last)
		}
	}
}

func TestThatMessagesMayBeMissingReachesTheClient(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		const query = `subscription { messageAdded(after: "bm9uc2Vuc2U") { cursor } }`
		s := openStream(t, w, w.Admin, query)
		s.Next()
		if next := s.Next(); !strings.Contains(next, `"code":"RESYNC"`) || !strings.Contains(next, "UNKNOWN_CURSOR") {
			t.Errorf("%q", next)
		}
		if last := s.Next(); !strings.HasPrefix(last, "event: complete") {
			t.Errorf("%q", last)
		}
		socket := w.Connect(w.Admin)
		socket.Subscribe("1", query, nil)
		if f := socket.Read(); f.ID != "1" || f.Type != "error" || apptest.Get(f.Payload, "0.extensions.code") != "RESYNC" {
			t.Errorf("%+v", f)
		}
	})
}

func TestOnlyWhoWouldRatherHaveAStreamGetsOne(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json",
		"text/event-stream": "text/event-stream", "text/event-stream, multipart/mixed": "text/event-stream",
		"application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed": "application/graphql-response+json",
	} {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/graphql", strings.NewReader(`{"query":"{viewer{role}}"}`))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", accept)
		if a := w.Admin.Send(request); !strings.HasPrefix(a.Header.Get("Content-Type"), want) || !strings.Contains(a.Body, "ADMIN") {
			t.Errorf("%q got %s %s", accept, a.Header.Get("Content-Type"), a.Body)
		}
	}
}
