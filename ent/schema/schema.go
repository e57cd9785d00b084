// Package schema declares Parley's tables, one file per table. ent generates
// the rest of package ent from it.
//
// Conventions: ids of things a client can name are UUIDv7, ids of ordered logs
// are 64-bit sequences; times are UTC, cut to microseconds, set by the domain
// from its clock and never by the database; every row that a client caches has
// a version that grows with each change.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"
)

// NewID makes a time-ordered id.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func id() ent.Field {
	return field.UUID("id", uuid.UUID{}).Default(NewID).Immutable()
}

func createdAt() ent.Field { return field.Time("created_at").Immutable() }

func version() ent.Field { return field.Int64("version").Default(1) }

// Attachment is one attachment of a message, as the provider described it.
type Attachment struct {
	// Kind is the provider's word: image, video, audio, file, sticker, …
	Kind  string `json:"kind"`
	URL   string `json:"url,omitempty"`
	Title string `json:"title,omitempty"`
}

// Audience says who may see an event: members of the queues, and the operators
// themselves. Supervisors and administrators see every event.
type Audience struct {
	Queues    []uuid.UUID `json:"q,omitempty"`
	Operators []uuid.UUID `json:"o,omitempty"`
}
