package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Queue is members and a rule that process waiting chats.
type Queue struct{ ent.Schema }

func (Queue) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Unique().NotEmpty(),
		field.Enum("rule").NamedValues("OfferToAll", "OFFER_TO_ALL").Default("OFFER_TO_ALL"),
		createdAt(),
		version(),
	}
}
