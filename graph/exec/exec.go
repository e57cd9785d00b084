// Package exec is what generated code runs a response's fields with, in place of
// the functions of gqlgen that have the same names: graph/generate.go puts it
// there. It owns the order of execution: one field after the other, one element
// after the other. gqlgen starts a goroutine for each element of a list and for
// each resolver; but what a list points at is read for all of it by the first
// that asks (graph/loader.go), so that the others found nothing to do but wait.
// And it keeps to the stack what gqlgen allocates for each field: an inbox is
// fifteen hundred of them.
//
// Nothing here is kept between responses. Invariant: data and errors are what
// gqlgen would give, without @defer, which answers in one piece, as it may, and
// without interceptors of fields, of which there are none.
package exec

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// ResolveField gives one field. Only a field with selections or arguments gets a
// context of its own at once; another one when something goes wrong, to say where.
func ResolveField[T any](
	ctx context.Context,
	oc *graphql.OperationContext,
	field graphql.CollectedField,
	describe func(context.Context, graphql.CollectedField) (*graphql.FieldContext, error),
	resolve func(context.Context) (any, error),
	_ func(context.Context, graphql.Resolver) graphql.Resolver, // directives: those fields are left to gqlgen
	marshal func(context.Context, ast.SelectionSet, T) graphql.Marshaler,
	_, nonNull bool,
) (ret graphql.Marshaler) {
	leaf := len(field.Selections) == 0 && len(field.Definition.Arguments) == 0 // without a context of its own yet
	defer func() {
		if value := recover(); value != nil {
			if leaf {
				ctx = within(ctx, field, describe)
			}
			oc.Error(ctx, oc.Recover(ctx, value))
			ret = graphql.Null
		}
	}()
	if !leaf {
		fc, err := describe(ctx, field)
		if err != nil {
			return graphql.Null // it has said why
		}
		ctx = graphql.WithFieldContext(ctx, fc)
	}
	value, err := resolve(ctx)
	if err == nil {
		if v, ok := value.(T); ok {
			return marshal(ctx, field.Selections, v)
		}
	}
	if leaf {
		ctx, leaf = within(ctx, field, describe), false
	}
	if err != nil {
		oc.Error(ctx, graphql.AddFieldLocationToError(ctx, err))
	} else if nonNull {
		graphql.AddInvalidNullError(ctx, "")
	}
	return graphql.Null
}

// within is the context of a field.
func within(ctx context.Context, field graphql.CollectedField, describe func(context.Context, graphql.CollectedField) (*graphql.FieldContext, error)) context.Context {
	fc, err := describe(ctx, field)
	if err != nil {
		return ctx
	}
	return graphql.WithFieldContext(ctx, fc)
}

// MarshalSliceConcurrently gives the elements of a list in turn. They share a
// context, whose index says which of them it is about.
func MarshalSliceConcurrently(ctx context.Context, length int, _ int64, _ bool, element func(context.Context, int) graphql.Marshaler) graphql.Array {
	list := make(graphql.Array, length)
	index := 0
	ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Index: &index})
	for index = range length {
		list[index] = guarded(ctx, func(ctx context.Context) graphql.Marshaler { return element(ctx, index) })
	}
	return list
}

// guarded keeps a panic to the part of the response that it happened in.
func guarded(ctx context.Context, resolve func(context.Context) graphql.Marshaler) (ret graphql.Marshaler) {
	defer func() {
		if value := recover(); value != nil {
			graphql.AddError(ctx, graphql.Recover(ctx, value))
			ret = graphql.Null
		}
	}()
	return resolve(ctx)
}

// FieldSet is an object of the response.
type FieldSet struct {
	Values   []graphql.Marshaler
	Invalids uint32 // fields that are null and must not be: then so is the object

	ctx    context.Context
	fields []graphql.CollectedField
	roots  sync.WaitGroup
}

// NewFieldSet makes the object that a context is about.
func NewFieldSet(ctx context.Context, fields []graphql.CollectedField) *FieldSet {
	return &FieldSet{ctx: ctx, fields: fields, Values: make([]graphql.Marshaler, len(fields))}
}

// NewDeferredGroup is of no use, but that generated code wants one.
func NewDeferredGroup(context.Context) graphql.DeferredGroup { return graphql.DeferredGroup{} }

// ResolveConcurrently gives a field that has a resolver, in its turn.
func (s *FieldSet) ResolveConcurrently(_ *graphql.OperationContext, _ *graphql.DeferredGroup, i int, _, nonNull bool, resolve func(context.Context) graphql.Marshaler) {
	s.set(i, nonNull, guarded(s.ctx, resolve))
}

// ResolveRootConcurrently gives a field of a query beside its others: these have
// nothing to share.
func (s *FieldSet) ResolveRootConcurrently(ctx context.Context, oc *graphql.OperationContext, i int, _, nonNull bool, resolve func(context.Context) graphql.Marshaler) {
	run := func() {
		s.set(i, nonNull, oc.RootResolverMiddleware(ctx, func(ctx context.Context) graphql.Marshaler { return guarded(ctx, resolve) }))
	}
	if len(s.fields) == 1 {
		run()
		return
	}
	s.roots.Go(run)
}

func (s *FieldSet) set(i int, nonNull bool, value graphql.Marshaler) {
	s.Values[i] = value
	if nonNull && value == graphql.Null {
		atomic.AddUint32(&s.Invalids, 1)
	}
}

// Dispatch waits for the fields of a query.
func (s *FieldSet) Dispatch(context.Context) { s.roots.Wait() }

// MarshalGQL writes the object.
func (s *FieldSet) MarshalGQL(w io.Writer) {
	separator := "{"
	for i, value := range s.Values {
		_, _ = io.WriteString(w, separator)
		_, _ = io.WriteString(w, `"`)
		_, _ = io.WriteString(w, s.fields[i].Alias)
		_, _ = io.WriteString(w, `":`)
		value.MarshalGQL(w)
		separator = ","
	}
	if len(s.Values) == 0 {
		_, _ = io.WriteString(w, "{")
	}
	_, _ = io.WriteString(w, "}")
}
