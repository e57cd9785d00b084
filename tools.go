//go:build tools

// Package parley keeps the generators that `go generate ./...` runs in go.mod;
// the tool block there names their commands.
package parley

import (
	_ "entgo.io/ent/cmd/ent"
	_ "github.com/99designs/gqlgen"
)
