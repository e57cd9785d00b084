package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"parley/server/app/apptest"
)

func post(t *testing.T, w *world, body string, header ...string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/graphql", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return request
}

func get(t *testing.T, w *world, query string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/graphql?query="+url.QueryEscape(query), nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestGETRunsQueriesAndNothingElse(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	if a := w.Admin.Send(get(t, w, `{ viewer { role } }`)); a.Get("viewer.role") != "ADMIN" {
		t.Error(a.Body)
	}
	for _, query := range []string{`mutation { signOut { userErrors { code } } }`, watch} {
		if a := w.Admin.Send(get(t, w, query)); a.Status != http.StatusNotAcceptable || a.Data != nil {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	fresh := w.Anonymous() // the session goes on
	fresh.Must(`mutation($t: String!) { refreshSession(input: {refreshToken: $t}) { userErrors { code } } }`, map[string]any{"t": w.Admin.RefreshToken})
}

func TestASubscriptionNeedsAStream(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	a := w.Admin.Do(watch, nil)
	if a.Code() != "BAD_REQUEST" || !strings.Contains(a.Body, "graphql-transport-ws") {
		t.Error(a.Body)
	}
}

func TestABodyOfMoreThanAMebibyteIsRefused(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	large := `{"query":"{viewer{role}}","extensions":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`
	for name, request := range map[string]*http.Request{
		"announced":       post(t, w, large),
		"for a stream":    post(t, w, large, "Accept", "text/event-stream"),
		"with an upgrade": post(t, w, large, "Accept", "text/event-stream", "Connection", "Upgrade", "Upgrade", "h2c"),
	} {
		if a := w.Admin.Send(request); a.Status != http.StatusRequestEntityTooLarge || a.Code() != "BAD_REQUEST" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		unannounced := request.Clone(t.Context())
		unannounced.Body, unannounced.ContentLength = io.NopCloser(strings.NewReader(large)), -1
		if a := w.Admin.Send(unannounced); a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, in chunks: %d %s", name, a.Status, a.Body)
		}
	}
}

