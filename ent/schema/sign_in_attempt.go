package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// SignInAttempt counts failed sign-ins of one e-mail or one address, and an
// address's wrong credentials of API clients, for all replicas together.
type SignInAttempt struct{ ent.Schema }

func (SignInAttempt) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("subject").Immutable().Comment("email:…, address:… or token:…"),
		field.Int("failures"),
		field.Time("window_ends_at"),
	}
}

func (SignInAttempt) Indexes() []ent.Index {
	return []ent.Index{index.Fields("window_ends_at")}
}
