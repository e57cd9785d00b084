package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"
)

// Scopes that an API client can have.
const (
	ChatsRead  = "chats:read"  // read all conversations and contacts
	ChatsWrite = "chats:write" // write in them, which shows them too
)

// Scopes are all of them.
var Scopes = []string{ChatsRead, ChatsWrite}

// APIClient is a machine that signs in by client credentials: here, with its
// secret, or at an outside identity server, which knows it by its external client
// id. A row stays for ever, also when it is revoked: what it did is its.
type APIClient struct{ ent.Schema }

func (APIClient) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Unique().NotEmpty(),
		field.Enum("role").NamedValues("Integrator", "INTEGRATOR", "Bot", "BOT").Immutable().Comment("as of operators"),
		field.JSON("scopes", []string{}),
		field.Bytes("secret_hash").Sensitive().Comment("SHA-256 of the secret, which is random enough to need no slow hash; empty of one that signs in elsewhere"),
		field.String("external_client_id").Optional().Nillable().Unique().Immutable().
			Comment("its client id at the outside identity server; null of one that signs in here"),
		field.UUID("created_by", uuid.UUID{}).Optional().Nillable().Immutable().Comment("an operator; null if Parley made it itself"),
		field.Time("last_used_at").Optional().Nillable().
			Comment("when it last got a token, a minute more or less; no change that the version counts"),
		field.Time("revoked_at").Optional().Nillable(),
		createdAt(),
		version(),
	}
}

func (APIClient) Edges() []ent.Edge {
	return []ent.Edge{edge.To("creator", Operator.Type).Field("created_by").Unique().Immutable()}
}
