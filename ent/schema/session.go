package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Session is one signed-in browser or script. Its refresh token is replaced at
// each use; the one before is remembered so that a stolen one shows.
type Session struct{ ent.Schema }

func (Session) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("operator_id", uuid.UUID{}).Immutable(),
		field.Bytes("token_hash").Unique().Comment("SHA-256 of the refresh token"),
		field.Bytes("previous_hash").Optional().Nillable(),
		field.Time("expires_at"),
		field.Time("revoked_at").Optional().Nillable(),
		createdAt(),
	}
}

func (Session) Edges() []ent.Edge {
	return []ent.Edge{edge.To("operator", Operator.Type).Field("operator_id").Unique().Required().Immutable()}
}

func (Session) Indexes() []ent.Index {
	return []ent.Index{index.Fields("previous_hash"), index.Fields("operator_id"), index.Fields("expires_at")}
}
