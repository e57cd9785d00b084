package graph

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/ent"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/graph/model"
	"parley/server/audit"
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
	var err error
	if _, taken := ctx.Value(viewerKey{}).(*seat); !taken {
		ctx = context.WithValue(ctx, viewerKey{}, &seat{})
		err = r.look(ctx)
	}
	// RootField is not asked for the fields of subscriptions, none of which is public.
	if err == nil && viewer(ctx).Nobody() && kind(ctx) == ast.Subscription {
		err = errSignIn
	}
	if err != nil {
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{r.Present(ctx, err)}})
	}
	return next(ctx)
}

// seat is where an operation finds who is looking. A subscription outlives what
// they may see: then they are looked up anew.
type seat struct{ viewer atomic.Pointer[desk.Viewer] }

// look loads who is looking, if they are signed in.
func (r *Resolver) look(ctx context.Context) error {
	p, ok := auth.From(ctx)
	if !ok {
		return nil
	}
	v, err := r.find(ctx, p)
	if err == nil {
		ctx.Value(viewerKey{}).(*seat).viewer.Store(&v)
	}
	return err
}

func (r *Resolver) find(ctx context.Context, p auth.Principal) (desk.Viewer, error) {
	if p.ClientID != uuid.Nil {
		return r.Desk.Machine(ctx, p.ClientID, p.Scopes())
	}
	return r.Desk.Viewer(ctx, p.OperatorID)
}

func kind(ctx context.Context) ast.Operation {
	return graphql.GetOperationContext(ctx).Operation.Operation
}

// Response gives each response loaders of its own.
func (r *Resolver) Response(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	return next(r.withLoaders(ctx))
}

var errSignIn = fault.New(fault.Unauthenticated, "", "sign in first")

// RootField lets nobody in who is not signed in, except where the schema says so.
func (r *Resolver) RootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	field := graphql.GetRootFieldContext(ctx).Field
	if viewer(ctx).Nobody() && field.Definition.Directives.ForName("public") == nil && !isIntrospection(field.Name) {
		graphql.AddError(graphql.WithPathContext(ctx, graphql.NewPathWithField(field.Alias)), errSignIn)
		return graphql.Null
	}
	if kind(ctx) == ast.Mutation { // one field reads what the one before has changed
		ctx = r.withLoaders(ctx)
	}
	return next(ctx)
}

func isIntrospection(field string) bool { return strings.HasPrefix(field, "__") }

func startCursor(ctx context.Context) string { return ctx.Value(cursorKey{}).(string) }

// viewer is who is looking; the zero Viewer is nobody.
func viewer(ctx context.Context) desk.Viewer {
	if s, ok := ctx.Value(viewerKey{}).(*seat); ok {
		if v := s.viewer.Load(); v != nil {
			return *v
		}
	}
	return desk.Viewer{}
}

// actor is who is looking, for the audit log.
func actor(ctx context.Context) audit.Actor {
	p, _ := auth.From(ctx)
	return audit.Actor{Operator: p.OperatorID, Client: p.ClientID}
}

func public(ctx context.Context, _ any, next graphql.Resolver) (any, error) { return next(ctx) }

func allowed(ctx context.Context, _ any, next graphql.Resolver, roles []operator.Role, scope *string) (any, error) {
	v := viewer(ctx)
	if !slices.Contains(roles, v.Role()) {
		return nil, fault.New(fault.Forbidden, "", "your role may not do this")
	}
	if scope != nil && !v.Has(*scope) {
		return nil, fault.New(fault.Forbidden, "", "this takes the scope %s", *scope)
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
	shown := &model.Viewer{Role: v.Role(), Operator: v.Operator, Permissions: permissions[v.Role()]}
	if v.Machine == nil {
		return shown
	}
	shown.APIClient = v.Machine.APIClient
	if v.SeesAll() {
		shown.Permissions = append(shown.Permissions, model.PermissionReadAllChats)
	}
	if v.SeesAll() && v.Has(schema.ChatsWrite) {
		shown.Permissions = append(shown.Permissions, model.PermissionWriteChats)
	}
	return shown
}
