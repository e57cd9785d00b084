package desk

import (
	"context"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/chatread"
	"parley/ent/contact"
	"parley/ent/delivery"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/predicate"
	"parley/ent/queue"
	"parley/ent/queuemember"
	"parley/server/globalid"
	"parley/server/paging"
	"parley/server/store"
)

// ChatFilter narrows a list of chats; what is empty does not.
type ChatFilter struct {
	Status                      []chat.Status
	Queues, Channels, Operators []globalid.ID
	Contact                     *globalid.ID
}

// Chats lists what the viewer may see, newest message first.
func (d *Desk) Chats(ctx context.Context, v Viewer, p paging.Args, f ChatFilter) (paging.List[*ent.Chat], error) {
	s, err := p.Check(paging.ByTime)
	if err != nil {
		return paging.List[*ent.Chat]{}, err
	}
	query := d.store.Client().Chat.Query().Where(v.visible(), s.Where(chat.FieldLastMessageAt, true))
	if f.Status != nil {
		query.Where(chat.StatusIn(f.Status...))
	}
	if f.Queues != nil {
		query.Where(chat.QueueIDIn(uuids(f.Queues)...))
	}
	if f.Channels != nil {
		query.Where(chat.ChannelIDIn(uuids(f.Channels)...))
	}
	if f.Operators != nil {
		query.Where(chat.OperatorIDIn(uuids(f.Operators)...))
	}
	if f.Contact != nil {
		query.Where(chat.ContactID(f.Contact.UUID))
	}
	rows, err := query.All(ctx)
	return paging.Of(s, rows, func(c *ent.Chat) paging.Place { return paging.Place{By: c.LastMessageAt, ID: c.ID} }), err
}

// Contacts lists those with a chat that the viewer may see, newest first.
func (d *Desk) Contacts(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Contact], error) {
	s, err := p.Check(paging.ByTime)
	if err != nil {
		return paging.List[*ent.Contact]{}, err
	}
	rows, err := d.store.Client().Contact.Query().Where(v.visibleContact(), s.Where(contact.FieldCreatedAt, true)).All(ctx)
	return paging.Of(s, rows, func(c *ent.Contact) paging.Place { return paging.Place{By: c.CreatedAt, ID: c.ID} }), err
}

func (v Viewer) visibleContact() predicate.Contact {
	if v.SeesAll() {
		return func(*entsql.Selector) {}
	}
	return withChats(v.visible(), chat.FieldContactID)
}

// withChats holds for rows that a visible chat points at.
func withChats(visible predicate.Chat, column string) func(*entsql.Selector) {
	return func(s *entsql.Selector) {
		chats := entsql.Dialect(s.Dialect()).Select(column).From(entsql.Table(chat.Table))
		visible(chats)
		s.Where(entsql.In(s.C("id"), chats))
	}
}

// Channels lists, to an operator, those that feed their queues.
func (d *Desk) Channels(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Channel], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.Channel]{}, err
	}
	rows, err := d.store.Client().Channel.Query().Where(v.visibleChannel(), s.Where(channel.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(c *ent.Channel) paging.Place { return paging.Place{By: c.Name, ID: c.ID} }), err
}

func (v Viewer) visibleChannel() predicate.Channel {
	if v.readsSettings() {
		return func(*entsql.Selector) {}
	}
	return channel.Or(channel.QueueIDIn(v.Queues...), withChats(v.visible(), chat.FieldChannelID))
}

// Queues lists, to an operator, their own.
func (d *Desk) Queues(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Queue], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.Queue]{}, err
	}
	rows, err := d.store.Client().Queue.Query().Where(v.visibleQueue(), s.Where(queue.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(q *ent.Queue) paging.Place { return paging.Place{By: q.Name, ID: q.ID} }), err
}

func (v Viewer) visibleQueue() predicate.Queue {
	if v.readsSettings() {
		return func(*entsql.Selector) {}
	}
	return queue.IDIn(v.Queues...)
}

// Operators lists, to an operator, those who share a queue with them.
func (d *Desk) Operators(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Operator], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.Operator]{}, err
	}
	rows, err := d.store.Client().Operator.Query().Where(v.visibleOperator(), s.Where(operator.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(o *ent.Operator) paging.Place { return paging.Place{By: o.Name, ID: o.ID} }), err
}

func (v Viewer) visibleOperator() predicate.Operator {
	if v.readsSettings() {
		return func(*entsql.Selector) {}
	}
	return operator.Or(operator.ID(v.id()), func(s *entsql.Selector) {
		colleagues := entsql.Dialect(s.Dialect()).Select(queuemember.FieldOperatorID).From(entsql.Table(queuemember.Table))
		queuemember.QueueIDIn(v.Queues...)(colleagues)
		s.Where(entsql.In(s.C(operator.FieldID), colleagues))
	})
}

// Messages lists the same page of several chats, oldest message first: without
// arguments the last ones. The caller has seen that the chats are visible.
func (d *Desk) Messages(ctx context.Context, chats []uuid.UUID, p paging.Args) (map[uuid.UUID]paging.List[*ent.Message], error) {
	if p.First == nil && p.Last == nil && p.After == nil {
		p.Last = pointer(25)
	}
	s, err := p.Check(paging.ByTime)
	if err != nil {
		return nil, err
	}
	rows, err := d.store.Client().Message.Query().Where(pageOfEach(chats, s), s.Order(message.FieldSentAt, false)).All(ctx)
	of := make(map[uuid.UUID][]*ent.Message, len(chats))
	for _, row := range rows {
		of[row.ChatID] = append(of[row.ChatID], row)
	}
	lists := make(map[uuid.UUID]paging.List[*ent.Message], len(chats))
	for _, id := range chats {
		lists[id] = paging.Of(s, of[id], func(m *ent.Message) paging.Place { return paging.Place{By: m.SentAt, ID: m.ID} })
	}
	return lists, err
}

