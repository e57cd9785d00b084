package graphiql

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, handler http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, from io.Reader) string {
	t.Helper()
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// eachFile calls visit with every file of the build, its path below dist and its text.
func eachFile(t *testing.T, visit func(name, text string)) {
	t.Helper()
	err := fs.WalkDir(files, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		visit(strings.TrimPrefix(name, "dist/"), string(body))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var configBlock = regexp.MustCompile(`(?s)<script type="application/json" id="config">(.*?)</script>`)

func TestThePageCarriesTheConfigurationAsDataAndNeverAsMarkup(t *testing.T) {
	want := Config{
		Endpoint:  "/graphql",
		Query:     "subscription { a } # </script><script>alert(1)</script> <!-- & ' \" \u2028 привет",
		Headers:   `{"Authorization":"Bearer x"}`,
		Variables: `{"after":null}`,
	}
	res := get(t, Handler(want), "/")
	page := read(t, res.Body)
	block := configBlock.FindStringSubmatch(page)
	if block == nil {
		t.Fatalf("no configuration block in:\n%s", page)
	}
	var got Config
	if err := json.Unmarshal([]byte(block[1]), &got); err != nil {
		t.Fatalf("%v in %s", err, block[1])
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if strings.Contains(page, "alert(1)</script>") {
		t.Errorf("the query got out of its block:\n%s", page)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q; the page can carry a token", got)
	}
}

func TestAnEmptyConfigurationAsksGraphqlAtTheSameOrigin(t *testing.T) {
	page := read(t, get(t, Handler(Config{}), "/").Body)
	if !strings.Contains(page, `"endpoint":"/graphql","query":""`) {
		t.Errorf("unexpected configuration in:\n%s", page)
	}
}

func TestEveryFileIsServedWithItsTypeAndEveryPolicyHeader(t *testing.T) {
	handler := Handler(Config{})
	eachFile(t, func(name, text string) {
		url := "/" + name
		if name == "index.html" {
			url = "/"
		}
		res := get(t, handler, url)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", url, res.StatusCode)
		}
		if got := res.Header.Get("Content-Type"); got == "" || got != contentTypes[path.Ext(name)] {
			t.Errorf("%s: Content-Type %q", url, got)
		}
		if got := res.Header.Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: Content-Security-Policy %q", url, got)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", url, got)
		}
		immutable := strings.Contains(res.Header.Get("Cache-Control"), "immutable")
		if immutable != strings.HasPrefix(name, "assets/") {
			t.Errorf("%s: Cache-Control %q", url, res.Header.Get("Cache-Control"))
		}
		if len(text) >= 1<<20 {
			t.Errorf("%s has %d bytes; split it", name, len(text))
		}
	})
}

func TestAssetsGoCompressedToWhoTakesThat(t *testing.T) {
	handler, seen := Handler(Config{}), map[string]bool{}
	eachFile(t, func(name, text string) {
		if path.Dir(name) != "assets" || seen[path.Ext(name)] {
			return
		}
		seen[path.Ext(name)] = true // one of each kind: compressing them all takes its time
		res := get(t, handler, "/"+name, "Accept-Encoding", "gzip, br")
		unzip, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if read(t, unzip) != text {
			t.Errorf("%s came out of compression changed", name)
		}
		if read(t, get(t, handler, "/"+name).Body) != text {
			t.Errorf("%s came uncompressed and changed", name)
		}
	})
}

func TestThePolicyAllowsNoOtherOrigin(t *testing.T) {
	if !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("%q does not start from nothing", policy)
	}
	for directive := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(directive)
		for _, source := range words[1:] {
			switch source {
			case "'none'", "'self'":
			case "'unsafe-inline'":
				if words[0] != "style-src" {
					t.Errorf("%s allows inline code", words[0])
				}
			case "data:":
				if words[0] != "img-src" {
					t.Errorf("%s allows data URLs", words[0])
				}
			default:
				t.Errorf("%s allows %s", words[0], source)
			}
		}
	}
}

// What stands before a URL that is loaded: an attribute of a loading element, an
// import, a worker, a request or a style sheet's url(). Links that a person may
// follow are not loads.
var loads = regexp.MustCompile("(?i)(?:" +
	"<(?:script|link|img|iframe|source|object|embed)\\b[^>]*\\s(?:src|href|data)\\s*=\\s*[\"']?" +
	"|\\.src\\s*=\\s*[\"'`]|\\bimport\\s*\\(?\\s*[\"'`]|\\bfrom\\s*[\"'`]" +
	"|\\b(?:importScripts|fetch|Worker)\\s*\\(\\s*[\"'`]" +
	"|@import\\s+[\"']?|\\burl\\(\\s*[\"']?)(?:https?:)?$")

// loadsFromOutside gives the places where a text loads a URL of another origin.
// It looks back from each "//": the build is too long for an expression to search.
func loadsFromOutside(text string) []string {
	var found []string
	for at := 0; ; at += 2 {
		next := strings.Index(text[at:], "//")
		if next < 0 {
			return found
		}
		at += next
		if before := text[max(0, at-100):at]; loads.MatchString(before) {
			found = append(found, before+text[at:min(len(text), at+50)])
		}
	}
}

func TestNothingInTheBuildLoadsFromOutside(t *testing.T) {
	eachFile(t, func(name, text string) {
		if path.Ext(name) == ".txt" {
			return
		}
		for _, found := range loadsFromOutside(text) {
			t.Errorf("%s: %s", name, found)
		}
	})
}

func TestTheSearchForOutsideLoadsFindsThem(t *testing.T) {
	for _, text := range []string{
		`<script src="https://x.example/a.js">`, `<link rel=stylesheet href=//x.example/a.css>`,
		`import"https://x.example/a.js"`, `import('//x.example/a.js')`, `export*from"https://x.example/a.js"`,
		`new Worker("https://x.example/w.js")`, "importScripts(`https://x.example/w.js`)",
		`@import "//x.example/a.css"`, `url(https://x.example/f.woff2)`, `img.src="https://x.example/a.png"`,
	} {
		if len(loadsFromOutside(text)) == 0 {
			t.Errorf("%s is not found", text)
		}
	}
}

func TestWhatIsNotThereIsNotFoundAndNothingTakesAPost(t *testing.T) {
	handler := Handler(Config{})
	for _, target := range []string{"/index.html", "/assets/", "/assets/none.js", "/dist/index.html"} {
		if res := get(t, handler, target); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", target, res.StatusCode)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /: status %d", w.Code)
	}
}
