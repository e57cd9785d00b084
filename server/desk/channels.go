package desk

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/channel"
	"parley/ent/channelcheck"
	"parley/ent/event"
	"parley/ent/identity"
	"parley/ent/schema"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/work"
)

// Page is a provider's page, as it is to be connected.
type Page struct {
	ExternalID, Name, PictureURL string
	Token                        []byte // sealed
	LoginUser                    string // whose login gave it, as the provider's app knows them
	TakenFrom                    string // the host of the installation that had it, "" if none had
}

// Connect makes a page a channel, or repairs the channel it is already: for
// ever one row per page. What waited for its token, and what came for it before
// it was known, goes on.
func (d *Desk) Connect(ctx context.Context, by audit.Actor, p Page) (result *ent.Channel, err error) {
	err = d.write(ctx, func(c *change) error {
		id, err := c.Channel.Create().SetProvider(channel.ProviderFacebookMessenger).SetExternalID(p.ExternalID).
			SetName(p.Name).SetPictureURL(p.PictureURL).SetState(channel.StateConnected).SetToken(p.Token).
			SetLoginUser(p.LoginUser).SetCreatedAt(c.now).
			OnConflictColumns("provider", "external_id").Update(func(u *ent.ChannelUpsert) {
			u.UpdateName().UpdatePictureURL().UpdateState().UpdateToken().UpdateLoginUser().SetStateReason("").ClearArchivedAt().AddVersion(1)
		}).ID(ctx)
		if err != nil {
			return err
		}
		if result, err = c.lockChannel(ctx, id); err != nil {
			return err
		}
		c.channelEvent(result)
		if err := c.auditConnect(ctx, by, result, p); err != nil {
			return err
		}
		if err := work.Ensure(ctx, c.Tx, c.now, work.Item{Kind: WorkCheck, Lane: checkLane + id.String()}); err != nil {
			return err
		}
		c.woke = true
		return c.goOn(ctx, result)
	})
	return result, err
}

func (c *change) auditConnect(ctx context.Context, by audit.Actor, ch *ent.Channel, p Page) error {
	if p.TakenFrom != "" {
		return c.audit(ctx, by, auditentry.ActionChannelTakenOver, ch, &p.TakenFrom, &p.Name)
	}
	return c.audit(ctx, by, auditentry.ActionChannelConnected, ch, nil, &p.Name)
}

// goOn lets what waited for a channel look again whether it may go on.
func (c *change) goOn(ctx context.Context, ch *ent.Channel) error {
	if ch.State == channel.StateConnected {
		c.woke = true
		if err := work.Release(ctx, c.Tx, ch.ID.String(), c.now); err != nil {
			return err
		}
	}
	return c.routeWaiting(ctx, ch)
}

// isLive says whether a channel's chats are routed, as far as the administrator
// is concerned.
func isLive(ch *ent.Channel) bool { return ch.Active && ch.ArchivedAt == nil }

// maySend says whether anything goes out: both sides have to agree.
func maySend(ch *ent.Channel) bool { return isLive(ch) && ch.State == channel.StateConnected }

// isGone says that the page is not ours to use, until it is connected again.
func isGone(s channel.State) bool {
	return s == channel.StateDisconnected || s == channel.StateSuperseded
}

func (c *change) audit(ctx context.Context, by audit.Actor, did auditentry.Action, ch *ent.Channel, before, after *string) error {
	return audit.Add(ctx, c.Tx, c.now, by, audit.Change{Action: did, Subject: ch.GlobalID().String(), Before: before, After: after})
}

