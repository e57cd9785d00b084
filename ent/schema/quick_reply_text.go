package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// QuickReplyText is a quick reply in one language. Texts are written all at once,
// so that their ids have the order in which they were given.
type QuickReplyText struct{ ent.Schema }

func (QuickReplyText) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("quick_reply_id", uuid.UUID{}).Immutable(),
		field.String("language").Immutable().Comment("BCP 47, canonical"),
		field.String("text").Immutable().Comment("with variables"),
	}
}

func (QuickReplyText) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("quick_reply", QuickReply.Type).Ref("texts").Field("quick_reply_id").Unique().Required().Immutable(),
	}
}

func (QuickReplyText) Indexes() []ent.Index {
	return []ent.Index{index.Fields("quick_reply_id", "language").Unique()}
}