// pageOfEach picks each chat's page by an index scan of its own, so that long
// chats cost no more than short ones; a window function over all their messages
// would read them whole.
func pageOfEach(chats []uuid.UUID, s paging.Slice) predicate.Message {
	return func(q *entsql.Selector) {
		q.Where(entsql.P(func(b *entsql.Builder) {
			b.Ident(q.C(message.FieldID)).WriteString(" IN (")
			for i, id := range chats {
				if i > 0 {
					b.WriteString(" UNION ALL ")
				}
				one := entsql.Dialect(q.Dialect()).Select(message.FieldID).From(entsql.Table(message.Table))
				one.Where(entsql.EQ(one.C(message.FieldChatID), id))
				s.Where(message.FieldSentAt, false)(one)
				b.WriteString("SELECT id FROM (").Join(one).WriteString(") AS one")
			}
			b.WriteString(")")
		}))
	}
}

// Node is any thing by its id, or nil if there is none or the viewer may not
// see it.
func (d *Desk) Node(ctx context.Context, v Viewer, id globalid.ID) (ent.Noder, error) {
	client := d.store.Client()
	switch id.Kind {
	case "chat":
		return found(client.Chat.Query().Where(chat.ID(id.UUID), v.visible()).Only(ctx))
	case "message":
		return found(client.Message.Query().Where(message.ID(id.UUID), message.HasChatWith(v.visible())).Only(ctx))
	case "delivery":
		return found(client.Delivery.Query().Where(delivery.ID(id.UUID),
			delivery.HasMessageWith(message.HasChatWith(v.visible()))).Only(ctx))
	case "contact":
		return found(client.Contact.Query().Where(contact.ID(id.UUID), v.visibleContact()).Only(ctx))
	case "channel":
		return found(client.Channel.Query().Where(channel.ID(id.UUID), v.visibleChannel()).Only(ctx))
	case "queue":
		return found(client.Queue.Query().Where(queue.ID(id.UUID), v.visibleQueue()).Only(ctx))
	case "operator":
		return found(client.Operator.Query().Where(operator.ID(id.UUID), v.visibleOperator()).Only(ctx))
	}
	return nil, nil
}

func found[T ent.Noder](row T, err error) (ent.Noder, error) {
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// VisibleChats are those of the chats that the viewer may see.
func (d *Desk) VisibleChats(ctx context.Context, v Viewer, ids []uuid.UUID) ([]*ent.Chat, error) {
	return d.store.Client().Chat.Query().Where(chat.IDIn(ids...), v.visible()).All(ctx)
}

// Unread counts, for each chat, the customer's messages that the viewer has not
// read.
func (d *Desk) Unread(ctx context.Context, v Viewer, chats []*ent.Chat) (map[uuid.UUID]int, error) {
	ids, unread := make([]uuid.UUID, len(chats)), map[uuid.UUID]int{}
	for i, c := range chats {
		ids[i], unread[c.ID] = c.ID, int(c.InboundCount)
	}
	marks, err := d.store.Client().ChatRead.Query().Where(chatread.OperatorID(v.id()), chatread.ChatIDIn(ids...)).All(ctx)
	for _, mark := range marks {
		unread[mark.ChatID] = max(0, unread[mark.ChatID]-int(mark.InboundCount))
	}
	return unread, err
}

// RepliedTo finds what messages answer, by the provider's ids, where it is stored
// and of the same chat: the customer's, or parts of ours.
func (d *Desk) RepliedTo(ctx context.Context, answers []*ent.Message) (map[*ent.Message]*ent.Message, error) {
	type place struct {
		chat uuid.UUID
		id   string
	}
	asked, channels := map[string]bool{}, map[uuid.UUID]bool{}
	for _, m := range answers {
		asked[m.ReplyTo], channels[m.ChannelID] = true, true
	}
	stored := map[place]*ent.Message{}
	client, ids := d.store.Client(), keys(asked)
	theirs, err := client.Message.Query().Where(store.In(message.FieldChannelID, keys(channels)), ExternalIDs(ids)).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range theirs {
		stored[place{m.ChatID, *m.ExternalID}] = m
	}
	ours, err := client.Delivery.Query().
		Where(store.In(delivery.FieldChannelID, keys(channels)), store.In(delivery.FieldExternalID, ids)).WithMessage().All(ctx)
	if err != nil {
		return nil, err
	}
	for _, part := range ours {
		stored[place{part.Edges.Message.ChatID, *part.ExternalID}] = part.Edges.Message
	}
	of := map[*ent.Message]*ent.Message{}
	for _, m := range answers {
		if found := stored[place{m.ChatID, m.ReplyTo}]; found != nil {
			of[m] = found
		}
	}
	return of, nil
}

// Client reads rows by id for who has seen that they are visible.
func (d *Desk) Client() *ent.Client { return d.store.Client() }

func uuids(ids []globalid.ID) []uuid.UUID {
	list := make([]uuid.UUID, len(ids))
	for i, id := range ids {
		list[i] = id.UUID
	}
	return list
}
