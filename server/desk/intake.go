package desk

import (
	"context"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/event"
	"parley/ent/message"
	"parley/ent/schema"
)

// intake applies a batch of events with a fixed number of statements, whatever
// the size of the batch: it reads everything that the batch speaks of, changes
// it in memory, and writes it.
type intake struct {
	*change
	channels   map[string]*ent.Channel
	careful    bool // chats are locked as they are read, and every message is looked for
	identities map[person]*ent.Identity
	open       map[uuid.UUID]*ent.Chat // by identity
	was        map[uuid.UUID]int64     // versions of chats as they were read
	known      map[person]bool         // messages stored already: channel and external id

	newContacts []*ent.Contact
	newMessages []*ent.Message
	newPeople   []*ent.Identity
	greetings   []greeting
	fresh       map[uuid.UUID]bool      // identities and chats that this batch makes
	touched     map[uuid.UUID]*ent.Chat // chats to write
	happened    []happening
}

// happening is an event to be recorded once its rows are written.
type happening struct {
	kind    event.Kind
	chat    *ent.Chat
	message *ent.Message
}

func (in *intake) apply(ctx context.Context, batch []Inbound) ([]Settled, error) {
	if err := in.read(ctx, batch); err != nil {
		return nil, err
	}
	settled := make([]Settled, len(batch))
	for i, ev := range batch {
		outcome, err := in.one(ctx, ev)
		if err != nil {
			return nil, err
		}
		settled[i] = Settled{ev.ID, outcome, nil}
	}
	return settled, in.flush(ctx)
}

// one applies an event in memory. Only what is rare reads: a chat after an
// earlier one, a late message, an echo, a receipt.
func (in *intake) one(ctx context.Context, ev Inbound) (Outcome, error) {
	switch ev.Kind {
	case Wrote:
		return in.wrote(ctx, ev)
	case Echoed:
		return in.echoed(ctx, ev)
	default:
		return in.receipt(ctx, ev)
	}
}

// read loads and locks what the batch speaks of.
func (in *intake) read(ctx context.Context, batch []Inbound) error {
	in.identities, in.open = map[person]*ent.Identity{}, map[uuid.UUID]*ent.Chat{}
	in.was = map[uuid.UUID]int64{}
	in.known, in.touched, in.fresh = map[person]bool{}, map[uuid.UUID]*ent.Chat{}, map[uuid.UUID]bool{}
	people := map[person]bool{}
	for _, ev := range batch {
		people[person{in.channels[ev.Page].ID, ev.Person}] = true
	}
	if err := in.readPeople(ctx, keys(people)); err != nil {
		return err
	}
	said := messagesOf(batch, in.channels)
	if !in.careful {
		said = in.d.recent.mayHave(said, in.now)
	}
	return in.readKnown(ctx, said)
}

// wrote takes a customer's message: it opens a chat if none is open.
func (in *intake) wrote(ctx context.Context, ev Inbound) (Outcome, error) {
	channel := in.channels[ev.Page]
	if !in.first(channel.ID, ev.Message.ExternalID) {
		return Applied, nil
	}
	who := in.identity(channel, ev)
	to, err := in.chatFor(ctx, channel, who, ev.At)
	if err != nil {
		return Applied, err
	}
	if to.LastInboundAt == nil || to.LastInboundAt.Before(ev.At) {
		to.LastInboundAt = &ev.At
	}
	to.InboundCount++
	opened := to.LastMessageID == nil
	in.add(to, &ent.Message{
		Direction: message.DirectionInbound, AuthorKind: message.AuthorKindContact, AuthorID: &who.ContactID,
	}, ev)
	if opened {
		in.greet(channel, to)
	}
	return Applied, nil
}

