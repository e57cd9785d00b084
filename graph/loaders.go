package graph

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/graph-gophers/dataloader/v7"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/contact"
	"parley/ent/delivery"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/queue"
	"parley/ent/queuemember"
)

// loaders read rows by id in batches: however many chats a response has, their
// contacts are one statement.
type loaders struct {
	channel   *dataloader.Loader[uuid.UUID, *ent.Channel]
	queue     *dataloader.Loader[uuid.UUID, *ent.Queue]
	operator  *dataloader.Loader[uuid.UUID, *ent.Operator]
	contact   *dataloader.Loader[uuid.UUID, *ent.Contact]
	chat      *dataloader.Loader[uuid.UUID, *ent.Chat]
	visible   *dataloader.Loader[uuid.UUID, *ent.Chat] // that the viewer may see
	message   *dataloader.Loader[uuid.UUID, *ent.Message]
	delivered *dataloader.Loader[uuid.UUID, []*ent.Delivery] // by message
	members   *dataloader.Loader[uuid.UUID, []*ent.Operator] // by queue
	unread    *dataloader.Loader[*ent.Chat, int]
	messages  *dataloader.Loader[messagesOf, *messagePage]
}

type loadersKey struct{}

func load(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(*loaders) }

func (r *Resolver) withLoaders(ctx context.Context) context.Context {
	c := r.Desk.Client()
	return context.WithValue(ctx, loadersKey{}, &loaders{
		channel: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Channel, error) {
			return c.Channel.Query().Where(channel.IDIn(ids...)).All(ctx)
		}, func(row *ent.Channel) uuid.UUID { return row.ID }),
		queue: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Queue, error) {
			return c.Queue.Query().Where(queue.IDIn(ids...)).All(ctx)
		}, func(row *ent.Queue) uuid.UUID { return row.ID }),
		operator: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Operator, error) {
			return c.Operator.Query().Where(operator.IDIn(ids...)).All(ctx)
		}, func(row *ent.Operator) uuid.UUID { return row.ID }),
		contact: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Contact, error) {
			return c.Contact.Query().Where(contact.IDIn(ids...)).All(ctx)
		}, func(row *ent.Contact) uuid.UUID { return row.ID }),
		chat: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Chat, error) {
			return c.Chat.Query().Where(chat.IDIn(ids...)).All(ctx)
		}, func(row *ent.Chat) uuid.UUID { return row.ID }),
		visible: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Chat, error) {
			return r.Desk.VisibleChats(ctx, viewer(ctx), ids)
		}, func(row *ent.Chat) uuid.UUID { return row.ID }),
		message: one(func(ctx context.Context, ids []uuid.UUID) ([]*ent.Message, error) {
			return c.Message.Query().Where(message.IDIn(ids...)).All(ctx)
		}, func(row *ent.Message) uuid.UUID { return row.ID }),
		delivered: batched(func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID][]*ent.Delivery, error) {
			rows, err := c.Delivery.Query().Where(delivery.MessageIDIn(ids...)).Order(ent.Asc(delivery.FieldPosition)).All(ctx)
			of := map[uuid.UUID][]*ent.Delivery{}
			for _, row := range rows {
				of[row.MessageID] = append(of[row.MessageID], row)
			}
			return of, err
		}),
		members: batched(func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID][]*ent.Operator, error) {
			rows, err := c.QueueMember.Query().Where(queuemember.QueueIDIn(ids...)).WithOperator().
				Order(ent.Asc(queuemember.FieldOperatorID)).All(ctx)
			of := map[uuid.UUID][]*ent.Operator{}
			for _, row := range rows {
				of[row.QueueID] = append(of[row.QueueID], row.Edges.Operator)
			}
			return of, err
		}),
		unread: batched(func(ctx context.Context, chats []*ent.Chat) (map[*ent.Chat]int, error) {
			byID, err := r.Desk.Unread(ctx, viewer(ctx), chats)
			of := map[*ent.Chat]int{}
			for _, chat := range chats {
				of[chat] = byID[chat.ID]
			}
			return of, err
		}),
		messages: batched(r.messagePages),
	})
}

// batchWait is how long a batch collects keys. gqlgen resolves the elements of
// a list side by side, so a batch is complete within microseconds.
const batchWait = 500 * time.Microsecond

// batched makes a loader of a function that answers many keys at once.
func batched[K comparable, V any](read func(context.Context, []K) (map[K]V, error)) *dataloader.Loader[K, V] {
	return dataloader.NewBatchedLoader(func(ctx context.Context, keys []K) []*dataloader.Result[V] {
		found, err := read(ctx, keys)
		results := make([]*dataloader.Result[V], len(keys))
		for i, key := range keys {
			results[i] = &dataloader.Result[V]{Data: found[key], Error: err}
		}
		return results
	}, dataloader.WithWait[K, V](batchWait), dataloader.WithBatchCapacity[K, V](1000))
}

// one is batched for rows with an id of their own.
func one[V any](read func(context.Context, []uuid.UUID) ([]V, error), id func(V) uuid.UUID) *dataloader.Loader[uuid.UUID, V] {
	return batched(func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]V, error) {
		rows, err := read(ctx, ids)
		found := make(map[uuid.UUID]V, len(rows))
		for _, row := range rows {
			found[id(row)] = row
		}
		return found, err
	})
}

// get is what an id that may be missing points at. have is what was loaded
// before.
func get[V any](ctx context.Context, l *dataloader.Loader[uuid.UUID, *V], have *V, id *uuid.UUID) (*V, error) {
	if have != nil || id == nil {
		return have, nil
	}
	return l.Load(ctx, *id)()
}
