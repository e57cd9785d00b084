// Package edge owns how GraphQL is spoken: over HTTP, over WebSockets with the
// graphql-transport-ws protocol, and over server-sent events; and what a client
// may cost. It is a package of its own, and not the library's transports, for
// what those leave out: a deadline for every write, the protocol's close codes,
// limits per connection, an end to sockets whose token ended, and draining.
//
// Safe for concurrent use. Invariant: a client that does not read, does not
// answer pings, or asks for too much costs a bounded amount of memory for a
// bounded time, and no other client notices.
package edge

import (
	"context"
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
	"github.com/vektah/gqlparser/v2/ast"

	"parley/graph"
	"parley/server/auth"
)

// Limits of what a client may ask for.
const (
	maxBody       = 1 << 20 // of a request over HTTP
	maxFrame      = 1 << 18 // of a message over a WebSocket
	maxTokens     = 10_000  // of a document
	maxDepth      = 15      // of a selection
	maxComplexity = 50_000  // fields, lists multiplied by their page
	maxOperations = 64      // at once on one WebSocket
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
	server *handler.Server

	mu       sync.Mutex
	sockets  map[*socket]struct{}
	streams  int // server-sent event streams
	stopping bool
	stopped  context.Context // ends when draining begins
	stop     context.CancelFunc
}

// New makes the handler over a schema.
func New(o Options) *Edge {
	defaults := Timing{Write: 10 * time.Second, Init: 10 * time.Second, Ping: 15 * time.Second}
	for _, pair := range [][2]*time.Duration{
		{&o.Timing.Write, &defaults.Write}, {&o.Timing.Init, &defaults.Init}, {&o.Timing.Ping, &defaults.Ping},
	} {
		if *pair[0] == 0 {
			*pair[0] = *pair[1]
		}
	}
	e := &Edge{Options: o, sockets: map[*socket]struct{}{}}
	e.stopped, e.stop = context.WithCancel(context.Background())
	e.server = handler.New(graph.NewSchema(o.Resolver))
	e.server.AddTransport(sockets{e})
	e.server.AddTransport(events{e})
	e.server.AddTransport(transport.Options{})
	e.server.AddTransport(transport.GET{})
	e.server.AddTransport(transport.POST{})
	e.server.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	e.server.SetParserTokenLimit(maxTokens)
	e.server.SetErrorPresenter(o.Resolver.Present)
	e.server.SetRecoverFunc(o.Resolver.Recover)
	e.server.Use(extension.Introspection{})
	e.server.Use(extension.FixedComplexityLimit(maxComplexity))
	e.server.Use(depthLimit{})
	e.server.AroundOperations(onlyStreamed)
	e.server.AroundOperations(o.Resolver.Operation)
	e.server.AroundResponses(o.Resolver.Response)
	e.server.AroundRootFields(o.Resolver.RootField)
	return e
}

// ServeHTTP answers requests whose token auth.Service.Middleware has read.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > maxBody {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if !e.allowOrigin(w, r) {
		return
	}
	if r.Header.Get("Upgrade") == "" {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w = &patient{w, http.NewResponseController(w), e.Timing.Write}
	}
	e.server.ServeHTTP(w, r.WithContext(graph.WithRequest(r.Context(), r.RemoteAddr)))
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
		w.WriteHeader(http.StatusForbidden)
		return false
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
func (e *Edge) enter(s *socket) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping || len(e.sockets)+e.streams >= e.MaxConnections {
		return false
	}
	if s == nil {
		e.streams++
	} else {
		e.sockets[s] = struct{}{}
	}
	return true
}

func (e *Edge) leave(s *socket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s == nil {
		e.streams--
	} else {
		delete(e.sockets, s)
	}
}

// Connections is how many sockets and streams are open.
func (e *Edge) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sockets) + e.streams
}

// Drain tells every client to come again elsewhere, and lets none in any more.
// It returns when all have gone or the context ends.
func (e *Edge) Drain(ctx context.Context) {
	e.mu.Lock()
	e.stopping = true
	leaving := make([]*socket, 0, len(e.sockets))
	for s := range e.sockets {
		leaving = append(leaving, s)
	}
	e.mu.Unlock()
	e.stop()
	for _, s := range leaving {
		go s.close(closeGoingAway, "the server restarts")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.Connections() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
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
func onlyStreamed(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription && ctx.Value(streamedKey{}) == nil {
		return graphql.OneShot(graphql.ErrorResponse(ctx, "a subscription needs graphql-transport-ws, or the header Accept: text/event-stream"))
	}
	return next(ctx)
}