func TestABodyThatIsNoRequestIsNotQuoted(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	secret := strings.Repeat("secret ", 1000)
	for _, body := range []string{"", secret, `{"query": "` + secret, `["` + secret + `"]`, `{"query":5,"variables":{"a":"` + secret + `"}}`, `{"variables":"` + secret + `"}`} {
		for _, accept := range []string{"", "text/event-stream", "application/graphql-response+json"} {
			a := w.Admin.Send(post(t, w, body, "Accept", accept))
			if a.Status != http.StatusBadRequest || a.Code() != "BAD_REQUEST" || strings.Contains(a.Body, "secret") {
				t.Errorf("%.30q: %d %.300s", body, a.Status, a.Body)
			}
		}
	}
	if a := w.Admin.Send(post(t, w, "query", "Content-Type", "text/plain")); a.Status != http.StatusBadRequest {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestWhatWouldCostTooMuchIsRefusedByCode(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	fragments := "{...f0}"
	for i := range 60 {
		fragments += fmt.Sprintf(" fragment f%d on Query { ...f%d ...f%d }", i, i+1, i+1)
	}
	fragments += " fragment f60 on Query { viewer { role } }"
	for name, c := range map[string]struct{ query, code string }{
		"many tokens":              {"{" + strings.Repeat("viewer{role}", 1000) + "}", "GRAPHQL_PARSE_FAILED"},
		"deep":                     {"{node(id:\"\"){...on Chat{" + strings.Repeat("previous{", 20) + "id" + strings.Repeat("}", 20) + "}}}", "DEPTH_LIMIT_EXCEEDED"},
		"deep by fragments":        {"{...a} fragment a on Query {node(id:\"\"){...on Chat{...b}}} fragment b on Chat{" + strings.Repeat("previous{", 20) + "id" + strings.Repeat("}", 20) + "}", "DEPTH_LIMIT_EXCEEDED"},
		"lists in lists":           {"{chats(first:100){nodes{messages(first:100){nodes{chat{messages(first:100){nodes{id}}}}}}}}", "COMPLEXITY_LIMIT_EXCEEDED"},
		"lists in lists by edges":  {"{chats(first:100){edges{node{messages(last:100){edges{node{deliveries{id text status}}}}}}}}", "COMPLEXITY_LIMIT_EXCEEDED"},
		"fragments in fragments":   {fragments, "COMPLEXITY_LIMIT_EXCEEDED"},
		"the schema many times":    {"{" + strings.Repeat("a:__schema{queryType{name}}", 1) + "b:__schema{queryType{name}} c:__schema{queryType{name}} d:__schema{queryType{name}} e:__schema{queryType{name}} f:__schema{queryType{name}}}", "COMPLEXITY_LIMIT_EXCEEDED"},
		"many nodes of many parts": {`query($ids: [ID!]!) { nodes(ids: $ids) { ... on Chat { messages(first: 100) { nodes { id text chat { id } author { name } } } } } }`, "COMPLEXITY_LIMIT_EXCEEDED"},
	} {
		ids := make([]string, 100)
		for i := range ids {
			ids[i] = w.Queue
		}
		var variables map[string]any
		if strings.Contains(c.query, "$ids") {
			variables = map[string]any{"ids": ids}
		}
		start := time.Now()
		a := w.Anonymous().Do(c.query, variables)
		if a.Code() != c.code || a.Data != nil {
			t.Errorf("%s: %d %.500s", name, a.Status, a.Body)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v to refuse", name, took)
		}
	}
	// What an inbox asks for, and what a client generator asks for, is not too much.
	w.Admin.Must(inbox, nil)
	w.Anonymous().Must(introspection, nil)
}

const inbox = `{ chats(first: 100) { pageInfo { hasNextPage endCursor } nodes { id status version unreadCount waitingSince
	contact { id name pictureUrl } channel { id name } queue { id name } operator { id name }
	messages(last: 5) { nodes { id text sentAt status author { kind name } } } } } }`

const introspection = `query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name }
	types { kind name description fields(includeDeprecated: true) { name description args { name type { ...T } defaultValue } type { ...T } isDeprecated }
	inputFields { name type { ...T } } interfaces { ...T } enumValues(includeDeprecated: true) { name description } possibleTypes { ...T } }
	directives { name locations args { name type { ...T } } } } }
	fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } }`

func TestAPageOnAnotherOriginReadsEveryAnswerEvenThatItsTokenEnded(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Environ: []string{"PARLEY_ALLOWED_ORIGINS=https://spa.example"}})
	const origin = "https://spa.example"
	for name, a := range map[string]apptest.Answer{
		"signed in":     w.Admin.Send(post(t, w, `{"query":"{viewer{role}}"}`, "Origin", origin)),
		"anonymous":     w.Anonymous().Send(post(t, w, `{"query":"{viewer{role}}"}`, "Origin", origin)),
		"a bad token":   w.Anonymous().Send(post(t, w, `{"query":"{viewer{role}}"}`, "Origin", origin, "Authorization", "Bearer nonsense")),
		"a bad request": w.Admin.Send(post(t, w, `nonsense`, "Origin", origin)),
	} {
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != origin {
			t.Errorf("%s: %d %q %s", name, a.Status, got, a.Body)
		}
	}
	if a := w.Anonymous().Send(post(t, w, `{"query":"{viewer{role}}"}`, "Origin", origin, "Authorization", "Bearer nonsense")); a.Status != http.StatusUnauthorized || a.Code() != "UNAUTHENTICATED" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	preflight := post(t, w, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	preflight.Method = http.MethodOptions
	if a := w.Anonymous().Send(preflight); a.Status != http.StatusNoContent || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	if a := w.Admin.Send(post(t, w, `{"query":"{viewer{role}}"}`, "Origin", "https://evil.example")); a.Status != http.StatusForbidden || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign origin: %d %s", a.Status, a.Body)
	}
}
