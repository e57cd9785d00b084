package graph

import (
	"context"
	"errors"
	"runtime/debug"
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
		shown = at(ctx, string(f.Code), f.Message)
	case !errors.As(err, &shown):
		shown = at(ctx, internal, "internal error")
	case shown.Unwrap() == nil && shown.Extensions["code"] != nil: // the parser's, the validator's, or a limit's
	case inArguments(ctx):
		shown = at(ctx, badRequest, shown.Message)
	default:
		shown = at(ctx, internal, "internal error")
	}
	id := requestID(ctx)
	shown.Extensions["requestId"] = id
	if shown.Extensions["code"] == internal && ctx.Err() == nil {
		r.Log.Error("request failed", "requestId", id, "path", shown.Path.String(), "error", err)
	}
	return shown
}

// Codes of errors that are no faults.
const (
	internal   = "INTERNAL"
	badRequest = "BAD_REQUEST"
)

func at(ctx context.Context, code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": code}}
}

// inArguments says that the error is of reading a field's arguments, such as an
// id that is none: they are there only once they were read.
func inArguments(ctx context.Context) bool {
	fc := graphql.GetFieldContext(ctx)
	return fc != nil && fc.Field.Field != nil && len(fc.Field.Definition.Arguments) > 0 && fc.Args == nil
}

// Recover keeps a panic in a resolver from ending the process. What it was is
// for the log alone.
func (r *Resolver) Recover(ctx context.Context, value any) error {
	r.Log.Error("panic in a resolver", "requestId", requestID(ctx), "panic", value, "stack", string(debug.Stack()))
	return errPanic
}

var errPanic = errors.New("panic in a resolver, see the entry before")

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
