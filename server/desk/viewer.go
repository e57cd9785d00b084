package desk

import (
	"context"
	"database/sql"
	"slices"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/operator"
	"parley/ent/predicate"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/fault"
)

// Viewer is somebody who reads: who they are and what they may see. The zero
// Viewer is nobody and sees nothing.
type Viewer struct {
	Operator *ent.Operator
	Queues   []uuid.UUID
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

// Role is the viewer's role, empty for nobody.
func (v Viewer) Role() operator.Role {
	if v.Operator == nil {
		return ""
	}
	return v.Operator.Role
}

// SeesAll says whether every conversation is the viewer's to read.
func (v Viewer) SeesAll() bool {
	return v.Role() == operator.RoleAdmin || v.Role() == operator.RoleSupervisor
}

// readsSettings says whether the viewer reads all channels, queues and people.
func (v Viewer) readsSettings() bool { return v.SeesAll() || v.Role() == operator.RoleIntegrator }

func (v Viewer) id() uuid.UUID {
	if v.Operator == nil {
		return uuid.Nil
	}
	return v.Operator.ID
}

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
	switch v.Role() {
	case operator.RoleAdmin, operator.RoleSupervisor:
		return true
	case operator.RoleOperator, operator.RoleBot:
		return slices.Contains(a.Operators, v.id()) ||
			slices.ContainsFunc(a.Queues, func(q uuid.UUID) bool { return slices.Contains(v.Queues, q) })
	}
	return false
}

// visible is the same for rows: the one predicate that every read of chats, and
// of what belongs to them, carries.
func (v Viewer) visible() predicate.Chat {
	switch v.Role() {
	case operator.RoleAdmin, operator.RoleSupervisor:
		return func(*entsql.Selector) {}
	case operator.RoleOperator, operator.RoleBot:
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
