package graph

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/contact"
	"parley/ent/delivery"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/queue"
	"parley/ent/queuemember"
	"parley/graph/model"
	"parley/server/desk"
	"parley/server/paging"
)

// loaders are what a response reads row by row of its lists.
type loaders struct {
	channel   loader[uuid.UUID, *ent.Channel]
	queue     loader[uuid.UUID, *ent.Queue]
	operator  loader[uuid.UUID, *ent.Operator]
	apiClient loader[uuid.UUID, *ent.APIClient]
	contact   loader[uuid.UUID, *ent.Contact]
	chat      loader[uuid.UUID, *ent.Chat]
	visible   loader[uuid.UUID, *ent.Chat] // that the viewer may see
	message   loader[uuid.UUID, *ent.Message]
	messages  loader[messagesOf, *messagePage]
	replied   loader[*ent.Message, *ent.Message]     // what a message answers
	delivered loader[uuid.UUID, []*ent.Delivery]     // by message
	members   loader[uuid.UUID, []*ent.Operator]     // by queue
	checks    loader[uuid.UUID, []*ent.ChannelCheck] // by channel
	unread    loader[*ent.Chat, int]
}

type loadersKey struct{}

// withLoaders gives what is read with the context loaders of its own. They are
// made when the first is asked for: a subscription waits most of the time.
func (r *Resolver) withLoaders(ctx context.Context) context.Context {
	return context.WithValue(ctx, loadersKey{}, sync.OnceValue(r.newLoaders))
}

func load(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(func() *loaders)() }

func (r *Resolver) newLoaders() *loaders {
	l, c := &loaders{}, r.Desk.Client
	l.channel.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Channel, error) {
		return byID(l.sawChannel)(c().Channel.Query().Where(channel.IDIn(ids...)).All(ctx))
	}
	l.queue.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Queue, error) {
		return byID(l.sawQueue)(c().Queue.Query().Where(queue.IDIn(ids...)).All(ctx))
	}
	l.operator.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Operator, error) {
		return byID(l.sawOperator)(c().Operator.Query().Where(operator.IDIn(ids...)).All(ctx))
	}
	l.apiClient.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.APIClient, error) {
		return byID(l.sawAPIClient)(c().APIClient.Query().Where(apiclient.IDIn(ids...)).All(ctx))
	}
	l.contact.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Contact, error) {
		return byID(l.sawContact)(c().Contact.Query().Where(contact.IDIn(ids...)).All(ctx))
	}
	l.chat.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Chat, error) {
		return byID(l.sawChat)(c().Chat.Query().Where(chat.IDIn(ids...)).All(ctx))
	}
	l.visible.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Chat, error) {
		page, err := r.Desk.VisibleChats(ctx, viewer(ctx), ids, false)
		return byID(l.sawChat)(page.Nodes, err)
	}
	l.message.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*ent.Message, error) {
		return byID(l.sawMessage)(c().Message.Query().Where(message.IDIn(ids...)).All(ctx))
	}
	l.messages.read = func(ctx context.Context, keys []messagesOf) (map[messagesOf]*messagePage, error) {
		return r.messagePages(ctx, l, keys)
	}
	l.messages.like = func(expected, asked messagesOf) messagesOf { asked.chat = expected.chat; return asked }
	l.replied.read = func(ctx context.Context, answers []*ent.Message) (map[*ent.Message]*ent.Message, error) {
		of, err := r.Desk.RepliedTo(ctx, answers)
		for _, found := range of {
			l.sawMessage(found)
		}
		return of, err
	}
	l.delivered.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID][]*ent.Delivery, error) {
		rows, err := c().Delivery.Query().Where(delivery.MessageIDIn(ids...)).Order(ent.Asc(delivery.FieldPosition)).All(ctx)
		of := map[uuid.UUID][]*ent.Delivery{}
		for _, row := range rows {
			of[row.MessageID] = append(of[row.MessageID], row)
		}
		return of, err
	}
	l.members.read = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID][]*ent.Operator, error) {
		rows, err := c().QueueMember.Query().Where(queuemember.QueueIDIn(ids...)).WithOperator().
			Order(ent.Asc(queuemember.FieldOperatorID)).All(ctx)
		of := map[uuid.UUID][]*ent.Operator{}
		for _, row := range rows {
			of[row.QueueID] = append(of[row.QueueID], row.Edges.Operator)
		}
		return of, err
	}
	l.checks.read = r.Desk.Checks
	l.unread.read = func(ctx context.Context, chats []*ent.Chat) (map[*ent.Chat]int, error) {
		counts, err := r.Desk.Unread(ctx, viewer(ctx), chats)
		of := map[*ent.Chat]int{}
		for _, chat := range chats {
			of[chat] = counts[chat.ID]
		}
		return of, err
	}
	return l
}

// byID has rows seen and puts them under their ids.
func byID[V any](saw func(V) uuid.UUID) func([]V, error) (map[uuid.UUID]V, error) {
	return func(rows []V, err error) (map[uuid.UUID]V, error) {
		found := make(map[uuid.UUID]V, len(rows))
		for _, row := range rows {
			found[saw(row)] = row
		}
		return found, err
	}
}

