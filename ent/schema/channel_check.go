package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// ChannelCheck is how one thing that a channel depends on was found last.
type ChannelCheck struct{ ent.Schema }

func (ChannelCheck) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("channel_id", uuid.UUID{}).Immutable(),
		field.Enum("code").NamedValues(
			"Token", "TOKEN",
			"Page", "PAGE",
			"Restriction", "RESTRICTION",
			"Subscription", "SUBSCRIPTION",
			"App", "APP",
			"Callback", "CALLBACK",
			"Threads", "THREADS",
			"Inbound", "INBOUND",
		).Immutable(),
		field.Enum("status").NamedValues("Passed", "PASSED", "Warning", "WARNING", "Failed", "FAILED", "Unknown", "UNKNOWN"),
		field.String("detail").Comment("what was found"),
		field.String("action").Default("").Comment("what to do, if anything"),
		field.Time("since").Comment("when it was first found so"),
		field.Time("checked_at"),
	}
}

func (ChannelCheck) Indexes() []ent.Index {
	return []ent.Index{index.Fields("channel_id", "code").Unique()}
}
