package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// SigningKey is one key of the token issuer's ring; the newest signs, all that
// are left verify.
type SigningKey struct{ ent.Schema }

func (SigningKey) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("kid").Immutable(),
		field.Bytes("private_key").Sensitive().Comment("PKCS#8, sealed"),
		createdAt(),
	}
}
