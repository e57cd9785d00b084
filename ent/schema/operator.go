package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Operator is a person who signs in, whatever their role.
type Operator struct{ ent.Schema }

func (Operator) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("email").Unique().NotEmpty().Comment("lower case"),
		field.String("name").NotEmpty(),
		field.String("password_hash").Sensitive().Comment("argon2id, PHC string"),
		field.Enum("role").NamedValues(
			"Admin", "ADMIN",
			"Supervisor", "SUPERVISOR",
			"Operator", "OPERATOR",
			"Integrator", "INTEGRATOR",
			"Bot", "BOT",
		),
		field.Enum("state").NamedValues("Online", "ONLINE", "Paused", "PAUSED", "Offline", "OFFLINE").Default("OFFLINE"),
		field.String("pause_reason").Default(""),
		createdAt(),
		version(),
	}
}
