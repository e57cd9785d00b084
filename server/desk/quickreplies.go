package desk

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/quickreply"
	"parley/ent/schema"
	"parley/server/fault"
	"parley/server/globalid"
)

// There are few enough quick replies to look through all of them for a chat.
const (
	maxQuickReplies = 500
	maxTexts        = 50 // of one of them
	maxReplyText    = 2000
)

// NewQuickReply is a quick reply to make; without queues it is for all.
type NewQuickReply struct {
	Name     string
	Shortcut *string
	Queues   []globalid.ID
	Texts    []ReplyText
	Key      string // of idempotency
}

// ReplyText is a quick reply in one language.
type ReplyText struct{ Language, Text string }

// CreateQuickReply makes a quick reply.
func (d *Desk) CreateQuickReply(ctx context.Context, v Viewer, n NewQuickReply) (result *ent.QuickReply, err error) {
	n.Name = clean(n.Name)
	if err := cmp.Or(checkName("name", n.Name), checkShortcut(n.Shortcut)); err != nil {
		return nil, err
	}
	if n.Texts, err = checkTexts(n.Texts); err != nil {
		return nil, err
	}
	err = d.write(ctx, func(c *change) error {
		id, err := c.once(ctx, v, "createQuickReply", n.Key, []any{n.Name, n.Shortcut, n.Queues, n.Texts}, func() (uuid.UUID, error) {
			id := schema.NewID()
			return id, c.createQuickReply(ctx, v, id, n)
		})
		if err != nil {
			return err
		}
		result, err = c.quickReply(ctx, id)
		if ent.IsNotFound(err) {
			err = fault.New(fault.NotFound, "idempotencyKey", "what this key made was deleted since")
		}
		return err
	})
	return result, err
}

func (c *change) createQuickReply(ctx context.Context, v Viewer, id uuid.UUID, n NewQuickReply) error {
	if err := c.Lock(ctx, quickreply.Table); err != nil {
		return err
	}
	if err := c.quickReplyTaken(ctx, id, n.Name, n.Shortcut); err != nil {
		return err
	}
	count, err := c.QuickReply.Query().Count(ctx)
	if err != nil {
		return err
	}
	if count >= maxQuickReplies {
		return fault.New(fault.LimitHit, "", "there are %d quick replies, which is the most: delete one first", count)
	}
	if err := c.QuickReply.Create().SetID(id).SetName(n.Name).SetNillableShortcut(n.Shortcut).SetCreatedAt(c.now).Exec(ctx); err != nil {
		return err
	}
	if err := c.setScope(ctx, id, n.Queues); err != nil {
		return err
	}
	if err := c.setTexts(ctx, id, n.Texts); err != nil {
		return err
	}
	after, err := c.quickReply(ctx, id)
	if err != nil {
		return err
	}
	return c.auditReply(ctx, v, auditentry.ActionQuickReplyCreated, nil, after)
}

// QuickReplyRef names a quick reply, and its version if it must be that.
type QuickReplyRef struct {
	ID              globalid.ID
	ExpectedVersion *int64
}

// QuickReplyChange is what to change of a quick reply; nil stays. Queues and
// texts are replaced as a whole.
type QuickReplyChange struct {
	QuickReplyRef
	Name     *string
	Shortcut *Shortcut
	Queues   []globalid.ID
	Texts    []ReplyText
}

// Shortcut is one to give; nil takes it away.
type Shortcut struct{ Text *string }

// UpdateQuickReply changes a quick reply.
func (d *Desk) UpdateQuickReply(ctx context.Context, v Viewer, q QuickReplyChange) (result *ent.QuickReply, err error) {
	err = d.write(ctx, func(c *change) error {
		before, err := c.findQuickReply(ctx, q.QuickReplyRef)
		if err != nil {
			return err
		}
		if err := c.updateQuickReply(ctx, before, q); err != nil {
			return err
		}
		if result, err = c.quickReply(ctx, before.ID); err != nil {
			return err
		}
		return c.auditReply(ctx, v, auditentry.ActionQuickReplyChanged, before, result)
	})
	return result, err
}

func (c *change) updateQuickReply(ctx context.Context, before *ent.QuickReply, q QuickReplyChange) error {
	name, shortcut, update := before.Name, before.Shortcut, c.QuickReply.UpdateOneID(before.ID).AddVersion(1)
	if q.Name != nil {
		name = clean(*q.Name)
	}
	if q.Shortcut != nil {
		shortcut = q.Shortcut.Text
	}
	if err := cmp.Or(checkName("name", name), checkShortcut(shortcut)); err != nil {
		return err
	}
	if err := c.quickReplyTaken(ctx, before.ID, name, shortcut); err != nil {
		return err
	}
	if update.SetName(name).SetNillableShortcut(shortcut); shortcut == nil {
		update.ClearShortcut()
	}
	if err := update.Exec(ctx); err != nil {
		return err
	}
	if q.Queues != nil {
		if err := c.setScope(ctx, before.ID, q.Queues); err != nil {
			return err
		}
	}
	if q.Texts == nil {
		return nil
	}
	texts, err := checkTexts(q.Texts)
	if err != nil {
		return err
	}
	return c.setTexts(ctx, before.ID, texts)
}

// DeleteQuickReply deletes a quick reply. What was said with it stays said.
func (d *Desk) DeleteQuickReply(ctx context.Context, v Viewer, of QuickReplyRef) error {
	return d.write(ctx, func(c *change) error {
		before, err := c.findQuickReply(ctx, of)
		if err != nil {
			return err
		}
		if err := c.QuickReply.DeleteOneID(before.ID).Exec(ctx); err != nil {
			return err
		}
		return c.auditReply(ctx, v, auditentry.ActionQuickReplyDeleted, before, nil)
	})
}

// findQuickReply gives the quick reply that is named, and lets nobody else change
// any meanwhile.
func (c *change) findQuickReply(ctx context.Context, of QuickReplyRef) (*ent.QuickReply, error) {
	if err := c.Lock(ctx, quickreply.Table); err != nil {
		return nil, err
	}
	found, err := c.quickReply(ctx, of.ID.UUID)
	if ent.IsNotFound(err) || of.ID.Kind != "quickreply" {
		return nil, fault.New(fault.NotFound, "id", "there is no such quick reply")
	}
	if err != nil {
		return nil, err
	}
	return found, checkVersion(of.ExpectedVersion, found.Version)
}
