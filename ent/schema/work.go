package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Work is something to be done outside a transaction: a send, a look-up. Items
// of a lane are done one after the other, in the order of their ids.
type Work struct{ ent.Schema }

func (Work) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("kind").Immutable(),
		field.String("lane").Immutable(),
		field.String("scope").Default("").Immutable().Comment("what it waits for as a group, such as its channel"),
		field.Bytes("payload").Immutable(),
		field.Time("run_at"),
		field.Int("attempts").Default(0),
		field.String("lease").Default("").Comment("token of the worker that has it"),
		field.Int64("lease_until").Default(0).Comment("Unix milliseconds of the database's clock"),
		field.Bool("dead").Default(false),
		field.String("error").Default(""),
		createdAt(),
	}
}

func (Work) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("run_at").StorageKey("work_due").
			Annotations(entsql.IndexWhere("NOT dead AND lease_until < 4611686018427387904")), // those set aside wait for another
		index.Fields("lane", "id").StorageKey("work_lane").Annotations(entsql.IndexWhere("NOT dead")),
		index.Fields("scope"),
	}
}
