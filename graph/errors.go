package graph

import (
	"context"
	"errors"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph/model"
	"parley/server/fault"
)

// failures turns an error into the userErrors of a mutation, if it is one that
// a client is to expect; every other error stays one.
func failures(err error) ([]*model.UserError, error) {
	var f *fault.Error
	if !errors.As(err, &f) || !slices.Contains(model.AllUserErrorCode, model.UserErrorCode(f.Code)) {
		return []*model.UserError{}, err
	}
	e := &model.UserError{Code: model.UserErrorCode(f.Code), Message: f.Message}
	if f.Field != "" {
		e.Field = &f.Field
	}
	return []*model.UserError{e}, nil
}

// Present is the one map from errors to what leaves the API: faults by their
// code, mistakes in the query as the parser words them, and nothing of the rest
// but a request id to find it in the log by.
func (r *Resolver) Present(ctx context.Context, err error) *gqlerror.Error {
	var shown *gqlerror.Error
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		shown = at(ctx, f.Message)
		shown.Extensions = map[string]any{"code": string(f.Code)}
	case errors.As(err, &shown) && shown.Unwrap() == nil: // the parser's, or the validator's
		if shown.Extensions["code"] == nil {
			shown.Extensions = map[string]any{"code": "BAD_REQUEST"}
		}
	default:
		shown = at(ctx, "internal error")
		shown.Extensions = map[string]any{"code": "INTERNAL"}
	}
	id := requestID(ctx)
	shown.Extensions["requestId"] = id
	if shown.Extensions["code"] == "INTERNAL" && ctx.Err() == nil {
		r.Log.Error("request failed", "requestId", id, "path", shown.Path.String(), "error", err)
	}
	return shown
}

func at(ctx context.Context, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Path: graphql.GetPath(ctx)}
}

// Recover keeps a panic in a resolver from ending the process.
func (r *Resolver) Recover(_ context.Context, value any) error {
	return &panicked{value}
}

type panicked struct{ value any }

func (p *panicked) Error() string { return "panic in a resolver" }

func listOf(e *gqlerror.Error) gqlerror.List { return gqlerror.List{e} }

type requestKey struct{}

type request struct{ id, address string }

// WithRequest names a request, in errors and in the log, and says where it came
// from.
func WithRequest(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, requestKey{}, request{uuid.NewString(), address})
}

func requestID(ctx context.Context) string {
	r, _ := ctx.Value(requestKey{}).(request)
	return r.id
}

func address(ctx context.Context) string {
	r, _ := ctx.Value(requestKey{}).(request)
	return r.address
}
