package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Chat is one conversation session of an identity. At most one is open (not
// completed) per identity: a partial unique index holds it.
//
// Each message changes last_message_at of an open chat, which no index has: on
// PostgreSQL that would write the row anew in all of them, which takes five times
// as long. Lists go by last_minute, which the database makes of it.
type Chat struct{ ent.Schema }

func (Chat) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("channel_id", uuid.UUID{}).Immutable(),
		field.UUID("identity_id", uuid.UUID{}).Immutable(),
		field.UUID("contact_id", uuid.UUID{}),
		field.UUID("queue_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("operator_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("previous_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Enum("status").NamedValues(
			"Bot", "BOT",
			"Elsewhere", "ELSEWHERE",
			"Waiting", "WAITING",
			"InProgress", "IN_PROGRESS",
			"Completed", "COMPLETED",
		),
		field.JSON("holders", []uuid.UUID{}).Optional().
			Comment("operators who hold or held it, repeated from segments so that an event's audience costs no read"),
		field.UUID("last_message_id", uuid.UUID{}).Optional().Nillable(),
		field.Time("last_message_at").Comment("sent_at of the newest message"),
		field.Time("opened_at").Immutable().Comment("sent_at of the message that opened it"),
		field.Time("waiting_since").Optional().Nillable(),
		field.Time("completed_at").Optional().Nillable(),
		field.Time("last_inbound_at").Optional().Nillable().
			Comment("provider's time of the customer's last message: the reply window counts from it"),
		field.Int64("inbound_count").Default(0).Comment("messages of the customer, for unread counts"),
		field.Time("delivered_until").Optional().Nillable(),
		field.Time("read_until").Optional().Nillable(),
		createdAt(),
		version(),
	}
}

func (Chat) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("channel", Channel.Type).Field("channel_id").Unique().Required().Immutable(),
		edge.To("identity", Identity.Type).Field("identity_id").Unique().Required().Immutable(),
		edge.To("contact", Contact.Type).Field("contact_id").Unique().Required(),
		edge.To("queue", Queue.Type).Field("queue_id").Unique(),
		edge.To("operator", Operator.Type).Field("operator_id").Unique(),
	}
}

func (Chat) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("identity_id").Unique().StorageKey("chat_one_open").
			Annotations(entsql.IndexWhere("status <> 'COMPLETED'")),
		index.Fields("identity_id", "opened_at").StorageKey("chat_completed").
			Annotations(entsql.IndexWhere("status = 'COMPLETED'")),
		index.Fields("operator_id").StorageKey("chat_in_progress").Annotations(entsql.IndexWhere("status = 'IN_PROGRESS'")),
		index.Fields("contact_id"),
		index.Fields("channel_id").StorageKey("chat_unrouted").
			Annotations(entsql.IndexWhere("queue_id IS NULL AND status = 'WAITING'")),
	}
}
