package edge

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph"
	"parley/server/desk"
)

// source is a subscription that was accepted once and can be run again, to show
// what a viewer would see.
type source struct {
	edge   *Edge
	exec   graphql.GraphExecutor
	params *graphql.RawParams
	viewer desk.Viewer
}

// operation has no errors: it had none before.
func (s source) operation() *graphql.OperationContext {
	params := *s.params // to read is to write when
	_, o, _ := prepare(context.Background(), s.exec, &params)
	return o
}

// renderer runs a subscription on steps that it is given.
type renderer struct {
	source

	mu     sync.Mutex
	ctx    context.Context
	next   graphql.ResponseHandler // nil until the first step
	driver *graph.Driver
}

// said is what is said of a step.
type said struct {
	payloads [][]byte      // of next messages, each with the brace that ends the message
	failed   gqlerror.List // why the subscription ends after them
}

func (s *said) size() int {
	n := 256
	for _, payload := range s.payloads {
		n += len(payload)
	}
	return n
}

// render runs the operation on a step.
func (r *renderer) render(u desk.Update) *said {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := &said{}
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			result.fail(r, r.edge.Resolver.Recover(r.ctx, value))
		}
		if result.failed != nil {
			r.next = nil
		}
	}()
	if r.next == nil {
		ctx := graph.WithRequest(streamed(context.Background()), "")
		ctx, r.driver = graph.WithViewer(ctx, r.viewer)
		r.next, r.ctx = r.exec.DispatchOperation(ctx, r.operation())
	}
	err := r.driver.Show(u, func() {
		switch response := r.next(r.ctx); {
		case response.Data == nil:
			result.failed = response.Errors
		default:
			result.payloads = append(result.payloads, append(encode(response), '}'))
		}
	})
	if err != nil {
		result.fail(r, err)
	}
	return result
}

func (s *said) fail(r *renderer, err error) {
	s.failed = r.exec.DispatchError(r.ctx, gqlerror.List{gqlerror.Wrap(err)}).Errors
}
