// Package ent is the generated access to Parley's tables; what is written by
// hand is in package schema.
package ent

//go:generate go run entc.go
