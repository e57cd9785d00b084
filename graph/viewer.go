package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"

	"parley/ent"
	"parley/ent/operator"
	"parley/graph/model"
	"parley/server/auth"
	"parley/server/desk"
	"parley/server/fault"
)

type (
	viewerKey struct{}
	cursorKey struct{}
)

// Operation loads who is looking, once for each operation, and where the event
// stream is before anything is read.
func (r *Resolver) Operation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	ctx = context.WithValue(ctx, cursorKey{}, r.Desk.Cursor())
	if p, ok := auth.From(ctx); ok {
		v, err := r.Desk.Viewer(ctx, p.OperatorID)
		if err != nil {
			return graphql.OneShot(&graphql.Response{Errors: listOf(r.Present(ctx, err))})
		}
		ctx = context.WithValue(ctx, viewerKey{}, v)
	}
	return next(ctx)
}

// Response gives each response loaders of its own.
func (r *Resolver) Response(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	return next(r.withLoaders(ctx))
}

// RootField lets nobody in who is not signed in, except where the schema says so.
func (r *Resolver) RootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	field := graphql.GetRootFieldContext(ctx).Field
	if viewer(ctx).Operator == nil && field.Definition.Directives.ForName("public") == nil && !isIntrospection(field.Name) {
		graphql.AddError(ctx, fault.New(fault.Unauthenticated, "", "sign in first"))
		return graphql.Null
	}
	return next(ctx)
}

func isIntrospection(field string) bool { return len(field) > 2 && field[:2] == "__" }

func startCursor(ctx context.Context) string { return ctx.Value(cursorKey{}).(string) }

// viewer is who is looking; the zero Viewer is nobody.
func viewer(ctx context.Context) desk.Viewer {
	v, _ := ctx.Value(viewerKey{}).(desk.Viewer)
	return v
}

func public(ctx context.Context, _ any, next graphql.Resolver) (any, error) { return next(ctx) }

func allowed(ctx context.Context, _ any, next graphql.Resolver, roles []operator.Role) (any, error) {
	if !slices.Contains(roles, viewer(ctx).Role()) {
		return nil, fault.New(fault.Forbidden, "", "your role may not do this")
	}
	return next(ctx)
}

func readable(ctx context.Context, of any, next graphql.Resolver, roles []operator.Role) (any, error) {
	v := viewer(ctx)
	self, ok := of.(*ent.Operator)
	if slices.Contains(roles, v.Role()) || ok && v.Operator != nil && self.ID == v.Operator.ID {
		return next(ctx)
	}
	return nil, nil
}

func toViewer(v desk.Viewer) *model.Viewer {
	permissions := map[operator.Role][]model.Permission{
		operator.RoleAdmin: {model.PermissionReadAllChats, model.PermissionHandleChats,
			model.PermissionReadSettings, model.PermissionChangeSettings},
		operator.RoleSupervisor: {model.PermissionReadAllChats, model.PermissionHandleChats, model.PermissionReadSettings},
		operator.RoleOperator:   {model.PermissionHandleChats},
		operator.RoleIntegrator: {model.PermissionReadSettings, model.PermissionChangeSettings},
	}
	return &model.Viewer{Role: v.Role(), Operator: v.Operator, Permissions: permissions[v.Role()]}
}
