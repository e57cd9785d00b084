package edge

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph"
	"parley/server/auth"
)

// events is GraphQL over server-sent events, one stream for each operation
// (GraphQL over SSE, distinct connections mode).
type events struct{ edge *Edge }

var _ graphql.Transport = events{}

// Supports a request that would have a stream before anything else. Clients that
// subscribe say so; some name it last with every query, which wants no stream.
func (t events) Supports(r *http.Request) bool {
	preferred, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	return r.Method == http.MethodPost && isType(r.Header.Get("Content-Type"), "application/json") &&
		isType(preferred, "text/event-stream")
}

func isType(header, want string) bool {
	mediaType, _, _ := mime.ParseMediaType(header)
	return mediaType == want
}

// Do streams until the operation is complete, the client goes, the token ends or
// the server drains; only the first is said, so that clients come again after
// the others.
func (t events) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if !t.edge.enter(w) {
		return
	}
	defer t.edge.leave()
	ctx, cancel := context.WithCancel(streamed(r.Context()))
	defer cancel()
	defer context.AfterFunc(t.edge.stopped, cancel)()
	if p, ok := auth.From(ctx); ok {
		var ended context.CancelFunc
		ctx, ended = context.WithTimeout(ctx, p.ExpiresAt.Sub(t.edge.Now()))
		defer ended()
		p.Distrusted(ctx, cancel)
	}
	var params graphql.RawParams
	_ = decode(r.Body, &params) // readBody has seen that it can be
	params.Headers = r.Header
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no")
	s := &eventStream{w: w, cancel: cancel}
	s.write(":\n\n")
	defer keepAlive(t.edge.Timing.Ping, s)()
	ctx, end := graph.WithEnd(ctx)
	ctx, operation, errs := prepare(ctx, exec, &params)
	for response := range responses(ctx, exec, operation, errs) {
		s.next(response)
	}
	if ctx.Err() != nil {
		return
	}
	if end.Err != nil {
		s.next(exec.DispatchError(ctx, gqlerror.List{gqlerror.Wrap(end.Err)}))
	}
	s.write("event: complete\ndata:\n\n")
}

// eventStream is the way to one client; its methods may be called side by side.
type eventStream struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	cancel context.CancelFunc
}

func (s *eventStream) next(response *graphql.Response) {
	s.write("event: next\ndata: " + string(encode(response)) + "\n\n")
}

// write sends at once; a client that does not take it loses the stream.
func (s *eventStream) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.w, text); err != nil {
		s.cancel()
		return
	}
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
}

// keepAlive writes a comment now and then: proxies close what is silent, and a
// client that is gone shows. After stop it writes no more: the way to the client
// is then another request's.
func keepAlive(every time.Duration, s *eventStream) (stop func()) {
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.write(": ping\n\n")
			case <-done:
				return
			}
		}
	})
	return func() { close(done); writer.Wait() }
}

// prepare reads an operation.
func prepare(ctx context.Context, exec graphql.GraphExecutor, params *graphql.RawParams) (context.Context, *graphql.OperationContext, gqlerror.List) {
	ctx = graphql.StartOperationTrace(ctx)
	params.ReadTime = graphql.TraceTiming{Start: graphql.Now(), End: graphql.Now()}
	operation, errs := exec.CreateOperationContext(ctx, params)
	return ctx, operation, errs
}

// responses runs an operation, unless it could not be read, and gives its
// responses until it is complete or the context ends.
func responses(ctx context.Context, exec graphql.GraphExecutor, operation *graphql.OperationContext, errs gqlerror.List) iter.Seq[*graphql.Response] {
	return func(yield func(*graphql.Response) bool) {
		if errs != nil {
			yield(exec.DispatchError(graphql.WithOperationContext(ctx, operation), errs))
			return
		}
		next, ctx := exec.DispatchOperation(ctx, operation)
		for ctx.Err() == nil {
			response := next(ctx)
			if response == nil || !yield(response) {
				return
			}
		}
	}
}

// encode is a response in JSON. What has nothing but data, as most have, is not
// read through again.
func encode(response *graphql.Response) []byte {
	if response.Data != nil && len(response.Errors) == 0 && len(response.Extensions) == 0 {
		return append(append([]byte(`{"data":`), response.Data...), '}')
	}
	text, err := json.Marshal(response)
	if err != nil {
		panic(err) // data that is no JSON
	}
	return text
}

// decode keeps numbers of variables exact.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.UseNumber()
	return d.Decode(v)
}
