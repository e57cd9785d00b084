package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Segment is a stretch of a chat in one pair of hands, and why it moved there.
type Segment struct{ ent.Schema }

func (Segment) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("chat_id", uuid.UUID{}).Immutable(),
		field.Enum("holder").NamedValues("Bot", "BOT", "Queue", "QUEUE", "Operator", "OPERATOR", "Elsewhere", "ELSEWHERE").Immutable(),
		field.UUID("queue_id", uuid.UUID{}).Optional().Nillable().Comment("the queue it waits in, or was taken from"),
		field.UUID("operator_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.String("cause").Immutable().Comment("cause of the lifecycle table that began it"),
		field.Time("started_at").Immutable(),
		field.Time("ended_at").Optional().Nillable(),
	}
}

func (Segment) Edges() []ent.Edge {
	return []ent.Edge{edge.To("chat", Chat.Type).Field("chat_id").Unique().Required().Immutable()}
}

func (Segment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("chat_id", "started_at"),
		index.Fields("operator_id", "chat_id"),
	}
}