// echoed takes what somebody else wrote to the customer in the page's name. It
// never opens a chat.
func (in *intake) echoed(ctx context.Context, ev Inbound) (Outcome, error) {
	channel := in.channels[ev.Page]
	if ours, err := in.settleEcho(ctx, channel.ID, ev); ours || err != nil {
		return Applied, err
	}
	who := in.identities[person{channel.ID, ev.Person}]
	if who == nil {
		return Ignored, nil
	}
	to, err := in.currentChat(ctx, who)
	if to == nil || err != nil {
		return Ignored, err
	}
	if !in.first(channel.ID, ev.Message.ExternalID) {
		return Applied, nil
	}
	in.add(to, &ent.Message{
		Direction: message.DirectionOutbound, AuthorKind: message.AuthorKindExternal,
		State: pointer(message.StateSent), ProviderAt: &ev.At,
	}, ev)
	return Applied, nil
}

// receipt moves the watermarks of the chats that it can speak of: the newest of
// the identity, and the one before that, unless an earlier receipt went past it.
func (in *intake) receipt(ctx context.Context, ev Inbound) (Outcome, error) {
	who := in.identities[person{in.channels[ev.Page].ID, ev.Person}]
	if who == nil {
		return Ignored, nil
	}
	current, err := in.currentChat(ctx, who)
	if err != nil || current == nil {
		return Ignored, err
	}
	chats, mark := []*ent.Chat{current}, current.DeliveredUntil
	if ev.Kind == Read {
		mark = current.ReadUntil
	}
	if current.PreviousID != nil && mark == nil {
		previous, err := in.load(ctx, chat.ID(*current.PreviousID))
		if err != nil {
			return Ignored, err
		}
		chats = append(chats, previous)
	}
	for _, c := range chats {
		if c != nil && !ev.Until.Before(c.OpenedAt) && raise(c, ev) {
			in.touch(c, &happening{kind: event.KindChatUpdated, chat: c})
		}
	}
	return Applied, nil
}

// raise moves a chat's watermark; what is read is delivered too.
func raise(c *ent.Chat, ev Inbound) bool {
	later := func(mark **time.Time) bool {
		if *mark != nil && !(*mark).Before(ev.Until) {
			return false
		}
		*mark = &ev.Until
		return true
	}
	changed := later(&c.DeliveredUntil)
	if ev.Kind == Read {
		changed = later(&c.ReadUntil) || changed
	}
	return changed
}

// first says whether a message is new, and remembers it.
func (in *intake) first(channel uuid.UUID, externalID string) bool {
	key := person{channel, externalID}
	if in.known[key] {
		return false
	}
	in.known[key] = true
	return true
}

// identity finds who wrote, or makes them: with a placeholder for a name until
// their profile is read.
func (in *intake) identity(channel *ent.Channel, ev Inbound) *ent.Identity {
	key := person{channel.ID, ev.Person}
	if known := in.identities[key]; known != nil {
		return known
	}
	who := &ent.Contact{ID: schema.NewID(), Name: placeholder(ev.Person), CreatedAt: in.now, Version: 1}
	identity := &ent.Identity{ID: schema.NewID(), ChannelID: channel.ID, ExternalID: ev.Person, ContactID: who.ID, CreatedAt: in.now}
	in.newContacts, in.newPeople = append(in.newContacts, who), append(in.newPeople, identity)
	in.identities[key], in.fresh[identity.ID] = identity, true
	in.addWork(WorkProfile, "", channel.ID, identity.ID)
	return identity
}

// placeholder is a name for who has only an id, of which the end is enough to
// tell two guests apart.
func placeholder(id string) string {
	runes := []rune(id)
	return "Guest " + string(runes[max(0, len(runes)-4):])
}

// chatFor finds the chat that a message of a time belongs to: the one that was
// open then, else the open one, else a new one.
func (in *intake) chatFor(ctx context.Context, channel *ent.Channel, who *ent.Identity, at time.Time) (*ent.Chat, error) {
	open := in.open[who.ID]
	if open != nil && !at.Before(open.OpenedAt) {
		return open, nil
	}
	var previous *ent.Chat
	if !in.fresh[who.ID] {
		var err error
		if previous, err = in.load(ctx, chat.IdentityID(who.ID), isCompleted); err != nil {
			return nil, err
		}
		late, err := in.load(ctx, chat.IdentityID(who.ID), isCompleted,
			chat.OpenedAtLTE(at), chat.CompletedAtGTE(at))
		if late != nil || err != nil {
			return late, err
		}
	}
	if open != nil {
		return open, nil
	}
	return in.openChat(channel, who, previous, at), nil
}