// SetChannelState records what the provider let us know of a channel when it was
// used as seen. What it said of an earlier token tells nothing of a new one.
func (d *Desk) SetChannelState(ctx context.Context, seen *ent.Channel, state channel.State, reason string) error {
	return d.write(ctx, func(c *change) error {
		ch, err := c.lockChannel(ctx, seen.ID)
		if err != nil || isGone(ch.State) || ch.State == state && ch.StateReason == reason || !bytes.Equal(ch.Token, seen.Token) {
			return err
		}
		if _, err := c.putChecks(ctx, ch.ID, checksOf(state, reason)); err != nil {
			return err
		}
		ch, err = ch.Update().SetState(state).SetStateReason(reason).AddVersion(1).Save(ctx)
		if err == nil {
			c.channelEvent(ch)
		}
		return err
	})
}

// checksOf is what a state that was noticed says of the checks.
func checksOf(state channel.State, reason string) []Check {
	switch state {
	case channel.StateReauthorizationRequired:
		return []Check{{Code: channelcheck.CodeToken, Status: channelcheck.StatusFailed, Detail: reason}}
	case channel.StateRestricted:
		return []Check{{Code: channelcheck.CodeRestriction, Status: channelcheck.StatusFailed, Detail: reason}}
	}
	return nil
}

// ChannelRef names a channel, and its version if it must be that.
type ChannelRef struct {
	ID              globalid.ID
	ExpectedVersion *int64
}

// find locks the channel that is named.
func (c *change) find(ctx context.Context, of ChannelRef) (*ent.Channel, error) {
	ch, err := c.lockChannel(ctx, of.ID.UUID)
	if ent.IsNotFound(err) || of.ID.Kind != "channel" {
		return nil, errNoChannel
	}
	if err != nil {
		return nil, err
	}
	return ch, checkVersion(of.ExpectedVersion, ch.Version)
}

var errNoChannel = fault.New(fault.NotFound, "id", "there is no such channel")

// changeChannel has f change a channel, and lets what follows from it happen.
func (d *Desk) changeChannel(ctx context.Context, by audit.Actor, of ChannelRef, did auditentry.Action,
	f func(*change, *ent.Channel, *ent.ChannelUpdateOne) error) (result *ent.Channel, err error) {
	err = d.write(ctx, func(c *change) error {
		before, err := c.find(ctx, of)
		if err != nil {
			return err
		}
		was, update := *before, before.Update().AddVersion(1)
		if err := f(c, &was, update); err != nil {
			return err
		}
		if result, err = update.Save(ctx); err != nil {
			return err
		}
		c.channelEvent(result)
		if err := c.audit(ctx, by, did, result, differences(result, &was), differences(&was, result)); err != nil {
			return err
		}
		return c.goOn(ctx, result)
	})
	return result, err
}

// differences lists what of a channel is not as it was before, nil if nothing.
func differences(before, after *ent.Channel) *string {
	var list []string
	add := func(name string, differs bool, value any) {
		if differs {
			list = append(list, fmt.Sprintf("%s: %v", name, value))
		}
	}
	add("active", before.Active != after.Active, after.Active)
	add("greeting", before.Greeting != after.Greeting, strconv.Quote(after.Greeting))
	add("language", before.Language != after.Language, after.Language)
	queueOf := func(ch *ent.Channel) string {
		if ch.QueueID == nil {
			return "none"
		}
		return globalid.Of("queue", *ch.QueueID).String()
	}
	add("queue", queueOf(before) != queueOf(after), queueOf(after))
	add("state", before.State != after.State, after.State)
	if len(list) == 0 {
		return nil
	}
	return pointer(strings.Join(list, ", "))
}

// Disconnected records that somebody has ended a channel's webhooks.
func (d *Desk) Disconnected(ctx context.Context, by audit.Actor, of ChannelRef) (*ent.Channel, error) {
	return d.changeChannel(ctx, by, of, auditentry.ActionChannelDisconnected, func(_ *change, was *ent.Channel, u *ent.ChannelUpdateOne) error {
		if was.State != channel.StateSuperseded {
			u.SetState(channel.StateDisconnected).SetStateReason("The page was disconnected here; connect it again to use it.")
		}
		return nil
	})
}

