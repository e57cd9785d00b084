package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"
)

// Event is an entry of the ordered event log. It names what changed and who
// may see it; content is loaded when it is delivered.
type Event struct{ ent.Schema }

func (Event) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.Time("at").Immutable(),
		field.Enum("kind").NamedValues(
			"MessageAdded", "MESSAGE_ADDED",
			"MessageUpdated", "MESSAGE_UPDATED",
			"ChatOpened", "CHAT_OPENED",
			"ChatUpdated", "CHAT_UPDATED",
			"OperatorUpdated", "OPERATOR_UPDATED",
			"ChannelUpdated", "CHANNEL_UPDATED",
			"RightsChanged", "RIGHTS_CHANGED",
			"SettingsUpdated", "SETTINGS_UPDATED",
		).Immutable(),
		field.UUID("chat_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("message_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("channel_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("operator_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.JSON("audience", Audience{}).Immutable(),
		field.JSON("audience_before", &Audience{}).Optional().Immutable().
			Comment("only where the change moved it: who is in it and not in audience sees a removal"),
		field.JSON("facts", map[string]string{}).Optional().Immutable().Comment("small: from, to, who, why"),
	}
}
