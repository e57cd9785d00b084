package desk

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/delivery"
	"parley/ent/event"
	"parley/ent/message"
	"parley/server/store"
	"parley/server/work"
)

// Outgoing is everything that is needed to send one delivery.
type Outgoing struct {
	Delivery *ent.Delivery
	Channel  *ent.Channel
	Person   string // the customer's id at the provider
	Holding  bool   // the channel may not send now: the lane waits
	Closed   bool   // the reply window has closed since the message was accepted
}

// Outgoing loads a delivery that is about to be sent.
func (d *Desk) Outgoing(ctx context.Context, id uuid.UUID) (Outgoing, error) {
	client := d.store.Client()
	del, err := client.Delivery.Query().Where(delivery.ID(id)).
		WithMessage(func(q *ent.MessageQuery) {
			q.WithChat(func(q *ent.ChatQuery) { q.WithIdentity().WithChannel() })
		}).Only(ctx)
	if err != nil {
		return Outgoing{}, err
	}
	of := del.Edges.Message.Edges.Chat
	to := of.Edges.Identity
	return Outgoing{
		Delivery: del, Channel: of.Edges.Channel, Person: to.ExternalID,
		Holding: !maySend(of.Edges.Channel),
		Closed:  d.windowClosed(of),
	}, nil
}

// windowClosed says whether the customer has been silent for too long.
func (d *Desk) windowClosed(c *ent.Chat) bool {
	return c.LastInboundAt == nil || c.LastInboundAt.Add(d.limits.ReplyWindow).Before(d.now())
}

// Result is how the sending of a delivery went.
type Result struct {
	State      delivery.State
	ExternalID string // when sent
	ErrorCode  string // when failed
	Reason     string
	Retryable  bool
}

// Settle records how the sending of a delivery went, and runs also in the same
// transaction. A delivery that was settled already, by the provider's echo,
// stays as it is.
func (d *Desk) Settle(ctx context.Context, id uuid.UUID, r Result, also func(context.Context, *store.Tx) error) error {
	return d.write(ctx, func(c *change) error {
		del, err := c.Delivery.Get(ctx, id)
		if err != nil {
			return err
		}
		if _, err := c.lockChatOf(ctx, del); err != nil {
			return err
		}
		if del, err = c.Delivery.Get(ctx, id); err != nil { // as it is under the lock
			return err
		}
		if err := c.settle(ctx, del, r, c.now); err != nil {
			return err
		}
		return also(ctx, c.Tx)
	})
}

// lockChatOf locks the chat that a delivery belongs to.
func (c *change) lockChatOf(ctx context.Context, del *ent.Delivery) (*ent.Chat, error) {
	m, err := c.Message.Get(ctx, del.MessageID)
	if err != nil {
		return nil, err
	}
	query := c.Chat.Query().Where(chat.ID(m.ChatID))
	if c.Postgres() {
		query.ForUpdate()
	}
	return query.Only(ctx)
}

// settle moves a delivery on, and its message with it. at is the provider's
// time if it said one (in an echo), else ours.
func (c *change) settle(ctx context.Context, del *ent.Delivery, r Result, at time.Time) error {
	if del.State == delivery.StateSent {
		return nil
	}
	update := del.Update().SetState(r.State).SetErrorCode(r.ErrorCode).SetErrorReason(r.Reason).SetRetryable(r.Retryable)
	if r.State == delivery.StateSent {
		update.SetExternalID(r.ExternalID).SetProviderAt(at)
	}
	if err := update.Exec(ctx); err != nil {
		return err
	}
	m, err := c.Message.Query().Where(message.ID(del.MessageID)).WithChat().Only(ctx)
	if err != nil {
		return err
	}
	of := m.Edges.Chat
	state, last, err := c.progress(ctx, m.ID)
	if err != nil {
		return err
	}
	if m, err = m.Update().SetState(state).SetNillableProviderAt(last).AddVersion(1).Save(ctx); err != nil {
		return err
	}
	c.chatEvent(event.KindMessageUpdated, of, m, nil, nil)
	return nil
}

// progress is how far a message is, that is its least advanced part, and when
// its last part left.
func (c *change) progress(ctx context.Context, id uuid.UUID) (message.State, *time.Time, error) {
	parts, err := c.Delivery.Query().Where(delivery.MessageID(id)).All(ctx)
	order := []delivery.State{delivery.StateFailed, delivery.StateUnconfirmed, delivery.StatePending, delivery.StateSent}
	least, last := delivery.StateSent, (*time.Time)(nil)
	for _, part := range parts {
		if slices.Index(order, part.State) < slices.Index(order, least) {
			least = part.State
		}
		if part.ProviderAt != nil && (last == nil || part.ProviderAt.After(*last)) {
			last = part.ProviderAt
		}
	}
	return message.State(least), last, err
}

// settleEcho takes the provider's echo of one of our own deliveries, which may
// come before the answer to the call that sent it, or instead of it. It says
// whether the echo was of one of ours.
func (c *change) settleEcho(ctx context.Context, channelID uuid.UUID, in Inbound) (bool, error) {
	id, err := uuid.Parse(in.Message.Reference)
	query := c.Delivery.Query().Where(delivery.ChannelID(channelID))
	if err == nil {
		query.Where(delivery.Or(delivery.ID(id), delivery.ExternalID(in.Message.ExternalID)))
	} else {
		query.Where(delivery.ExternalID(in.Message.ExternalID))
	}
	del, err := query.First(ctx)
	if ent.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	of, err := c.lockChatOf(ctx, del)
	if err != nil {
		return false, err
	}
	if del, err = c.Delivery.Get(ctx, del.ID); err != nil {
		return false, err
	}
	if del.State == delivery.StateSent { // only the provider's own time of it is news
		if err := c.Delivery.Update().Where(delivery.ID(del.ID)).SetProviderAt(in.At).Exec(ctx); err != nil {
			return false, err
		}
		_, last, err := c.progress(ctx, del.MessageID)
		if err != nil {
			return false, err
		}
		return true, c.Message.Update().Where(message.ID(del.MessageID)).SetNillableProviderAt(last).Exec(ctx)
	}
	// The lane may be holding for this very echo.
	if err := work.Wake(ctx, c.Tx, Lane(of.IdentityID), c.now); err != nil {
		return false, err
	}
	c.woke = true
	return true, c.settle(ctx, del, Result{State: delivery.StateSent, ExternalID: in.Message.ExternalID}, in.At)
}