func (l *loaders) sawChat(c *ent.Chat) uuid.UUID {
	l.chat.know(c.ID, c)
	l.unread.expect(c)
	l.messages.expect(messagesOf{chat: c.ID})
	pointsAt(&l.channel, &c.ChannelID, c.Edges.Channel)
	pointsAt(&l.contact, &c.ContactID, c.Edges.Contact)
	pointsAt(&l.queue, c.QueueID, c.Edges.Queue)
	pointsAt(&l.operator, c.OperatorID, c.Edges.Operator)
	pointsAt(&l.visible, c.PreviousID, nil)
	pointsAt(&l.message, c.LastMessageID, nil)
	return c.ID
}

// sawPage looks into a page of chats, of which the unread counts may be known.
func (l *loaders) sawPage(p desk.ChatPage, err error) (paging.List[*ent.Chat], error) {
	for _, c := range p.Nodes {
		l.sawChat(c)
		if n, known := p.Unread[c.ID]; known {
			l.unread.know(c, n)
		}
	}
	return p.List, err
}

func (l *loaders) sawMessage(m *ent.Message) uuid.UUID {
	if m.Edges.Chat != nil {
		l.sawChat(m.Edges.Chat)
	} else {
		l.chat.expect(m.ChatID)
	}
	if m.Direction == message.DirectionOutbound {
		l.delivered.expect(m.ID)
	}
	if m.ReplyTo != "" {
		l.replied.expect(m)
	}
	switch m.AuthorKind {
	case message.AuthorKindContact:
		pointsAt(&l.contact, m.AuthorID, nil)
	case message.AuthorKindOperator:
		pointsAt(&l.operator, m.AuthorID, nil)
	case message.AuthorKindSystem:
		pointsAt(&l.apiClient, m.AuthorID, nil)
	}
	return m.ID
}

func (l *loaders) sawChannel(c *ent.Channel) uuid.UUID {
	pointsAt(&l.queue, c.QueueID, c.Edges.Queue)
	l.checks.expect(c.ID)
	return c.ID
}

func (l *loaders) sawQueue(q *ent.Queue) uuid.UUID {
	l.members.expect(q.ID)
	return q.ID
}

func (l *loaders) sawQuickReply(q *ent.QuickReply) uuid.UUID {
	l.scope(q)
	return q.ID
}

// scope are the queues that a quick reply is for, none if it is for all.
func (l *loaders) scope(q *ent.QuickReply) []*ent.Queue {
	queues := make([]*ent.Queue, len(q.Edges.Scopes))
	for i, s := range q.Edges.Scopes {
		queues[i] = s.Edges.Queue
		l.sawQueue(queues[i])
	}
	return queues
}

func (l *loaders) sawSuggested(list []*desk.SuggestedQuickReply, err error) ([]*desk.SuggestedQuickReply, error) {
	for _, s := range list {
		l.sawQuickReply(s.QuickReply)
	}
	return list, err
}

func (l *loaders) sawReport(r *desk.QuickReplyReport, err error) (*desk.QuickReplyReport, error) {
	if err != nil {
		return nil, err
	}
	for _, u := range r.Untranslated {
		l.sawQuickReply(u.QuickReply)
	}
	return r, nil
}

func (l *loaders) sawAPIClient(c *ent.APIClient) uuid.UUID {
	pointsAt(&l.operator, c.CreatedBy, nil)
	return c.ID
}

func (l *loaders) sawOperator(o *ent.Operator) uuid.UUID { return o.ID }

func (l *loaders) sawContact(c *ent.Contact) uuid.UUID { return c.ID }

// sawEvents looks into what events are about. Much of what that points at was
// loaded with it for all viewers; the rest is the viewer's own.
func (l *loaders) sawEvents(events []model.ChatEvent) []model.ChatEvent {
	for _, e := range events {
		switch e := e.(type) {
		case *model.MessageAdded:
			l.sawMessage(e.Message)
		case *model.MessageUpdated:
			l.sawMessage(e.Message)
		case *model.ChatOpened:
			l.sawChat(e.Chat)
		case *model.ChatUpdated:
			l.sawChat(e.Chat)
		}
	}
	return events
}

// sawNode looks into a thing of any kind.
func (l *loaders) sawNode(n ent.Noder) {
	switch n := n.(type) {
	case *ent.Chat:
		l.sawChat(n)
	case *ent.Message:
		l.sawMessage(n)
	case *ent.Channel:
		l.sawChannel(n)
	case *ent.Queue:
		l.sawQueue(n)
	case *ent.QuickReply:
		l.sawQuickReply(n)
	case *ent.APIClient:
		l.sawAPIClient(n)
	}
}

// pointsAt notes what a row has an id of: it may be asked for, unless it was
// loaded before, or there is none.
func pointsAt[V any](l *loader[uuid.UUID, *V], id *uuid.UUID, loaded *V) {
	switch {
	case loaded != nil:
		l.know(*id, loaded)
	case id != nil:
		l.expect(*id)
	}
}

// get is what an id that may be missing points at. have is what was loaded
// before.
func get[V any](ctx context.Context, l *loader[uuid.UUID, *V], have *V, id *uuid.UUID) (*V, error) {
	if have != nil || id == nil {
		return have, nil
	}
	return l.get(ctx, *id)
}
