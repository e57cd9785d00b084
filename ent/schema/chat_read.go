package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// ChatRead is how far an operator has read a chat: the chat's inbound_count at
// that moment, so that the unread count is a subtraction.
type ChatRead struct{ ent.Schema }

func (ChatRead) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("chat_id", uuid.UUID{}).Immutable(),
		field.UUID("operator_id", uuid.UUID{}).Immutable(),
		field.Int64("inbound_count"),
	}
}

func (ChatRead) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("chat", Chat.Type).Field("chat_id").Unique().Required().Immutable(),
		edge.To("operator", Operator.Type).Field("operator_id").Unique().Required().Immutable(),
	}
}

func (ChatRead) Indexes() []ent.Index {
	return []ent.Index{index.Fields("chat_id", "operator_id").Unique()}
}
