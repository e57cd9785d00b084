package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

func operation(t *testing.T) (context.Context, *graphql.OperationContext) {
	recovered := func(_ context.Context, value any) error { return fmt.Errorf("recovered %v", value) }
	oc := &graphql.OperationContext{RecoverFunc: recovered}
	ctx := graphql.WithOperationContext(t.Context(), oc)
	return graphql.WithResponseContext(ctx, graphql.DefaultErrorPresenter, recovered), oc
}

func named(name string) graphql.CollectedField {
	return graphql.CollectedField{Field: &ast.Field{Alias: name, Name: name, Definition: &ast.FieldDefinition{Name: name, Type: &ast.Type{NamedType: "String"}}, ObjectDefinition: &ast.Definition{Name: "Object"}, Position: &ast.Position{}}}
}

func text(ctx context.Context, oc *graphql.OperationContext, name string, nonNull bool, resolve func(context.Context) (any, error)) graphql.Marshaler {
	return ResolveField(ctx, oc, named(name), func(_ context.Context, field graphql.CollectedField) (*graphql.FieldContext, error) {
		return &graphql.FieldContext{Field: field}, nil
	}, resolve, nil, func(_ context.Context, _ ast.SelectionSet, v string) graphql.Marshaler {
		return graphql.MarshalString(v)
	}, true, nonNull)
}

func TestAFieldThatFailsIsNullAndSaysWhereInAListItIs(t *testing.T) {
	for name, c := range map[string]struct {
		resolve func(context.Context) (any, error)
		nonNull bool
		message string
	}{
		"an error":                 {func(context.Context) (any, error) { return nil, errors.New("no") }, false, "no"},
		"a panic":                  {func(context.Context) (any, error) { panic("oh") }, false, "recovered oh"},
		"none, which must not be":  {func(context.Context) (any, error) { return nil, nil }, true, "cannot return null"},
		"none, which is all right": {func(context.Context) (any, error) { return nil, nil }, false, ""},
	} {
		ctx, oc := operation(t)
		list := MarshalSliceConcurrently(ctx, 3, 0, false, func(ctx context.Context, i int) graphql.Marshaler {
			if i == 1 {
				return text(ctx, oc, "field", c.nonNull, c.resolve)
			}
			return text(ctx, oc, "field", c.nonNull, func(context.Context) (any, error) { return fmt.Sprint(i), nil })
		})
		var b bytes.Buffer
		if list.MarshalGQL(&b); b.String() != `["0",null,"2"]` || list[1] != graphql.Null {
			t.Errorf("%s: %s", name, &b)
		}
		errs := graphql.GetErrors(ctx)
		if c.message == "" && len(errs) == 0 {
			continue
		}
		if len(errs) != 1 || !strings.Contains(errs[0].Message, c.message) || errs[0].Path.String() != "[1].field" {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestAnObjectCountsTheFieldsThatMustNotBeNull(t *testing.T) {
	ctx, oc := operation(t)
	set := NewFieldSet(ctx, []graphql.CollectedField{named("a"), named("b"), named("c")})
	null := func(context.Context) graphql.Marshaler { return graphql.Null }
	set.ResolveConcurrently(oc, nil, 0, true, false, null)
	set.ResolveConcurrently(oc, nil, 1, true, true, null)
	set.ResolveConcurrently(oc, nil, 2, true, true, func(context.Context) graphql.Marshaler { panic("oh") })
	set.Dispatch(ctx)
	var b bytes.Buffer
	if set.MarshalGQL(&b); b.String() != `{"a":null,"b":null,"c":null}` || set.Invalids != 2 {
		t.Errorf("%d %s", set.Invalids, &b)
	}
	if errs := graphql.GetErrors(ctx); len(errs) != 1 {
		t.Error(errs)
	}
}

func TestReleasedDataIsWrittenOver(t *testing.T) {
	buffer := Buffer()
	buffer.WriteString("before")
	Release(buffer.Bytes())
	if again := Buffer(); again.Len() != 0 {
		t.Error(again)
	}
}
