package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// IdempotencyKey remembers for 24 hours what a mutation with a key did, so that
// repeating it gives the same result.
type IdempotencyKey struct{ ent.Schema }

func (IdempotencyKey) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("principal_id", uuid.UUID{}).Immutable(),
		field.String("mutation").Immutable(),
		field.String("key").Immutable(),
		field.Bytes("input_hash").Immutable(),
		field.UUID("result_id", uuid.UUID{}).Immutable(),
		createdAt(),
	}
}

func (IdempotencyKey) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("principal_id", "mutation", "key").Unique(),
		index.Fields("created_at"),
	}
}
