// Package edge owns how GraphQL is spoken: over HTTP, over WebSockets with the
// graphql-transport-ws protocol, and over server-sent events; and what a client
// may cost. It is a package of its own, and not the library's transports, for
// what those leave out: a deadline for every write, the protocol's close codes,
// limits per connection, an end to sockets whose token ended, draining, and one
// execution for all who are shown the same.
//
// A socket (socket.go) has a goroutine that reads. What is written goes through
// its wire (wire.go), from any goroutine. A subscription (subscription.go) that
// keeps up is a member of a stream (stream.go), which has each step of the event
// log rendered once (render.go) and offers it to all its members; the fan
// (fan.go) wakes the streams. So an idle subscription costs its reader and no
// more. Locks are taken one at a time: none is held where another is taken,
// except the wire's while it writes.
//
// Safe for concurrent use. Invariant: a client that does not read, does not
// answer pings, or asks for too much costs a bounded amount of memory for a
// bounded time, and no other client notices.
package edge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph"
	"parley/server/auth"
	"parley/server/fault"
)

// Limits of what a client may ask for.
const (
	maxBody       = 1 << 20 // of a request over HTTP
	maxFrame      = 1 << 18 // of a message over a WebSocket
	maxTokens     = 2_000   // of a document; to validate one field repeated takes the square of it: 0.4 s
	maxDepth      = 15      // of a selection
	maxComplexity = 50_000  // fields, lists multiplied by their page
	maxOperations = 64      // at once on one WebSocket
	maxOpening    = 16      // subscriptions that begin at once, of all clients
	maxCached     = 8 << 10 // of a document that is kept parsed
	cached        = 500     // documents
	bodyTime      = 30 * time.Second
)

// Options are what an Edge needs to know.
type Options struct {
	Resolver       *graph.Resolver
	Auth           *auth.Service
	PublicURL      string   // its origin may open sockets
	AllowedOrigins []string // and these; "*" is all
	MaxConnections int      // sockets and event streams of this process
	Timing         Timing
	Now            func() time.Time // by which tokens end
	Log            *slog.Logger
}

// Timing is how patient sockets are; zero values are the defaults.
type Timing struct {
	Write time.Duration // a write may take; 10 s
	Init  time.Duration // connection_init may take; 10 s
	Ping  time.Duration // between pings; 15 s. No answer for twice as long ends the socket
}

// Edge is the handler of /graphql.
type Edge struct {
	Options
	server  *handler.Server
	handler http.Handler // serve, with the token read
	fan     *fan
	// opening are subscriptions whose viewer and place are being read. When all
	// come again at once, the others wait with a small stack.
	opening chan struct{}

	mu      sync.Mutex
	open    int             // sockets and event streams
	stopped context.Context // ends when draining begins
	stop    context.CancelFunc
}

// New makes the handler over a schema.
func New(o Options) *Edge {
	o.Timing.Write = cmp.Or(o.Timing.Write, 10*time.Second)
	o.Timing.Init = cmp.Or(o.Timing.Init, 10*time.Second)
	o.Timing.Ping = cmp.Or(o.Timing.Ping, 15*time.Second)
	e := &Edge{Options: o}
	e.stopped, e.stop = context.WithCancel(context.Background())
	e.opening = make(chan struct{}, maxOpening)
	e.fan = &fan{edge: e, streams: map[[sha256.Size]byte]*stream{}}
	e.handler = o.Auth.Middleware(http.HandlerFunc(e.serve))
	e.server = handler.New(graph.NewSchema(o.Resolver))
	e.server.AddTransport(sockets{e})
	e.server.AddTransport(events{e})
	e.server.AddTransport(transport.Options{})
	e.server.AddTransport(transport.GET{})
	e.server.AddTransport(posts{})
	e.server.SetQueryCache(documents{lru.New[*ast.QueryDocument](cached)})
	e.server.SetParserTokenLimit(maxTokens)
	e.server.SetErrorPresenter(o.Resolver.Present)
	e.server.SetRecoverFunc(o.Resolver.Recover)
	e.server.Use(extension.Introspection{})
	e.server.Use(selectionLimit{})
	e.server.Use(extension.FixedComplexityLimit(maxComplexity))
	e.server.AroundOperations(e.onlyStreamed)
	e.server.AroundOperations(o.Resolver.Operation)
	e.server.AroundResponses(o.Resolver.Response)
	e.server.AroundRootFields(o.Resolver.RootField)
	return e
}

