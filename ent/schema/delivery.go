package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Delivery is one provider message of an outbound message: a long text is
// several. Its id travels as the provider's metadata and comes back in the echo.
type Delivery struct{ ent.Schema }

func (Delivery) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("message_id", uuid.UUID{}).Immutable(),
		field.UUID("channel_id", uuid.UUID{}).Immutable(),
		field.Int("position").Immutable(),
		field.String("text").Immutable(),
		field.String("external_id").Optional().Nillable(),
		field.Enum("state").NamedValues("Pending", "PENDING", "Sent", "SENT", "Unconfirmed", "UNCONFIRMED", "Failed", "FAILED"),
		field.String("error_code").Default(""),
		field.String("error_reason").Default(""),
		field.Bool("retryable").Default(false),
		field.Time("provider_at").Optional().Nillable(),
	}
}

func (Delivery) Edges() []ent.Edge {
	return []ent.Edge{edge.To("message", Message.Type).Field("message_id").Unique().Required().Immutable()}
}

func (Delivery) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("message_id", "position").Unique(),
		index.Fields("channel_id", "external_id").Unique(),
	}
}
