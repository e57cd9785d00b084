package desk

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/event"
	"parley/ent/operator"
	"parley/ent/queue"
	"parley/ent/queuemember"
	"parley/ent/schema"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/store"
)

// NewOperator is a person to add: the e-mail in its one form, the password
// hashed.
type NewOperator struct {
	Email, Name, PasswordHash string
	Role                      operator.Role
	Key                       string // of idempotency
}

// CreateOperator adds a person. Only administrators make administrators and
// supervisors.
func (d *Desk) CreateOperator(ctx context.Context, v Viewer, n NewOperator) (result *ent.Operator, err error) {
	n.Name = clean(n.Name)
	if err := checkName("name", n.Name); err != nil {
		return nil, err
	}
	switch n.Role {
	case operator.RoleOperator:
	case operator.RoleAdmin, operator.RoleSupervisor:
		if v.Role() != operator.RoleAdmin {
			return nil, fault.New(fault.Invalid, "role", "only an administrator can add a person with this role")
		}
	default:
		return nil, fault.New(fault.Invalid, "role", "a person's role is ADMIN, SUPERVISOR or OPERATOR")
	}
	err = d.write(ctx, func(c *change) error {
		id, err := c.once(ctx, v, "createOperator", n.Key, []string{n.Email, n.Name, string(n.Role)}, func() (uuid.UUID, error) {
			id := schema.NewID()
			return id, c.createOperator(ctx, id, n)
		})
		if err != nil {
			return err
		}
		result, err = c.Operator.Get(ctx, id)
		return err
	})
	return result, err
}

func (c *change) createOperator(ctx context.Context, id uuid.UUID, n NewOperator) error {
	err := c.Savepoint(ctx, func() error {
		return c.Operator.Create().SetID(id).SetEmail(n.Email).SetName(n.Name).SetPasswordHash(n.PasswordHash).
			SetRole(n.Role).SetCreatedAt(c.now).Exec(ctx)
	})
	if store.IsUnique(err) {
		taken, err := c.Operator.Query().Where(operator.Email(n.Email)).Only(ctx)
		if err != nil {
			return err
		}
		return fault.New(fault.NameTaken, "email", "this e-mail is in use by %s", taken.GlobalID())
	}
	if err == nil {
		c.operatorEvent(event.KindOperatorUpdated, id)
	}
	return err
}

// operatorEvent tells the operator, and those who see all.
func (c *change) operatorEvent(kind event.Kind, id uuid.UUID) {
	c.events = append(c.events, &ent.Event{
		At: c.now, Kind: kind, OperatorID: &id, Audience: schema.Audience{Operators: []uuid.UUID{id}},
	})
}

// SetState says whether the viewer takes chats.
func (d *Desk) SetState(ctx context.Context, v Viewer, state operator.State, reason string) (result *ent.Operator, err error) {
	reason = clean(reason)
	if utf8.RuneCountInString(reason) > 200 {
		return nil, fault.New(fault.Invalid, "reason", "a reason has at most 200 characters")
	}
	if state != operator.StatePaused {
		reason = ""
	}
	err = d.write(ctx, func(c *change) error {
		result, err = c.Operator.UpdateOneID(v.id()).SetState(state).SetPauseReason(reason).AddVersion(1).Save(ctx)
		if err == nil {
			c.operatorEvent(event.KindOperatorUpdated, v.id())
		}
		return err
	})
	return result, err
}

// CreateQueue makes a queue with members.
func (d *Desk) CreateQueue(ctx context.Context, v Viewer, name string, members []globalid.ID, key string) (result *ent.Queue, err error) {
	name = clean(name)
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	err = d.write(ctx, func(c *change) error {
		id, err := c.once(ctx, v, "createQueue", key, []any{name, members}, func() (uuid.UUID, error) {
			id := schema.NewID()
			err := c.Savepoint(ctx, func() error {
				return c.Queue.Create().SetID(id).SetName(name).SetCreatedAt(c.now).Exec(ctx)
			})
			if err != nil {
				return uuid.Nil, c.queueTaken(ctx, err, name)
			}
			return id, c.setMembers(ctx, id, members)
		})
		if err != nil {
			return err
		}
		result, err = c.Queue.Get(ctx, id)
		return err
	})
	return result, err
}