// Archive puts a channel out of the way, or takes it back.
func (d *Desk) Archive(ctx context.Context, by audit.Actor, of ChannelRef, archived bool) (*ent.Channel, error) {
	did := auditentry.ActionChannelUnarchived
	if archived {
		did = auditentry.ActionChannelArchived
	}
	return d.changeChannel(ctx, by, of, did, func(c *change, _ *ent.Channel, u *ent.ChannelUpdateOne) error {
		if archived {
			u.SetArchivedAt(c.now)
		} else {
			u.ClearArchivedAt()
		}
		return nil
	})
}

// CanDelete says why a channel cannot be deleted.
func (d *Desk) CanDelete(ctx context.Context, of ChannelRef) error {
	return d.write(ctx, func(c *change) error {
		_, err := c.deletable(ctx, of)
		return err
	})
}

func (c *change) deletable(ctx context.Context, of ChannelRef) (*ent.Channel, error) {
	ch, err := c.find(ctx, of)
	if err != nil {
		return nil, err
	}
	used, err := c.Identity.Query().Where(identity.ChannelID(ch.ID)).Exist(ctx)
	if err == nil && used {
		err = fault.New(fault.Refused, "id", "the channel has chats: deactivate, disconnect or archive it")
	}
	return ch, err
}

// DeleteChannel deletes a channel that never had a chat.
func (d *Desk) DeleteChannel(ctx context.Context, by audit.Actor, of ChannelRef) error {
	return d.write(ctx, func(c *change) error {
		ch, err := c.deletable(ctx, of)
		if err != nil {
			return err
		}
		if _, err := c.ChannelCheck.Delete().Where(channelcheck.ChannelID(ch.ID)).Exec(ctx); err != nil {
			return err
		}
		if err := c.Channel.DeleteOne(ch).Exec(ctx); err != nil {
			return err
		}
		c.channelEvent(ch)
		return c.audit(ctx, by, auditentry.ActionChannelDeleted, ch, &ch.Name, nil)
	})
}

// Channel is the channel that is named, for those who may change it.
func (d *Desk) Channel(ctx context.Context, of ChannelRef) (*ent.Channel, error) {
	ch, err := d.store.Client().Channel.Get(ctx, of.ID.UUID)
	if ent.IsNotFound(err) || of.ID.Kind != "channel" {
		return nil, errNoChannel
	}
	if err != nil {
		return nil, err
	}
	return ch, checkVersion(of.ExpectedVersion, ch.Version)
}

// ChannelsOf are the channels that pages are, by the provider's ids of these.
func (d *Desk) ChannelsOf(ctx context.Context, pages []string) (map[string]*ent.Channel, error) {
	rows, err := d.store.Client().Channel.Query().Where(channel.ExternalIDIn(pages...)).All(ctx)
	byPage := make(map[string]*ent.Channel, len(rows))
	for _, row := range rows {
		byPage[row.ExternalID] = row
	}
	return byPage, err
}

// GivenBy are the channels whose token a person gave, and the one that a page is.
func (d *Desk) GivenBy(ctx context.Context, user, page string) ([]*ent.Channel, error) {
	return d.store.Client().Channel.Query().Where(givenBy(user, []string{page})).All(ctx)
}

// TokenGone takes away a channel's token, and who gave it: the page has to be
// connected again. A token that has come since stays.
func (d *Desk) TokenGone(ctx context.Context, seen *ent.Channel, reason string) error {
	return d.write(ctx, func(c *change) error {
		ch, err := c.lockChannel(ctx, seen.ID)
		if err != nil || !bytes.Equal(ch.Token, seen.Token) {
			return err
		}
		update := ch.Update().SetToken([]byte{}).SetLoginUser("").AddVersion(1)
		if !isGone(ch.State) {
			if _, err := c.putChecks(ctx, ch.ID, checksOf(channel.StateReauthorizationRequired, reason)); err != nil {
				return err
			}
			update.SetState(channel.StateReauthorizationRequired).SetStateReason(reason)
		}
		if ch, err = update.Save(ctx); err == nil {
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
