package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Message is what was said. Messages of a chat are ordered by (sent_at, id),
// which never change. On PostgreSQL chat_id is no foreign key: whoever writes a
// message writes its chat in the same transaction, and whoever deletes a chat
// must delete its messages.
type Message struct{ ent.Schema }

func (Message) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("chat_id", uuid.UUID{}).Immutable(),
		field.UUID("channel_id", uuid.UUID{}).Immutable(),
		field.String("external_id").Optional().Nillable().Immutable().
			Comment("provider's id of a message that others sent; ours have theirs in deliveries"),
		field.Enum("direction").NamedValues("Inbound", "INBOUND", "Outbound", "OUTBOUND").Immutable(),
		field.Enum("author_kind").NamedValues(
			"Contact", "CONTACT", "Operator", "OPERATOR", "Bot", "BOT", "External", "EXTERNAL", "System", "SYSTEM").Immutable(),
		field.UUID("author_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("the contact, the operator or the API client"),
		field.String("app_id").Default("").Immutable().Comment("app that sent it, when it was not ours"),
		field.Enum("content_kind").NamedValues("Text", "TEXT", "Attachments", "ATTACHMENTS", "Unsupported", "UNSUPPORTED"),
		field.String("text"),
		field.JSON("attachments", []Attachment{}).Optional(),
		field.String("reply_to").Default("").Immutable().Comment("provider's id of the message it answers"),
		field.Enum("state").NamedValues("Pending", "PENDING", "Sent", "SENT", "Unconfirmed", "UNCONFIRMED", "Failed", "FAILED").
			Optional().Nillable().
			Comment("of its least advanced delivery; DELIVERED and READ follow from the chat's watermarks"),
		field.Time("provider_at").Optional().Nillable().
			Comment("provider's time of the last part that left: what watermarks are compared with"),
		field.Time("sent_at").Immutable(),
		createdAt(),
		version(),
	}
}

func (Message) Edges() []ent.Edge {
	return []ent.Edge{edge.To("chat", Chat.Type).Field("chat_id").Unique().Required().Immutable()}
}

func (Message) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("chat_id", "sent_at", "id"),
		// On PostgreSQL of two hashes of the id, which is over a hundred bytes long:
		// see the migration.
		index.Fields("channel_id", "external_id").Unique().StorageKey("message_external").
			Annotations(entsql.IndexWhere("external_id IS NOT NULL")),
	}
}
