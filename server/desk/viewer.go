package desk

import (
	"context"
	"database/sql"
	"slices"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/chat"
	"parley/ent/operator"
	"parley/ent/predicate"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
)

// Viewer is somebody who reads, an operator or an API client: who they are and
// what they may see. The zero Viewer is nobody and sees nothing.
type Viewer struct {
	Operator *ent.Operator
	Machine  *Machine
	Queues   []uuid.UUID // of an operator
}

// Machine is an API client with a token.
type Machine struct {
	*ent.APIClient
	Scopes  []string // those of its token that it still has
	granted []string // all of its token
}

// Viewer loads who an operator is and which queues are theirs.
func (d *Desk) Viewer(ctx context.Context, id uuid.UUID) (Viewer, error) {
	st := &statement{store: d.store}
	var v Viewer
	err := st.rows(ctx, "SELECT "+viewerColumns+" FROM operators LEFT JOIN queue_members ON queue_members.operator_id = operators.id"+
		" WHERE operators.id = "+st.arg(id)+" ORDER BY queue_members.queue_id", func(rows *sql.Rows) error {
		o, queue, err := scanViewer(rows)
		if v.Operator = o; queue != nil && !v.SeesAll() {
			v.Queues = append(v.Queues, *queue)
		}
		return err
	})
	if err == nil && v.Operator == nil {
		err = fault.New(fault.Unauthenticated, "", "this account is gone")
	}
	return v, err
}

// Machine loads who an API client is, with a token that is for these scopes. One
// that was revoked is nobody any more, whatever its token says.
func (d *Desk) Machine(ctx context.Context, id uuid.UUID, scopes []string) (Viewer, error) {
	client, err := d.store.Client().APIClient.Query().Where(apiclient.ID(id)).Only(ctx)
	if ent.IsNotFound(err) || err == nil && client.RevokedAt != nil {
		return Viewer{}, fault.New(fault.Unauthenticated, "", "this API client is gone or was revoked")
	}
	if err != nil {
		return Viewer{}, err
	}
	m := &Machine{APIClient: client, granted: scopes}
	for _, scope := range scopes {
		if slices.Contains(client.Scopes, scope) {
			m.Scopes = append(m.Scopes, scope)
		}
	}
	return Viewer{Machine: m}, nil
}

// again loads a viewer as they are now.
func (d *Desk) again(ctx context.Context, v Viewer) (Viewer, error) {
	if v.Machine != nil {
		return d.Machine(ctx, v.Machine.ID, v.Machine.granted)
	}
	return d.Viewer(ctx, v.id())
}

// Nobody says that nobody is signed in.
func (v Viewer) Nobody() bool { return v.Operator == nil && v.Machine == nil }

// Role is the viewer's role, empty for nobody.
func (v Viewer) Role() operator.Role {
	switch {
	case v.Operator != nil:
		return v.Operator.Role
	case v.Machine != nil:
		return operator.Role(v.Machine.Role)
	}
	return ""
}

// Has says whether the viewer may do what a scope is for. People may what their
// role allows; an integrator's role has nothing to do with conversations, and
// each thing takes its scope.
func (v Viewer) Has(scope string) bool {
	switch v.Role() {
	case operator.RoleAdmin, operator.RoleSupervisor, operator.RoleOperator:
		return true
	}
	return slices.Contains(v.Scopes(), scope)
}

// Scopes are what the viewer's token is for, of a machine; people have none.
func (v Viewer) Scopes() []string {
	if v.Machine == nil {
		return nil
	}
	return v.Machine.Scopes
}

// SeesAll says whether every conversation is the viewer's to read. Who may write
// in them may read what they write in.
func (v Viewer) SeesAll() bool {
	switch v.Role() {
	case operator.RoleAdmin, operator.RoleSupervisor:
		return true
	case operator.RoleIntegrator:
		return v.Has(schema.ChatsRead) || v.Has(schema.ChatsWrite)
	}
	return false
}

// readsSettings says whether the viewer reads all channels, queues and people.
func (v Viewer) readsSettings() bool { return v.SeesAll() || v.Role() == operator.RoleIntegrator }

// GlobalID is who the viewer is.
func (v Viewer) GlobalID() globalid.ID {
	switch {
	case v.Operator != nil:
		return v.Operator.GlobalID()
	case v.Machine != nil:
		return v.Machine.GlobalID()
	}
	return globalid.ID{}
}

// actor is the viewer, for the audit log.
func (v Viewer) actor() audit.Actor {
	if v.Machine != nil {
		return audit.Actor{Client: v.id()}
	}
	return audit.Actor{Operator: v.id()}
}

// id is the operator's or the client's; the two have none in common.
func (v Viewer) id() uuid.UUID { return v.GlobalID().UUID }

func (v Viewer) inQueue(queue *uuid.UUID) bool {
	return queue != nil && slices.Contains(v.Queues, *queue)
}

// audienceOf is who may see what happens in a chat, beside those who see all:
// members of its queue, and whoever holds or held it.
func audienceOf(c *ent.Chat) schema.Audience {
	a := schema.Audience{Operators: c.Holders}
	if c.QueueID != nil {
		a.Queues = []uuid.UUID{*c.QueueID}
	}
	return a
}

// seesChats says whether any chat may be the viewer's to read.
func (v Viewer) seesChats() bool {
	return v.SeesAll() || v.Role() == operator.RoleOperator || v.Role() == operator.RoleBot
}

// in says whether the viewer belongs to an audience. It is visible for events.
func (v Viewer) in(a schema.Audience) bool {
	switch {
	case v.SeesAll():
		return true
	case v.seesChats():
		return slices.Contains(a.Operators, v.id()) ||
			slices.ContainsFunc(a.Queues, func(q uuid.UUID) bool { return slices.Contains(v.Queues, q) })
	}
	return false
}

// visible is the same for rows: the one predicate that every read of chats, and
// of what belongs to them, carries.
func (v Viewer) visible() predicate.Chat {
	switch {
	case v.SeesAll():
		return func(*entsql.Selector) {}
	case v.seesChats():
		return chat.Or(chat.QueueIDIn(v.Queues...), func(s *entsql.Selector) {
			held := entsql.Dialect(s.Dialect()).Select(segment.FieldChatID).From(entsql.Table(segment.Table)).
				Where(entsql.EQ(segment.FieldOperatorID, v.id()))
			s.Where(entsql.In(s.C(chat.FieldID), held))
		})
	}
	return func(s *entsql.Selector) { s.Where(entsql.False()) }
}

// visibleSQL is visible for statements by hand, after another condition and for
// who sees any chats.
func (v Viewer) visibleSQL(s *statement) string {
	if v.SeesAll() {
		return ""
	}
	return " AND (queue_id" + s.in(list(s, v.Queues), "uuid") + " OR id IN (" + heldSQL(s.arg(v.id())) + "))"
}

// heldSQL are the ids of the chats that an operator holds or held.
func heldSQL(operator string) string {
	return "SELECT chat_id FROM segments WHERE operator_id = " + operator
}
