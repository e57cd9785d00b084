package edge_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"parley/server/app/apptest"
)

func TestALongAnswerIsCompressedForWhoTakesIt(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	body, err := json.Marshal(map[string]string{"query": introspection})
	if err != nil {
		t.Fatal(err)
	}
	short := `{"query":"{__typename}"}`
	for _, c := range []struct {
		name, body, accept string
		compressed         bool
	}{
		{"taken", string(body), "br, gzip", true},
		{"with a weight", string(body), "gzip; q=0.5", true},
		{"refused", string(body), "gzip;q=0.0, identity", false},
		{"not named", string(body), "br", false},
		{"none", string(body), "identity", false},
		{"short", short, "gzip", false},
	} {
		response, err := http.DefaultClient.Do(post(t, w, c.body, "Accept-Encoding", c.accept))
		if err != nil {
			t.Fatal(err)
		}
		reader := io.Reader(response.Body)
		if got := response.Header.Get("Content-Encoding") == "gzip"; got != c.compressed {
			t.Errorf("%s: compressed %v", c.name, got)
		} else if got {
			if reader, err = gzip.NewReader(response.Body); err != nil {
				t.Fatal(err)
			}
		}
		var answer struct{ Data map[string]any }
		if err := json.NewDecoder(reader).Decode(&answer); err != nil || len(answer.Data) != 1 {
			t.Errorf("%s: %v %v", c.name, err, answer.Data)
		}
		if !strings.Contains(strings.Join(response.Header.Values("Vary"), " "), "Accept-Encoding") {
			t.Errorf("%s: caches are not told: %v", c.name, response.Header)
		}
		_ = response.Body.Close()
	}
}

func TestTheStatusAndTheTypeOfAnAnswerAreThoseOfGraphQLOverHTTP(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	const plain, own = "application/json", "application/graphql-response+json"
	for _, c := range []struct {
		accept, query, contentType string
		status                     int
	}{
		{"", "{__typename}", plain, http.StatusOK},
		{"*/*", "{__typename}", plain, http.StatusOK},
		{"text/html, " + own + ", " + plain, "{__typename}", own, http.StatusOK},
		{"text/html", "{__typename}", own, http.StatusOK},
		{plain, "{nonsense}", plain, http.StatusUnprocessableEntity},
		{own, "{nonsense}", own, http.StatusBadRequest},
		{own, "{viewer{role}}", own, http.StatusOK}, // it ran, and says that one must sign in
	} {
		a := w.Anonymous().Send(post(t, w, `{"query":"`+c.query+`"}`, "Accept", c.accept))
		if a.Status != c.status || a.Header.Get("Content-Type") != c.contentType {
			t.Errorf("%q %s: %d %s", c.accept, c.query, a.Status, a.Header.Get("Content-Type"))
		}
	}
}
