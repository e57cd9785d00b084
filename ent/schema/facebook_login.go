package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// FacebookLogin is one login to Facebook, from the moment that somebody is sent
// there until its pages are connected.
type FacebookLogin struct{ ent.Schema }

func (FacebookLogin) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("started_by", uuid.UUID{}).Immutable().Comment("the operator or API client, who alone may use it"),
		field.Bytes("state_hash").Optional().Nillable().Unique().Comment("SHA-256 of what Facebook has to bring back; gone once it did"),
		field.Enum("status").NamedValues("Started", "STARTED", "Completed", "COMPLETED", "Failed", "FAILED"),
		field.String("reason").Default("").Comment("of a failure, in plain words"),
		field.String("return_to").Default("").Immutable(),
		field.String("user_id").Default("").Comment("who logged in, as the Facebook app knows them"),
		field.String("user_name").Default(""),
		field.Bytes("sealed").Sensitive().Comment("the PKCE verifier, later the user's token"),
		field.Time("expires_at"),
		createdAt(),
	}
}

func (FacebookLogin) Indexes() []ent.Index {
	return []ent.Index{index.Fields("expires_at")}
}
