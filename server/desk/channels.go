package desk

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/contact"
	"parley/ent/event"
	"parley/ent/identity"
	"parley/ent/queue"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/work"
)

// Page is a provider's page, as it is to be connected.
type Page struct {
	ExternalID, Name, PictureURL string
	Token                        []byte // sealed
}

// Connect makes a page a channel, or repairs the channel it is already: for
// ever one row per page. What waited for its token, and what came for it before
// it was known, goes on.
func (d *Desk) Connect(ctx context.Context, p Page) (result *ent.Channel, err error) {
	err = d.write(ctx, func(c *change) error {
		err := c.Channel.Create().SetProvider(channel.ProviderFacebookMessenger).SetExternalID(p.ExternalID).
			SetName(p.Name).SetPictureURL(p.PictureURL).SetState(channel.StateConnected).SetToken(p.Token).SetCreatedAt(c.now).
			OnConflictColumns("provider", "external_id").Update(func(u *ent.ChannelUpsert) {
			u.UpdateName().UpdatePictureURL().UpdateState().UpdateToken().SetStateReason("").AddVersion(1)
		}).Exec(ctx)
		if err != nil {
			return err
		}
		if result, err = c.Channel.Query().Where(channel.ExternalID(p.ExternalID)).Only(ctx); err != nil {
			return err
		}
		c.channelEvent(result)
		return work.Release(ctx, c.Tx, result.ID.String(), c.now)
	})
	if err == nil {
		d.workAdded()
	}
	return result, err
}

// SetChannelState records what the provider let us know of a channel when it was
// used as seen. What it said of an earlier token tells nothing of a new one.
func (d *Desk) SetChannelState(ctx context.Context, seen *ent.Channel, state channel.State, reason string) error {
	return d.write(ctx, func(c *change) error {
		ch, err := c.lockChannel(ctx, seen.ID)
		if err != nil || ch.State == state && ch.StateReason == reason || !bytes.Equal(ch.Token, seen.Token) {
			return err
		}
		ch, err = ch.Update().SetState(state).SetStateReason(reason).AddVersion(1).Save(ctx)
		if err == nil {
			c.channelEvent(ch)
		}
		return err
	})
}

// ResealTokens has the tokens of all channels sealed again by a function that
// gives nil for one that may stay.
func (d *Desk) ResealTokens(ctx context.Context, reseal func(*ent.Channel) ([]byte, error)) error {
	return d.write(ctx, func(c *change) error {
		query := c.Channel.Query().Order(ent.Asc(channel.FieldID))
		if c.Postgres() {
			query.ForUpdate()
		}
		all, err := query.All(ctx)
		if err != nil {
			return err
		}
		for _, ch := range all {
			token, err := reseal(ch)
			if err == nil && token != nil {
				err = ch.Update().SetToken(token).Exec(ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ChannelChange is what to change of a channel; nil stays.
type ChannelChange struct {
	ID              globalid.ID
	Active          *bool
	QueueID         *globalid.ID
	Language        *string
	ExpectedVersion *int64
}

// UpdateChannel changes a channel. Once it is live, the chats that wait without
// a queue are routed to its queue.
func (d *Desk) UpdateChannel(ctx context.Context, u ChannelChange) (result *ent.Channel, err error) {
	if u.Language != nil && *u.Language != "" {
		tag, err := language.Parse(*u.Language)
		if err != nil {
			return nil, fault.New(fault.Invalid, "language", "this is not a language tag such as de or pt-BR")
		}
		u.Language = pointer(tag.String())
	}
	err = d.write(ctx, func(c *change) error {
		ch, err := c.lockChannel(ctx, u.ID.UUID)
		if ent.IsNotFound(err) || u.ID.Kind != "channel" {
			return fault.New(fault.NotFound, "id", "there is no such channel")
		}
		if err != nil {
			return err
		}
		if err := checkVersion(u.ExpectedVersion, ch.Version); err != nil {
			return err
		}
		update := ch.Update().SetNillableActive(u.Active).SetNillableLanguage(u.Language).AddVersion(1)
		if u.QueueID != nil {
			if there, err := c.Queue.Query().Where(queue.ID(u.QueueID.UUID)).Exist(ctx); err != nil {
				return err
			} else if !there || u.QueueID.Kind != "queue" {
				return fault.New(fault.Invalid, "queueId", "there is no such queue")
			}
			update.SetQueueID(u.QueueID.UUID)
		}
		if result, err = update.Save(ctx); err != nil {
			return err
		}
		c.channelEvent(result)
		return c.routeWaiting(ctx, result)
	})
	return result, err
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

// lockChannel waits for those who share the channel, and keeps them waiting.
func (c *change) lockChannel(ctx context.Context, id uuid.UUID) (*ent.Channel, error) {
	query := c.Channel.Query().Where(channel.ID(id))
	if c.Postgres() {
		_, err := c.Exec(ctx, "SELECT pg_advisory_xact_lock($1, hashtext(external_id)) FROM channels WHERE id = $2", channelLock, id)
		if err != nil {
			return nil, err
		}
		query.ForUpdate()
	}
	found, err := query.Only(ctx)
	c.now = c.d.now() // what follows happens after what was waited for
	return found, err
}

func (c *change) channelEvent(ch *ent.Channel) {
	a := schema.Audience{}
	if ch.QueueID != nil {
		a.Queues = []uuid.UUID{*ch.QueueID}
	}
	c.events = append(c.events, &ent.Event{At: c.now, Kind: event.KindChannelUpdated, ChannelID: &ch.ID, Audience: a})
}

// Profile is what the provider tells of a customer; what is empty is unknown.
type Profile struct{ Name, PictureURL, Locale string }

// Unprofiled is an identity whose profile is to be read, and where.
func (d *Desk) Unprofiled(ctx context.Context, id uuid.UUID) (*ent.Identity, error) {
	return d.store.Client().Identity.Query().Where(identity.ID(id)).WithChannel().Only(ctx)
}

// SetProfile gives a contact their name and picture.
func (d *Desk) SetProfile(ctx context.Context, of *ent.Identity, p Profile) error {
	return d.write(ctx, func(c *change) error {
		query := c.Chat.Query().Where(chat.IdentityID(of.ID), isOpen)
		if c.Postgres() {
			query.ForUpdate()
		}
		open, err := query.All(ctx)
		if err != nil {
			return err
		}
		update := c.Contact.Update().Where(contact.ID(of.ContactID)).AddVersion(1)
		for text, set := range map[*string]func(string) *ent.ContactUpdate{&p.Name: update.SetName, &p.PictureURL: update.SetPictureURL, &p.Locale: update.SetLocale} {
			if *text != "" {
				set(*text)
			}
		}
		if err := update.Exec(ctx); err != nil {
			return err
		}
		for _, o := range open {
			if o, err = o.Update().AddVersion(1).Save(ctx); err != nil {
				return err
			}
			c.chatEvent(event.KindChatUpdated, o, nil, nil, map[string]string{"cause": "profile"})
		}
		return nil
	})
}
