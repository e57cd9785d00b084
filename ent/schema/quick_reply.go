package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// QuickReply is a prepared text in several languages. It is for the chats of its
// queues, or of all queues if it has none.
type QuickReply struct{ ent.Schema }

func (QuickReply) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Unique().NotEmpty(),
		field.String("shortcut").Unique().Optional().Nillable().Comment("what an operator types instead of the text"),
		createdAt(),
		version(),
	}
}

func (QuickReply) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("scopes", QuickReplyQueue.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
		edge.To("texts", QuickReplyText.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}
