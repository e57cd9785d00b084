package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
)

// EventEpoch has one row: the name of this run of event numbers. It is made by
// the first migration and renewed when a backup is restored, so that a cursor
// of another history is recognised.
type EventEpoch struct{ ent.Schema }

func (EventEpoch) Fields() []ent.Field {
	return []ent.Field{
		field.String("epoch"),
		field.Int64("trimmed_to").Default(0).Comment("events up to this id are gone"),
	}
}

func (EventEpoch) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("event_epochs")}
}
