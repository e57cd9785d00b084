package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// WebhookEvent is one item of a provider's post, as its bytes, on its way in.
type WebhookEvent struct{ ent.Schema }

func (WebhookEvent) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.Time("received_at").Immutable(),
		field.Int16("shard").Immutable().Comment("hash of page and person: events of a shard are applied in order, by one worker at a time"),
		field.String("page").Immutable(),
		field.Bytes("body").Immutable(),
		field.Enum("state").NamedValues(
			"Pending", "PENDING",
			"Applied", "APPLIED",
			"Parked", "PARKED",
			"Unrouted", "UNROUTED",
			"Ignored", "IGNORED",
		).Default("PENDING"),
		field.String("error").Default(""),
	}
}

func (WebhookEvent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("shard", "id").StorageKey("webhookevent_pending").Annotations(entsql.IndexWhere("state = 'PENDING'")),
		index.Fields("page").StorageKey("webhookevent_unrouted").Annotations(entsql.IndexWhere("state = 'UNROUTED'")),
		index.Fields("state", "id"),
	}
}
