package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
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

func (t events) Supports(r *http.Request) bool {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && mediaType == "application/json" &&
		strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// Do streams until the operation is complete, the client goes, the token ends or
// the server drains; only the first is said, so that clients come again after
// the others.
func (t events) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if !t.edge.enter(nil) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer t.edge.leave(nil)
	ctx, cancel := context.WithCancel(streamed(r.Context()))
	defer cancel()
	defer context.AfterFunc(t.edge.stopped, cancel)()
	if p, ok := auth.From(ctx); ok {
		var ended context.CancelFunc
		ctx, ended = context.WithDeadline(ctx, p.ExpiresAt)
		defer ended()
	}
	var params graphql.RawParams
	if err := decode(r.Body, &params); err != nil {
		http.Error(w, "the body is not a GraphQL request in JSON", http.StatusBadRequest)
		return
	}
	params.Headers = r.Header
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no")
	s := &eventStream{w: w, cancel: cancel}
	s.write(":\n\n")
	defer keepAlive(t.edge.Timing.Ping, s)()
	ctx, end := graph.WithEnd(ctx)
	for response := range responses(ctx, exec, &params) {
		s.next(response)
	}
	if end.Err != nil {
		s.next(exec.DispatchError(ctx, gqlerror.List{gqlerror.Wrap(end.Err)}))
	}
	if ctx.Err() == nil {
		s.write("event: complete\ndata:\n\n")
	}
}

// eventStream is the way to one client; its methods may be called side by side.
type eventStream struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	cancel context.CancelFunc
}

func (s *eventStream) next(response *graphql.Response) {
	data, err := json.Marshal(response)
	if err != nil {
		s.cancel()
		return
	}
	s.write("event: next\ndata: " + string(data) + "\n\n")
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
// client that is gone shows.
func keepAlive(every time.Duration, s *eventStream) (stop func()) {
	done := make(chan struct{})
	tick := time.NewTicker(every)
	go func() {
		for {
			select {
			case <-tick.C:
				s.write(": ping\n\n")
			case <-done:
				return
			}
		}
	}()
	return func() { tick.Stop(); close(done) }
}

// responses runs an operation and gives its responses until it is complete or
// the context ends.
func responses(ctx context.Context, exec graphql.GraphExecutor, params *graphql.RawParams) func(yield func(*graphql.Response) bool) {
	return func(yield func(*graphql.Response) bool) {
		ctx := graphql.StartOperationTrace(ctx)
		params.ReadTime = graphql.TraceTiming{Start: graphql.Now(), End: graphql.Now()}
		operation, errs := exec.CreateOperationContext(ctx, params)
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

// decode keeps numbers of variables exact.
func decode(r io.Reader, v any) error {
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(all))
	d.UseNumber()
	return d.Decode(v)
}
