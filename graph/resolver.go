// Package graph is Parley's GraphQL API over the domain: one expression per
// resolver, and beside them what all share: who is looking (viewer.go), reads of
// what lists point at (loader.go, loaders.go), errors as clients see them
// (errors.go), what a query costs (cost.go), the event stream (stream.go) and
// what of it can be shared (driver.go).
//
// Everything is safe for concurrent use; loaders belong to one response.
// Invariant: a resolver reads only what the viewer's predicate let through, or
// what hangs on it, and every change is one method of the domain.
package graph

import (
	"log/slog"

	"github.com/99designs/gqlgen/graphql"

	"parley/graph/generated"
	"parley/server/audit"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/desk"
	"parley/server/ingest"
	"parley/server/settings"
)

//go:generate go run generate.go

// Resolver is the root of all resolvers.
type Resolver struct {
	Desk     *desk.Desk
	Auth     *auth.Service
	Channels *channels.Channels
	Ingest   *ingest.Inbox
	Settings *settings.Settings
	Audit    *audit.Log
	Log      *slog.Logger
}

// NewSchema is the executable API.
func NewSchema(r *Resolver) graphql.ExecutableSchema {
	return generated.NewExecutableSchema(generated.Config{
		Resolvers:  r,
		Directives: generated.DirectiveRoot{Public: public, Allowed: allowed, Readable: readable},
		Complexity: costs(),
	})
}
