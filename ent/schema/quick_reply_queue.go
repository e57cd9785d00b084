package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// QuickReplyQueue keeps a quick reply to a queue. A queue with one cannot be
// deleted: the last row gone, the reply would be for all queues.
type QuickReplyQueue struct{ ent.Schema }

func (QuickReplyQueue) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("quick_reply_id", uuid.UUID{}).Immutable(),
		field.UUID("queue_id", uuid.UUID{}).Immutable(),
	}
}

func (QuickReplyQueue) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("quick_reply", QuickReply.Type).Ref("scopes").Field("quick_reply_id").Unique().Required().Immutable(),
		edge.To("queue", Queue.Type).Field("queue_id").Unique().Required().Immutable(),
	}
}

func (QuickReplyQueue) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("quick_reply_id", "queue_id").Unique(),
		index.Fields("queue_id"),
	}
}
