package graph

import (
	"context"

	"github.com/google/uuid"

	"parley/ent"
	"parley/graph/model"
	"parley/server/paging"
)

func forward(first *int, after *string) paging.Args { return paging.Args{First: first, After: after} }

func info[T any](l paging.List[T]) *model.PageInfo {
	p := &model.PageInfo{HasNextPage: l.HasNext, HasPreviousPage: l.HasPrevious}
	if n := len(l.Cursors); n > 0 {
		p.StartCursor, p.EndCursor = &l.Cursors[0], &l.Cursors[n-1]
	}
	return p
}

// seen has the elements of a list looked into before each of them is asked for
// more.
func seen[T any](saw func(T) uuid.UUID) func(paging.List[T], error) (paging.List[T], error) {
	return func(l paging.List[T], err error) (paging.List[T], error) {
		for _, node := range l.Nodes {
			saw(node)
		}
		return l, err
	}
}

// edges pairs each element with its cursor.
func edges[T, E any](l paging.List[T], edge func(string, T) E) []E {
	list := make([]E, len(l.Nodes))
	for i, node := range l.Nodes {
		list[i] = edge(l.Cursors[i], node)
	}
	return list
}

func chatConnection(l paging.List[*ent.Chat], err error) (*model.ChatConnection, error) {
	return &model.ChatConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.Chat) *model.ChatEdge {
		return &model.ChatEdge{Cursor: c, Node: n}
	})}, err
}

func messageConnection(l paging.List[*ent.Message], err error) (*model.MessageConnection, error) {
	return &model.MessageConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.Message) *model.MessageEdge {
		return &model.MessageEdge{Cursor: c, Node: n}
	})}, err
}

func contactConnection(l paging.List[*ent.Contact], err error) (*model.ContactConnection, error) {
	return &model.ContactConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.Contact) *model.ContactEdge {
		return &model.ContactEdge{Cursor: c, Node: n}
	})}, err
}

func channelConnection(l paging.List[*ent.Channel], err error) (*model.ChannelConnection, error) {
	return &model.ChannelConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.Channel) *model.ChannelEdge {
		return &model.ChannelEdge{Cursor: c, Node: n}
	})}, err
}

func auditEntryConnection(l paging.List[*ent.AuditEntry], err error) (*model.AuditEntryConnection, error) {
	return &model.AuditEntryConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.AuditEntry) *model.AuditEntryEdge {
		return &model.AuditEntryEdge{Cursor: c, Node: n}
	})}, err
}

func queueConnection(l paging.List[*ent.Queue], err error) (*model.QueueConnection, error) {
	return &model.QueueConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.Queue) *model.QueueEdge {
		return &model.QueueEdge{Cursor: c, Node: n}
	})}, err
}

func quickReplyConnection(l paging.List[*ent.QuickReply], err error) (*model.QuickReplyConnection, error) {
	return &model.QuickReplyConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.QuickReply) *model.QuickReplyEdge {
		return &model.QuickReplyEdge{Cursor: c, Node: n}
	})}, err
}

func operatorConnection(l paging.List[*ent.Operator], err error) (*model.OperatorConnection, error) {
	return &model.OperatorConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.Operator) *model.OperatorEdge {
		return &model.OperatorEdge{Cursor: c, Node: n}
	})}, err
}

func apiClientConnection(l paging.List[*ent.APIClient], err error) (*model.APIClientConnection, error) {
	return &model.APIClientConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.APIClient) *model.APIClientEdge {
		return &model.APIClientEdge{Cursor: c, Node: n}
	})}, err
}

func webhookEventConnection(l paging.List[*ent.WebhookEvent], err error) (*model.WebhookEventConnection, error) {
	return &model.WebhookEventConnection{Nodes: l.Nodes, PageInfo: info(l), Edges: edges(l, func(c string, n *ent.WebhookEvent) *model.WebhookEventEdge {
		return &model.WebhookEventEdge{Cursor: c, Node: n}
	})}, err
}

// messagesOf asks for a page of a chat's messages. It is comparable, so that the
// same page of many chats is read together.
type messagesOf struct {
	chat          uuid.UUID
	first, last   int // 0 is not given
	after, before string
}

type messagePage = paging.List[*ent.Message]

func messagesKey(chat uuid.UUID, first, last *int, before, after *string) messagesOf {
	return messagesOf{chat, size(first), size(last), value(after), value(before)}
}

// size keeps a page of none, which is refused, from passing for one not given.
func size(n *int) int {
	if n != nil && *n == 0 {
		return -1
	}
	return value(n)
}

// messagePages reads the same page of several chats.
func (r *Resolver) messagePages(ctx context.Context, l *loaders, keys []messagesOf) (map[messagesOf]*messagePage, error) {
	chats := make([]uuid.UUID, len(keys))
	for i, key := range keys {
		chats[i] = key.chat
	}
	key := keys[0]
	found, err := r.Desk.Messages(ctx, chats, paging.Args{
		First: given(key.first), Last: given(key.last), After: given(key.after), Before: given(key.before),
	})
	pages := make(map[messagesOf]*messagePage, len(keys))
	for chat, page := range found {
		key.chat = chat
		pages[key] = &page
		for _, m := range page.Nodes {
			l.sawMessage(m)
		}
	}
	return pages, err
}

func value[T any](p *T) T {
	var v T
	if p != nil {
		v = *p
	}
	return v
}

func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
