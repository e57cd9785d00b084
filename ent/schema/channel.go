package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Channel is one Facebook page, connected. A page has one row for ever;
// connecting it again repairs the row.
type Channel struct{ ent.Schema }

func (Channel) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Enum("provider").NamedValues("FacebookMessenger", "FACEBOOK_MESSENGER").Immutable(),
		field.String("external_id").Immutable().Comment("page id at the provider"),
		field.String("name"),
		field.String("picture_url").Default(""),
		field.Enum("state").NamedValues(
			"Connected", "CONNECTED",
			"ReauthorizationRequired", "REAUTHORIZATION_REQUIRED",
			"Superseded", "SUPERSEDED",
			"Disconnected", "DISCONNECTED",
			"Restricted", "RESTRICTED",
		),
		field.String("state_reason").Default(""),
		field.Bool("active").Default(false),
		field.UUID("queue_id", uuid.UUID{}).Optional().Nillable(),
		field.String("language").Default(""),
		field.Time("archived_at").Optional().Nillable(),
		field.Time("last_inbound_at").Optional().Nillable().Comment("when a customer's message last came, kept now and then"),
		field.Bytes("token").Sensitive().Comment("page access token, sealed"),
		field.String("login_user").Default("").Comment("whose login gave the token, as the provider's app knows them"),
		createdAt(),
		version(),
	}
}

func (Channel) Edges() []ent.Edge {
	return []ent.Edge{edge.To("queue", Queue.Type).Field("queue_id").Unique()}
}

func (Channel) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("provider", "external_id").Unique(),
		index.Fields("queue_id"),
	}
}
