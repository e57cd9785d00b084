// Package migrations holds the versioned changes of the tables, one folder per
// database. A file that has landed is never edited; package store applies them,
// and a test there holds them equal to ent's schema and prints what is missing.
package migrations

import "embed"

// FS has the folders postgres and sqlite.
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
