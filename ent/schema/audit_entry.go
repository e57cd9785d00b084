package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// AuditEntry is one thing that somebody changed. It is written with the change,
// and never again.
type AuditEntry struct{ ent.Schema }

func (AuditEntry) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("operator_id", uuid.UUID{}).Optional().Nillable().Immutable().
			Comment("who; neither is set where the installation itself did it"),
		field.UUID("client_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Enum("action").NamedValues(
			"SettingChanged", "SETTING_CHANGED",
			"ChannelConnected", "CHANNEL_CONNECTED",
			"ChannelChanged", "CHANNEL_CHANGED",
			"ChannelDisconnected", "CHANNEL_DISCONNECTED",
			"ChannelArchived", "CHANNEL_ARCHIVED",
			"ChannelUnarchived", "CHANNEL_UNARCHIVED",
			"ChannelDeleted", "CHANNEL_DELETED",
			"ChannelTakenOver", "CHANNEL_TAKEN_OVER",
			"ChannelSuperseded", "CHANNEL_SUPERSEDED",
			"APIClientCreated", "API_CLIENT_CREATED",
			"APIClientChanged", "API_CLIENT_CHANGED",
			"APIClientSecretRotated", "API_CLIENT_SECRET_ROTATED",
			"APIClientRevoked", "API_CLIENT_REVOKED",
			"QuickReplyCreated", "QUICK_REPLY_CREATED",
			"QuickReplyChanged", "QUICK_REPLY_CHANGED",
			"QuickReplyDeleted", "QUICK_REPLY_DELETED",
		).Immutable(),
		field.String("subject").Immutable().Comment("a setting's code, or a global id"),
		field.String("before").Optional().Nillable().Immutable().Comment("null where there was none, and of secrets"),
		field.String("after").Optional().Nillable().Immutable(),
		createdAt(),
	}
}

func (AuditEntry) Indexes() []ent.Index {
	return []ent.Index{index.Fields("created_at", "id")}
}