// openChat begins a chat. While its channel is not live it waits without a
// queue.
func (in *intake) openChat(channel *ent.Channel, who *ent.Identity, previous *ent.Chat, at time.Time) *ent.Chat {
	status, _ := next("", customerWrites)
	c := &ent.Chat{
		ID: schema.NewID(), ChannelID: channel.ID, IdentityID: who.ID, ContactID: who.ContactID, QueueID: liveQueue(channel),
		Status: status, LastMessageAt: at, OpenedAt: at, WaitingSince: &at, CreatedAt: in.now,
	}
	if previous != nil {
		c.PreviousID = &previous.ID
	}
	in.open[who.ID], in.fresh[c.ID] = c, true
	in.touch(c, &happening{kind: event.KindChatOpened, chat: c})
	return c
}

// liveQueue is the queue that a channel's chats are routed to: none unless it
// is active.
func liveQueue(channel *ent.Channel) *uuid.UUID {
	if !isLive(channel) {
		return nil
	}
	return channel.QueueID
}

// greeting is a message that goes to the customer of a chat by itself.
type greeting struct {
	chat    *ent.Chat
	message *ent.Message
}

// greetWithin is how late a greeting may be: what waited for longer, such as for
// its channel to be connected, is answered by people.
const greetWithin = time.Hour

// greet sends the channel's greeting to whoever has just opened a chat that is
// routed.
func (in *intake) greet(channel *ent.Channel, to *ent.Chat) {
	if channel.Greeting == "" || to.QueueID == nil || in.now.Sub(to.OpenedAt) > greetWithin {
		return
	}
	m := &ent.Message{
		ID: schema.NewID(), ChatID: to.ID, ChannelID: to.ChannelID, Direction: message.DirectionOutbound,
		AuthorKind: message.AuthorKindSystem, ContentKind: message.ContentKindText, Text: channel.Greeting,
		State: pointer(message.StatePending), SentAt: after(to, in.now), CreatedAt: in.now, Version: 1,
	}
	to.LastMessageID, to.LastMessageAt = &m.ID, m.SentAt
	in.newMessages, in.greetings = append(in.newMessages, m), append(in.greetings, greeting{to, m})
	in.touch(to, &happening{event.KindMessageAdded, to, m})
}

// currentChat is an identity's open chat, or its last one, or nil.
func (in *intake) currentChat(ctx context.Context, who *ent.Identity) (*ent.Chat, error) {
	if open := in.open[who.ID]; open != nil {
		return open, nil
	}
	return in.load(ctx, chat.IdentityID(who.ID), isCompleted)
}

// add gives a message to a chat.
func (in *intake) add(to *ent.Chat, m *ent.Message, ev Inbound) {
	m.ID, m.ChatID, m.ChannelID, m.Version = schema.NewID(), to.ID, to.ChannelID, 1
	m.ExternalID, m.AppID, m.ReplyTo = &ev.Message.ExternalID, ev.Message.AppID, ev.Message.ReplyTo
	m.SentAt, m.CreatedAt = ev.At, in.now
	m.Text, m.Attachments, m.ContentKind = ev.Message.Text, ev.Message.Attachments, message.ContentKindText
	switch {
	case ev.Message.Unsupported:
		m.ContentKind = message.ContentKindUnsupported
	case len(m.Attachments) > 0:
		m.ContentKind = message.ContentKindAttachments
	}
	if to.LastMessageID == nil || !m.SentAt.Before(to.LastMessageAt) {
		to.LastMessageID, to.LastMessageAt = &m.ID, m.SentAt
	}
	in.newMessages = append(in.newMessages, m)
	in.touch(to, &happening{event.KindMessageAdded, to, m})
}

// touch marks a chat as changed and notes what happened.
func (in *intake) touch(c *ent.Chat, h *happening) {
	c.Version++
	in.touched[c.ID] = c
	in.happened = append(in.happened, *h)
}
