package desk

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/event"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/fault"
	"parley/server/globalid"
)

// Accept gives a waiting chat to the viewer. Of several who try, one wins; the
// others get fault.Conflict, which says who and when. Accepting one's own chat
// again changes nothing.
func (d *Desk) Accept(ctx context.Context, v Viewer, id globalid.ID) (result *ent.Chat, err error) {
	err = d.write(ctx, func(c *change) error {
		chat, err := c.lockChat(ctx, v, id)
		if err != nil {
			return err
		}
		if result = chat; isHolder(chat, v) {
			return nil
		}
		if v.Operator == nil {
			return fault.New(fault.Refused, "chatId", "only a person can accept a chat")
		}
		if !v.SeesAll() && !v.inQueue(chat.QueueID) {
			return fault.New(fault.Refused, "chatId", "you are not a member of this chat's queue")
		}
		to, ok := next(chat.Status, accepted)
		if !ok {
			return c.tooLate(ctx, chat)
		}
		if err := c.checkCapacity(ctx, v); err != nil {
			return err
		}
		before := audienceOf(chat)
		update := chat.Update().SetStatus(to).SetOperatorID(v.id()).ClearWaitingSince().AddVersion(1)
		if !slices.Contains(chat.Holders, v.id()) {
			update.SetHolders(append(slices.Clone(chat.Holders), v.id()))
		}
		if result, err = update.Save(ctx); err != nil {
			return err
		}
		if err := c.moveSegment(ctx, result, accepted); err != nil {
			return err
		}
		c.chatEvent(event.KindChatUpdated, result, nil, &before, map[string]string{"cause": string(accepted), "by": v.id().String()})
		return nil
	})
	return result, err
}

// Complete ends a chat. Its holder may, and supervisors, and API clients that may
// write, may end any.
func (d *Desk) Complete(ctx context.Context, v Viewer, id globalid.ID) (result *ent.Chat, err error) {
	err = d.write(ctx, func(c *change) error {
		chat, err := c.lockChat(ctx, v, id)
		if err != nil {
			return err
		}
		to, ok := next(chat.Status, completed)
		if !ok {
			return c.tooLate(ctx, chat)
		}
		if !isHolder(chat, v) && !(v.SeesAll() && v.Has(schema.ChatsWrite)) {
			return fault.New(fault.Refused, "chatId", "only the operator who has the chat, or a supervisor, can complete it")
		}
		result, err = chat.Update().SetStatus(to).SetCompletedAt(c.now).ClearWaitingSince().AddVersion(1).Save(ctx)
		if err != nil {
			return err
		}
		if err := c.moveSegment(ctx, result, completed); err != nil {
			return err
		}
		c.chatEvent(event.KindChatUpdated, result, nil, nil, map[string]string{"cause": string(completed), "by": v.id().String()})
		return nil
	})
	return result, err
}

// MarkRead says that the viewer has read all messages of a chat.
func (d *Desk) MarkRead(ctx context.Context, v Viewer, id globalid.ID) (result *ent.Chat, err error) {
	err = d.write(ctx, func(c *change) error {
		if result, err = c.lockChat(ctx, v, id); err != nil {
			return err
		}
		if v.Operator == nil {
			return fault.New(fault.Refused, "chatId", "only a person can mark a chat as read")
		}
		return c.markRead(ctx, v, result)
	})
	return result, err
}

func (c *change) markRead(ctx context.Context, v Viewer, chat *ent.Chat) error {
	return c.ChatRead.Create().SetChatID(chat.ID).SetOperatorID(v.id()).SetInboundCount(chat.InboundCount).
		OnConflictColumns("chat_id", "operator_id").UpdateNewValues().Exec(ctx)
}

// lockChat loads a chat that the viewer may see and keeps others from changing
// it until the transaction ends.
func (c *change) lockChat(ctx context.Context, v Viewer, id globalid.ID) (*ent.Chat, error) {
	query := c.Chat.Query().Where(chat.ID(id.UUID), v.visible())
	if c.Postgres() {
		query.ForUpdate()
	}
	found, err := query.Only(ctx)
	c.now = c.d.now() // what follows happens after what was waited for
	if ent.IsNotFound(err) || id.Kind != "chat" {
		return nil, fault.New(fault.NotFound, "chatId", "there is no such chat")
	}
	return found, err
}

// checkCapacity holds the limit of simultaneous chats, counted from rows under
// the operator's lock.
func (c *change) checkCapacity(ctx context.Context, v Viewer) error {
	lock := c.Operator.Query().Where(operator.ID(v.id()))
	if c.Postgres() {
		lock.ForUpdate()
	}
	if _, err := lock.Only(ctx); err != nil {
		return err
	}
	busy, err := c.Chat.Query().Where(chat.OperatorID(v.id()), isInProgress).Count(ctx)
	if err != nil {
		return err
	}
	if busy >= c.d.limits.SimultaneousChats() {
		return fault.New(fault.LimitHit, "", "you have %d chats in progress, which is the limit", busy)
	}
	return nil
}

// tooLate says who changed the chat first, and when.
func (c *change) tooLate(ctx context.Context, of *ent.Chat) error {
	who := "nobody"
	if of.OperatorID != nil {
		o, err := c.Operator.Get(ctx, *of.OperatorID)
		if err != nil {
			return err
		}
		who = o.Name
	}
	if of.CompletedAt != nil {
		return fault.New(fault.Conflict, "chatId", "the chat was completed at %s, %s had it", of.CompletedAt.Format(time.RFC3339), who)
	}
	last, err := c.Segment.Query().Where(segment.ChatID(of.ID), segment.EndedAtIsNil()).Only(ctx)
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "chatId", "%s has had the chat since %s", who, last.StartedAt.Format(time.RFC3339))
}

// moveSegment ends the stretch that a chat was in and begins the next one.
func (c *change) moveSegment(ctx context.Context, of *ent.Chat, why cause) error {
	err := c.Segment.Update().Where(segment.ChatID(of.ID), segment.EndedAtIsNil()).SetEndedAt(c.now).Exec(ctx)
	if err != nil || of.Status == chat.StatusCompleted {
		return err
	}
	next := c.Segment.Create().SetChatID(of.ID).SetHolder(holderOf(of.Status)).SetNillableQueueID(of.QueueID).
		SetCause(string(why)).SetStartedAt(c.now)
	if of.Status == chat.StatusInProgress {
		next.SetNillableOperatorID(of.OperatorID)
	}
	return next.Exec(ctx)
}

func isHolder(c *ent.Chat, v Viewer) bool {
	return c.Status == chat.StatusInProgress && c.OperatorID != nil && *c.OperatorID == v.id() && v.id() != uuid.Nil
}
