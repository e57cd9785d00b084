package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Setting is one system setting; a secret one has its value sealed.
type Setting struct{ ent.Schema }

func (Setting) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("code").Immutable(),
		field.String("value").Default(""),
		field.Bytes("sealed").Optional().Sensitive(),
		field.Time("updated_at"),
		version(),
	}
}
