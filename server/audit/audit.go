// Package audit owns the record of who changed what. It has no state of its own.
// Invariant: an entry commits with the change that it tells of, and is never
// changed; of secrets it tells only that they changed.
package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/server/paging"
	"parley/server/store"
)

// Actor is who makes a change: an operator or an API client. The zero Actor is
// the installation itself.
type Actor struct{ Operator, Client uuid.UUID }

// ID is that of the operator or client.
func (a Actor) ID() uuid.UUID {
	if a.Client != uuid.Nil {
		return a.Client
	}
	return a.Operator
}

// Change is one thing that changed. What is nil was not there, or is secret.
type Change struct {
	Action        auditentry.Action
	Subject       string // a setting's code, or a global id
	Before, After *string
}

// Add records changes in the transaction that makes them.
func Add(ctx context.Context, tx *store.Tx, at time.Time, by Actor, changes ...Change) error {
	return tx.AuditEntry.MapCreateBulk(changes, func(c *ent.AuditEntryCreate, i int) {
		of := changes[i]
		c.SetNillableOperatorID(given(by.Operator)).SetNillableClientID(given(by.Client)).SetCreatedAt(at).
			SetAction(of.Action).SetSubject(of.Subject).SetNillableBefore(of.Before).SetNillableAfter(of.After)
	}).Exec(ctx)
}

func given(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// Log is the record of one installation.
type Log struct{ store *store.Store }

// Open gives the record that a migrated database holds.
func Open(s *store.Store) *Log { return &Log{s} }

// Entries are what was changed, newest first.
func (l *Log) Entries(ctx context.Context, p paging.Args) (paging.List[*ent.AuditEntry], error) {
	slice, err := p.Check(paging.ByTime)
	if err != nil {
		return paging.List[*ent.AuditEntry]{}, err
	}
	rows, err := l.store.Client().AuditEntry.Query().Where(slice.Where(auditentry.FieldCreatedAt, true)).All(ctx)
	return paging.Of(slice, rows, func(e *ent.AuditEntry) paging.Place { return paging.Place{By: e.CreatedAt, ID: e.ID} }), err
}