// QueueChange is what to change of a queue; nil stays.
type QueueChange struct {
	ID              globalid.ID
	Name            *string
	Members         []globalid.ID
	ExpectedVersion *int64
}

// UpdateQueue changes a queue. Operators who come or go get their streams
// resynchronised.
func (d *Desk) UpdateQueue(ctx context.Context, q QueueChange) (result *ent.Queue, err error) {
	err = d.write(ctx, func(c *change) error {
		query := c.Queue.Query().Where(queue.ID(q.ID.UUID))
		if c.Postgres() {
			query.ForUpdate()
		}
		found, err := query.Only(ctx)
		if ent.IsNotFound(err) || q.ID.Kind != "queue" {
			return fault.New(fault.NotFound, "id", "there is no such queue")
		}
		if err != nil {
			return err
		}
		if err := checkVersion(q.ExpectedVersion, found.Version); err != nil {
			return err
		}
		name := found.Name
		if q.Name != nil {
			name = clean(*q.Name)
		}
		if err := checkName("name", name); err != nil {
			return err
		}
		err = c.Savepoint(ctx, func() error {
			result, err = found.Update().SetName(name).AddVersion(1).Save(ctx)
			return err
		})
		if err != nil {
			return c.queueTaken(ctx, err, name)
		}
		if q.Members != nil {
			return c.setMembers(ctx, found.ID, q.Members)
		}
		return nil
	})
	return result, err
}

// queueTaken says which queue has the name already.
func (c *change) queueTaken(ctx context.Context, err error, name string) error {
	if !store.IsUnique(err) {
		return err
	}
	taken, err := c.Queue.Query().Where(queue.Name(name)).Only(ctx)
	if err != nil {
		return err
	}
	return fault.New(fault.NameTaken, "name", "this name is in use by %s", taken.GlobalID())
}

// setMembers makes exactly these operators the queue's members.
func (c *change) setMembers(ctx context.Context, queueID uuid.UUID, members []globalid.ID) error {
	want, err := c.operatorIDs(ctx, members)
	if err != nil {
		return err
	}
	rows, err := c.QueueMember.Query().Where(queuemember.QueueID(queueID)).All(ctx)
	if err != nil {
		return err
	}
	var have, gone []uuid.UUID
	for _, row := range rows {
		if have = append(have, row.OperatorID); !slices.Contains(want, row.OperatorID) {
			gone = append(gone, row.OperatorID)
		}
	}
	_, err = c.QueueMember.Delete().Where(queuemember.QueueID(queueID), queuemember.OperatorIDIn(gone...)).Exec(ctx)
	if err != nil {
		return err
	}
	for _, id := range gone {
		c.operatorEvent(event.KindRightsChanged, id)
	}
	for _, id := range want {
		if slices.Contains(have, id) {
			continue
		}
		if err := c.QueueMember.Create().SetQueueID(queueID).SetOperatorID(id).Exec(ctx); err != nil {
			return err
		}
		c.operatorEvent(event.KindRightsChanged, id)
	}
	return nil
}

func (c *change) operatorIDs(ctx context.Context, members []globalid.ID) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, m := range members {
		if m.Kind == "operator" && !slices.Contains(ids, m.UUID) {
			ids = append(ids, m.UUID)
		}
	}
	n, err := c.Operator.Query().Where(operator.IDIn(ids...)).Count(ctx)
	if err == nil && (n != len(ids) || slices.ContainsFunc(members, func(m globalid.ID) bool { return m.Kind != "operator" })) {
		return nil, fault.New(fault.Invalid, "operatorIds", "one of these operators does not exist")
	}
	return ids, err
}

// clean is a text as both databases take it, without space around it.
func clean(text string) string {
	return strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "�"))
}

func checkName(field, name string) error {
	if n := utf8.RuneCountInString(name); n == 0 || n > 200 {
		return fault.New(fault.Invalid, field, "a name has 1 to 200 characters")
	}
	return nil
}

func checkVersion(expected *int64, actual int64) error {
	if expected != nil && *expected != actual {
		return fault.New(fault.Conflict, "expectedVersion", "the version is %d, not %d: read it again", actual, *expected)
	}
	return nil
}
