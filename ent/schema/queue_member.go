package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// QueueMember lets an operator see and take a queue's chats.
type QueueMember struct{ ent.Schema }

func (QueueMember) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("queue_id", uuid.UUID{}).Immutable(),
		field.UUID("operator_id", uuid.UUID{}).Immutable(),
	}
}

func (QueueMember) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("queue", Queue.Type).Field("queue_id").Unique().Required().Immutable(),
		edge.To("operator", Operator.Type).Field("operator_id").Unique().Required().Immutable(),
	}
}

func (QueueMember) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("operator_id", "queue_id").Unique(),
		index.Fields("queue_id"),
	}
}