// documents keeps parsed documents, but not long ones: whoever can reach the
// server can have them kept, signed in or not.
type documents struct {
	graphql.Cache[*ast.QueryDocument]
}

func (d documents) Add(ctx context.Context, text string, document *ast.QueryDocument) {
	if len(text) <= maxCached {
		d.Cache.Add(ctx, text, document)
	}
}

// ServeHTTP answers one request, or all of a socket's. Who may ask at all comes
// first: a browser shows its page no answer without the headers that say so, not
// even that its token has ended.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.allowOrigin(w, r) {
		e.handler.ServeHTTP(w, r)
	}
}

func (e *Edge) serve(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(graph.WithRequest(r.Context(), r.RemoteAddr))
	if !websocket.IsWebSocketUpgrade(r) {
		w = &patient{w, http.NewResponseController(w), e.Timing.Write}
		var ok bool
		if r, ok = readBody(w, r); !ok {
			return
		}
	}
	e.server.ServeHTTP(w, r)
}

// readBody takes the whole body in, so that the transports, which quote one that
// they cannot read and do not limit it, get none but requests.
func readBody(w http.ResponseWriter, r *http.Request) (_ *http.Request, ok bool) {
	if r.Method != http.MethodPost {
		return r, true
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, refuse(w, http.StatusRequestEntityTooLarge, "BAD_REQUEST", "the body is too large")
	}
	params := &graphql.RawParams{}
	if err != nil || decode(bytes.NewReader(body), params) != nil {
		return nil, refuse(w, http.StatusBadRequest, "BAD_REQUEST", "the body is not a GraphQL request in JSON")
	}
	r = r.WithContext(withParams(r.Context(), params))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, true
}

// refuse answers in the form of a GraphQL error. It always returns false.
func refuse(w http.ResponseWriter, status int, code fault.Code, message string) bool {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(&graphql.Response{
		Errors: gqlerror.List{{Message: message, Extensions: map[string]any{"code": string(code)}}},
	})
	return false
}

// allowOrigin lets browsers in from the own origin and from those configured;
// what is no browser sends no Origin.
func (e *Edge) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || e.ownOrigin(origin, r.Host) {
		return true
	}
	if !slices.Contains(e.AllowedOrigins, origin) && !slices.Contains(e.AllowedOrigins, "*") {
		return refuse(w, http.StatusForbidden, fault.Forbidden, "this origin is not one of PARLEY_ALLOWED_ORIGINS")
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions {
		return true
	}
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept")
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return false
}

func (e *Edge) ownOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (strings.EqualFold(u.Host, host) || strings.HasPrefix(e.PublicURL+"/", origin+"/"))
}

// enter counts a socket or stream in, unless there are too many.
func (e *Edge) enter(w http.ResponseWriter) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped.Err() != nil || e.open >= e.MaxConnections {
		return refuse(w, http.StatusServiceUnavailable, fault.Overloaded, "there are too many connections: try again later, or elsewhere")
	}
	e.open++
	return true
}

func (e *Edge) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open--
}

// Connections is how many sockets and streams are open.
func (e *Edge) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open
}

// Drain tells every client to come again elsewhere, and lets none in any more.
// It returns when all have gone or the context ends.
func (e *Edge) Drain(ctx context.Context) {
	e.stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.Connections() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	e.fan.wait()
}

// patient gives every write a deadline of its own.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	write   time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.write))
	return p.ResponseWriter.Write(b)
}

func (p *patient) Flush() { _ = p.control.Flush() }

func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

type streamedKey struct{}

// streamed marks a context whose transport can give more than one response.
func streamed(ctx context.Context) context.Context {
	return context.WithValue(ctx, streamedKey{}, true)
}

// onlyStreamed refuses subscriptions where only one response can be given.
func (e *Edge) onlyStreamed(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription && ctx.Value(streamedKey{}) == nil {
		err := refusal("BAD_REQUEST", "a subscription needs graphql-transport-ws, or the header Accept: text/event-stream")
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{e.Resolver.Present(ctx, err)}})
	}
	return next(ctx)
}
