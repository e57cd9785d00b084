// Package graphiql owns Parley's GraphQL explorer: GraphiQL, embedded in the
// binary and served at "/".
//
// dist is the committed build of web (`npm ci && npm run build` there makes it
// again, byte for byte, which CI checks), so that building Parley needs only Go.
// GraphiQL 5 brings the Monaco editor: 5.8 MB in all, 1.5 MB on the wire, besides
// half a megabyte of licences. GraphiQL 4 with CodeMirror 5 would be 1.7 MB but
// is a line that its makers have left. What Monaco and Prettier hold beyond our
// use is kept out by web/vite.config.js, and no file reaches 1 MiB.
//
// Invariants: the page loads nothing from another origin, which its
// Content-Security-Policy enforces; a configured text is data in the page and
// never markup; headers, where tokens are, are never stored in the browser.
//
// A Handler is immutable but for the compressed assets, each made once on its
// first use, and is safe for concurrent use.
package graphiql

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed dist
var files embed.FS

// Config is what the page starts with. The zero value is a plain explorer of /graphql.
type Config struct {
	Endpoint  string `json:"endpoint"`  // where queries (POST) and subscriptions (websocket) go; "/graphql" if empty
	Query     string `json:"query"`     // operations for the first tabs, one in each
	Headers   string `json:"headers"`   // JSON text in the headers editor; its Authorization also opens the websocket
	Variables string `json:"variables"` // JSON text in the variables editor
}

// Monaco writes style elements and inline images; everything else is ours alone.
const policy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; " +
	"style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Spelt out because mime.TypeByExtension asks the machine, and machines differ.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".ttf":   "font/ttf",
	".txt":   "text/plain; charset=utf-8",
	".woff":  "font/woff",
	".woff2": "font/woff2",
}

// Handler serves the page at "/", what it loads under "/assets/", and the
// licences of what is bundled at "/THIRD-PARTY-LICENSES.txt".
func Handler(cfg Config) http.Handler {
	if cfg.Endpoint == "" {
		cfg.Endpoint = "/graphql"
	}
	mux := http.NewServeMux()
	err := fs.WalkDir(files, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		url, caching := strings.TrimPrefix(name, "dist"), "no-cache"
		switch {
		case url == "/index.html":
			body, err = inject(body, cfg)
			url, caching = "/{$}", "no-store"
		case path.Dir(url) == "/assets":
			caching = "public, max-age=31536000, immutable" // the name has a hash of the content
		}
		mux.Handle("GET "+url, serve(name, body, caching))
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("graphiql: broken build in dist: %v", err)) // only an edit of dist can do this
	}
	return mux
}

// inject puts the configuration into the page's data block. json.Marshal writes
// <, > and & as \u escapes, so no text can end the block.
func inject(page []byte, cfg Config) ([]byte, error) {
	before, after, found := bytes.Cut(page, []byte(`id="config">{}`))
	if !found {
		return nil, fmt.Errorf("index.html has no configuration block")
	}
	data, err := json.Marshal(cfg)
	return bytes.Join([][]byte{before, []byte(`id="config">`), data, after}, nil), err
}

func serve(name string, body []byte, caching string) http.Handler {
	compressed := sync.OnceValue(func() []byte {
		var out bytes.Buffer
		zip := gzip.NewWriter(&out)
		_, _ = zip.Write(body) // a buffer takes everything
		_ = zip.Close()
		return out.Bytes()
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, content := w.Header(), body
		head.Set("Content-Type", contentTypes[path.Ext(name)])
		head.Set("Cache-Control", caching)
		head.Set("Content-Security-Policy", policy)
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			head.Set("Content-Encoding", "gzip")
			content = compressed()
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}
