package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// DataDeletion is a request, come through Facebook, to forget somebody who had
// logged in. It says nothing of who that was.
type DataDeletion struct{ ent.Schema }

func (DataDeletion) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Bytes("code_hash").Unique().Immutable().Comment("SHA-256 of the confirmation code"),
		createdAt(),
	}
}
