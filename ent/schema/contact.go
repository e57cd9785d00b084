package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Contact is a person who writes to us.
type Contact struct{ ent.Schema }

func (Contact) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name"),
		field.String("picture_url").Default(""),
		field.String("locale").Default(""),
		createdAt(),
		version(),
	}
}
