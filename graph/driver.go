package graph

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"parley/server/desk"
)

// Driver takes a subscription out of the hands of its resolver: the transport
// moves the feed, and has the steps shown one by one, so that it can show a step
// once for all who would be shown the same.
type Driver struct {
	Feed *desk.Feed // what the resolver opened
	show func(desk.Update, func()) error
}

type driverKey struct{}

// WithDriver has the subscription that is begun with the context leave its feed
// to a driver.
func WithDriver(ctx context.Context) (context.Context, *Driver) {
	d := &Driver{}
	return context.WithValue(ctx, driverKey{}, d), d
}

// WithViewer has the subscription that is begun with the context show steps to
// whoever sees what this viewer sees; it has no feed.
func WithViewer(ctx context.Context, v desk.Viewer) (context.Context, *Driver) {
	s := &seat{}
	s.viewer.Store(&v)
	d := &Driver{Feed: noFeed}
	return context.WithValue(context.WithValue(ctx, viewerKey{}, s), driverKey{}, d), d
}

var noFeed = &desk.Feed{}

// Show calls respond each time that the operation has a response to a step. The
// error is why the subscription ends.
func (d *Driver) Show(u desk.Update, respond func()) error { return d.show(u, respond) }

func drive[T any](ctx context.Context, r *Resolver, d *Driver, after *string, f desk.EventFilter, show func(desk.Update) ([]T, error)) (<-chan T, error) {
	out := make(chan T, 1)
	d.show = func(u desk.Update, respond func()) error {
		steps, err := show(u)
		for _, step := range steps {
			out <- step
			respond()
		}
		return err
	}
	if d.Feed != nil {
		return out, nil
	}
	feed, err := r.Desk.Feed(ctx, viewer(ctx), after, f)
	d.Feed = feed
	return out, err
}

// Likeness is the same for subscriptions whose responses to a step are the same:
// those of one document, with the same variables but for where they begin, by
// viewers of one role with the same scopes; and of one viewer, with the same
// rights, where the document asks for what is the viewer's own.
func Likeness(o *graphql.OperationContext, v desk.Viewer) [sha256.Size]byte {
	root, _ := o.Operation.SelectionSet[0].(*ast.Field)
	variables := maps.Clone(o.Variables)
	if begin := beginning(root); begin != "" && !mentioned(root.SelectionSet, begin) {
		delete(variables, begin)
	}
	parts := []any{o.RawQuery, o.OperationName, variables, v.Role(), v.Scopes()}
	if own(o.Operation.SelectionSet, v) {
		parts = append(parts, v.GlobalID(), v.Queues)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // variables came as JSON
	}
	return sha256.Sum256(text)
}

// beginning is the variable that says where a subscription begins, if one does.
func beginning(root *ast.Field) string {
	if root == nil {
		return ""
	}
	if after := root.Arguments.ForName("after"); after != nil && after.Value.Kind == ast.Variable {
		return after.Value.Raw
	}
	return ""
}

func mentioned(set ast.SelectionSet, variable string) bool {
	return slices.ContainsFunc(fields(set), func(f *ast.Field) bool {
		return slices.ContainsFunc(f.Arguments, func(a *ast.Argument) bool { return mentionedIn(a.Value, variable) })
	})
}

func mentionedIn(v *ast.Value, variable string) bool {
	return v.Kind == ast.Variable && v.Raw == variable ||
		slices.ContainsFunc(v.Children, func(c *ast.ChildValue) bool { return mentionedIn(c.Value, variable) })
}

// own says whether a selection has fields whose value is the viewer's own: those
// marked so, and those that others of their role may read only of themselves.
func own(set ast.SelectionSet, v desk.Viewer) bool {
	return slices.ContainsFunc(fields(set), func(f *ast.Field) bool {
		if f.Definition == nil {
			return false
		}
		readable := f.Definition.Directives.ForName("readable")
		ofSelf := readable != nil && f.ObjectDefinition.Name == "Operator" &&
			!slices.ContainsFunc(readable.Arguments.ForName("roles").Value.Children, func(c *ast.ChildValue) bool { return c.Value.Raw == string(v.Role()) })
		return ofSelf || f.Definition.Directives.ForName("own") != nil
	})
}

// fields are all fields of a selection, on every level. It is finite and not too
// large: validation and limits come first.
func fields(set ast.SelectionSet) (all []*ast.Field) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			all = append(append(all, s), fields(s.SelectionSet)...)
		case *ast.InlineFragment:
			all = append(all, fields(s.SelectionSet)...)
		case *ast.FragmentSpread:
			all = append(all, fields(s.Definition.SelectionSet)...)
		}
	}
	return all
}
