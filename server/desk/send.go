package desk

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/delivery"
	"parley/ent/event"
	"parley/ent/message"
	"parley/ent/schema"
	"parley/server/fault"
	"parley/server/globalid"
)

// MaxText is the longest text of one message, in characters.
const MaxText = 20_000

// Send accepts a text for the customer of a chat that the viewer has, or, of an
// API client, of one that nobody has: it is stored, and queued after what was
// accepted before it. key, if not empty, makes repeating harmless.
func (d *Desk) Send(ctx context.Context, v Viewer, id globalid.ID, text, key string) (result *ent.Message, err error) {
	text = clean(text)
	if n := utf8.RuneCountInString(text); n == 0 || n > MaxText {
		return nil, fault.New(fault.Invalid, "text", "a text has 1 to %d characters, not %d", MaxText, n)
	}
	err = d.write(ctx, func(c *change) error {
		result = nil // of a try before
		first, err := c.once(ctx, v, "sendMessage", key, []string{id.String(), text}, func() (uuid.UUID, error) {
			result, err = c.send(ctx, v, id, text)
			if err != nil {
				return uuid.Nil, err
			}
			return result.ID, nil
		})
		if err == nil && result == nil {
			result, err = c.Message.Get(ctx, first)
		}
		return err
	})
	return result, err
}

func (c *change) send(ctx context.Context, v Viewer, id globalid.ID, text string) (*ent.Message, error) {
	chat, err := c.lockChat(ctx, v, id)
	if err != nil {
		return nil, err
	}
	if err := checkVoice(chat, v); err != nil {
		return nil, err
	}
	if c.d.windowClosed(chat) {
		return nil, fault.New(fault.Refused, "chatId", "the reply window is closed: the customer has to write first")
	}
	if channel, err := c.Channel.Get(ctx, chat.ChannelID); err != nil {
		return nil, err
	} else if !isLive(channel) {
		return nil, fault.New(fault.Refused, "chatId", "the channel is not active")
	} else if isGone(channel.State) {
		return nil, fault.New(fault.Refused, "chatId", "the page is not connected here any more")
	}
	sent := after(chat, c.now)
	author := message.AuthorKindOperator
	if v.Machine != nil {
		author = message.AuthorKindSystem
	}
	m, err := c.Message.Create().SetChatID(chat.ID).SetChannelID(chat.ChannelID).
		SetDirection(message.DirectionOutbound).SetAuthorKind(author).SetAuthorID(v.id()).
		SetContentKind(message.ContentKindText).SetText(text).SetState(message.StatePending).
		SetSentAt(sent).SetCreatedAt(c.now).Save(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.queueParts(ctx, chat, m); err != nil {
		return nil, err
	}
	chat, err = chat.Update().SetLastMessageID(m.ID).SetLastMessageAt(sent).AddVersion(1).Save(ctx)
	if err != nil {
		return nil, err
	}
	c.chatEvent(event.KindMessageAdded, chat, m, nil, nil)
	if v.Operator == nil { // a machine marks nothing as read
		return m, nil
	}
	return m, c.markRead(ctx, v, chat)
}

// after is the time of a message that follows what was said in a chat.
func after(chat *ent.Chat, now time.Time) time.Time {
	if !now.After(chat.LastMessageAt) { // the provider's clock may be ahead of ours
		return chat.LastMessageAt.Add(time.Microsecond)
	}
	return now
}

// checkVoice holds that a chat never has two voices at once: it is its operator
// who writes, and, while it waits and is in nobody's hands, an API client that may.
func checkVoice(of *ent.Chat, v Viewer) error {
	switch {
	case isHolder(of, v):
		return nil
	case v.Machine == nil:
		return fault.New(fault.Refused, "chatId", "only the operator who has the chat can write in it: accept it first")
	case !v.Has(schema.ChatsWrite):
		return fault.New(fault.Refused, "chatId", "writing takes the scope %s", schema.ChatsWrite)
	case of.Status != chat.StatusWaiting:
		return fault.New(fault.Refused, "chatId", "an API client can write only in a chat that waits: this one is %s", of.Status)
	}
	return nil
}

// queueParts makes a message's deliveries and puts them, in order, into the
// conversation's lane.
func (c *change) queueParts(ctx context.Context, chat *ent.Chat, m *ent.Message) error {
	for i, part := range c.d.limits.SplitText(m.Text) {
		id := schema.NewID()
		err := c.Delivery.Create().SetID(id).SetMessageID(m.ID).SetChannelID(chat.ChannelID).SetPosition(i).
			SetText(part).SetState(delivery.StatePending).Exec(ctx)
		if err != nil {
			return err
		}
		c.addWork(WorkSend, Lane(chat.IdentityID), chat.ChannelID, id)
	}
	return nil
}

// Lane is the outgoing lane of a conversation.
func Lane(identity uuid.UUID) string { return "identity:" + identity.String() }
