package desk

import (
	"context"
	"slices"
	"unicode/utf8"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/chat"
	"parley/ent/event"
	"parley/ent/queue"
	"parley/ent/segment"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
)

// ChannelChange is what to change of a channel; what is nil stays.
type ChannelChange struct {
	ChannelRef
	Active   *bool
	Queue    *Queued
	Language *string
	Greeting *string
}

// Queued is the queue that a channel's new chats go to; the zero one is none.
type Queued struct{ ID globalid.ID }

// UpdateChannel changes a channel. Once it is live, the chats that wait without
// a queue are routed to its queue.
func (d *Desk) UpdateChannel(ctx context.Context, by audit.Actor, u ChannelChange) (*ent.Channel, error) {
	if u.Language != nil && *u.Language != "" {
		tag, err := canonicalLanguage("language", *u.Language)
		if err != nil {
			return nil, err
		}
		u.Language = &tag
	}
	if u.Greeting != nil {
		u.Greeting = pointer(clean(*u.Greeting))
		if n := utf8.RuneCountInString(*u.Greeting); n > MaxText {
			return nil, fault.New(fault.Invalid, "greeting", "a text has at most %d characters, not %d", MaxText, n)
		}
	}
	return d.changeChannel(ctx, by, u.ChannelRef, auditentry.ActionChannelChanged, func(c *change, _ *ent.Channel, update *ent.ChannelUpdateOne) error {
		update.SetNillableActive(u.Active).SetNillableLanguage(u.Language).SetNillableGreeting(u.Greeting)
		switch {
		case u.Queue == nil:
			return nil
		case *u.Queue == Queued{}:
			update.ClearQueueID()
			return nil
		}
		there, err := c.Queue.Query().Where(queue.ID(u.Queue.ID.UUID)).Exist(ctx)
		if err == nil && (!there || u.Queue.ID.Kind != "queue") {
			err = fault.New(fault.Invalid, "queueId", "there is no such queue")
		}
		update.SetQueueID(u.Queue.ID.UUID)
		return err
	})
}

// routeWaiting gives the chats that a channel collected while it was not live
// to its queue.
func (c *change) routeWaiting(ctx context.Context, ch *ent.Channel) error {
	to := liveQueue(ch)
	if to == nil {
		return nil
	}
	unrouted := chat.And(chat.ChannelID(ch.ID), isUnrouted)
	query := c.Chat.Query().Where(unrouted).Order(ent.Asc(chat.FieldID))
	if c.Postgres() {
		query.ForUpdate()
	}
	waiting, err := query.All(ctx)
	if err != nil || len(waiting) == 0 {
		return err
	}
	// With the channel locked these are all there are, so they can be named by
	// what they have in common; segments first, while they have it.
	err = c.Segment.Update().Where(segment.EndedAtIsNil(), segment.HasChatWith(unrouted)).SetEndedAt(c.now).Exec(ctx)
	if err != nil {
		return err
	}
	if err := c.Chat.Update().Where(unrouted).SetQueueID(*to).AddVersion(1).Exec(ctx); err != nil {
		return err
	}
	for part := range slices.Chunk(waiting, rowsAtOnce) {
		err := c.Segment.MapCreateBulk(part, func(s *ent.SegmentCreate, i int) {
			s.SetChatID(part[i].ID).SetHolder(segment.HolderQueue).SetQueueID(*to).
				SetCause(string(routedByActivation)).SetStartedAt(c.now)
		}).Exec(ctx)
		if err != nil {
			return err
		}
	}
	for _, w := range waiting {
		before := audienceOf(w)
		w.QueueID = to
		c.chatEvent(event.KindChatUpdated, w, nil, &before, map[string]string{"cause": string(routedByActivation)})
	}
	return nil
}

// rowsAtOnce keeps a statement within SQLite's 32,766 parameters.
const rowsAtOnce = 2000
