// Package channels owns what stands between a channel and its provider outside
// of conversations: connecting a page, its token, and the profiles of those who
// write to it. Safe for concurrent use. Invariant: a page token is stored only
// sealed, for its own page, and is shown to nobody but the provider.
package channels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/channelcheck"
	"parley/server/audit"
	"parley/server/auth"
	"parley/server/desk"
	"parley/server/fault"
	"parley/server/messenger"
	"parley/server/seal"
	"parley/server/settings"
	"parley/server/store"
)

// Channels connects pages.
type Channels struct {
	store   *store.Store
	desk    *desk.Desk
	client  *messenger.Client
	box     *seal.Box
	options Options
	now     func() time.Time
	log     *slog.Logger
}

// Options are what Channels need to know.
type Options struct {
	PublicURL          string   // where browsers and Facebook reach the installation
	AllowedOrigins     []string // where its front ends are besides
	Settings           *settings.Settings
	TestIdentityServer func(context.Context, auth.IdentityServer) (*auth.IdentityFailure, error)
	Connected          func(ctx context.Context, page string) error // called after a page was connected
	Now                func() time.Time
	Log                *slog.Logger
}

// New makes a Channels.
func New(s *store.Store, d *desk.Desk, client *messenger.Client, box *seal.Box, o Options) *Channels {
	return &Channels{store: s, desk: d, client: client, box: box, options: o, now: o.Now, log: o.Log}
}

// ConnectPage makes the page of a token a channel, or repairs the channel it is:
// asks who the page is, subscribes it, and reads the subscription back. Where
// nothing is to be repaired, the channel stays as it is, so that a script may
// connect its page again and again.
//
// The app's webhook is made to come here before. If it goes to another
// installation, that takes takeOver: all of the app's pages are ours then.
func (c *Channels) ConnectPage(ctx context.Context, by audit.Actor, token string, takeOver bool) (*ent.Channel, error) {
	if err := c.checkSetup(ctx); err != nil {
		return nil, err
	}
	token = strings.TrimSpace(token)
	page, err := c.client.Me(ctx, token)
	if err != nil {
		return nil, refused(err)
	}
	info, err := c.checkToken(ctx, token, page.ID)
	if err != nil {
		return nil, err
	}
	from, err := c.claimWebhook(ctx, takeOver)
	if err != nil {
		return nil, err
	}
	if err := c.client.Subscribe(ctx, token, page.ID, messenger.SubscribedFields()); err != nil {
		return nil, refused(err)
	}
	if err := c.checkSubscribed(ctx, token, page.ID); err != nil {
		return nil, err
	}
	if ch, err := c.sound(ctx, page, info, token); from == "" && ch != nil || err != nil {
		return ch, err
	}
	ch, err := c.desk.Connect(ctx, by, desk.Page{
		ExternalID: page.ID, Name: page.Name, PictureURL: page.PictureURL,
		Token: c.box.Seal([]byte(token), tokenPlace(page.ID)), LoginUser: info.UserID, TakenFrom: from,
	})
	if err != nil {
		return nil, err
	}
	if err := c.options.Connected(ctx, page.ID); err != nil { // it is connected all the same, and housekeeping does this again
		c.log.Error("cannot replay the events of a page that was connected", "channel", ch.ID, "error", err)
	}
	return ch, nil
}

// sound is the channel of a page if it is connected by this very token already,
// nil otherwise. The address of the page's picture is another one whenever
// Facebook is asked, and does not count.
func (c *Channels) sound(ctx context.Context, page messenger.Page, info messenger.TokenInfo, token string) (*ent.Channel, error) {
	known, err := c.desk.ChannelsOf(ctx, []string{page.ID})
	ch := known[page.ID]
	if err != nil || ch == nil || ch.State != channel.StateConnected || ch.ArchivedAt != nil || ch.Name != page.Name || ch.LoginUser != info.UserID {
		return nil, err
	}
	if stored, err := c.Token(ch); err != nil || stored != token { // one that cannot be opened is to be replaced
		return nil, nil
	}
	return ch, nil
}

// Disconnect ends our app's webhooks of a channel's page, unless they are another
// installation's by now. A page whose token is dead sends none to us by it, or
// goes on doing so: what comes is stored all the same.
func (c *Channels) Disconnect(ctx context.Context, by audit.Actor, of desk.ChannelRef) (*ent.Channel, error) {
	ch, err := c.desk.Channel(ctx, of)
	if err != nil {
		return nil, err
	}
	if err := c.unsubscribe(ctx, ch); err != nil {
		return nil, err
	}
	after, err := c.desk.Disconnected(ctx, by, of)
	if err == nil {
		c.unsubscribeAgain(ctx, ch)
	}
	return after, err
}

// Delete disconnects a channel that never had a chat, and deletes it.
func (c *Channels) Delete(ctx context.Context, by audit.Actor, of desk.ChannelRef) error {
	if err := c.desk.CanDelete(ctx, of); err != nil {
		return err
	}
	ch, err := c.desk.Channel(ctx, of)
	if err != nil {
		return err
	}
	if err := c.unsubscribe(ctx, ch); err != nil {
		return err
	}
	if err := c.desk.DeleteChannel(ctx, by, of); err != nil {
		return err
	}
	c.unsubscribeAgain(ctx, ch)
	return nil
}

func (c *Channels) unsubscribe(ctx context.Context, ch *ent.Channel) error {
	if ch.State == channel.StateSuperseded || ch.State == channel.StateDisconnected || len(ch.Token) == 0 {
		return nil
	}
	token, err := c.Token(ch)
	if err != nil {
		return err
	}
	switch err := c.client.Unsubscribe(ctx, token, ch.ExternalID); messenger.ClassOf(err) {
	case messenger.ClassTransient, messenger.ClassRateLimited, messenger.ClassUnconfirmed:
		return refused(err)
	case "":
	default:
		c.log.Warn("a page is disconnected that Facebook does not let us unsubscribe", "channel", ch.ID, "error", err)
	}
	return nil
}

// unsubscribeAgain undoes what a check may have put right between the first time
// and the moment from which checks leave the page alone.
func (c *Channels) unsubscribeAgain(ctx context.Context, was *ent.Channel) {
	if err := c.unsubscribe(context.WithoutCancel(ctx), was); err != nil {
		c.log.Warn("a page may have been subscribed again while it was disconnected", "channel", was.ID, "error", err)
	}
}

// checkToken sees to it that a token is our app's and covers the page.
func (c *Channels) checkToken(ctx context.Context, token, page string) (messenger.TokenInfo, error) {
	info, err := c.client.DebugToken(ctx, token)
	switch {
	case err != nil:
		return info, refused(err)
	case info.Problem != nil:
		return info, refused(info.Problem)
	case !info.Valid || info.AppID != c.client.AppID():
		return info, fault.New(fault.Invalid, "pageAccessToken", "the token is of another Facebook app than this installation's")
	case info.Type != "PAGE":
		return info, fault.New(fault.Invalid, "pageAccessToken", "this is the token of a person or an app, not of a page")
	case !info.Covers("pages_messaging", page):
		return info, fault.New(fault.Invalid, "pageAccessToken", "the token does not have the permission pages_messaging for the page")
	}
	return info, nil
}

func (c *Channels) checkSubscribed(ctx context.Context, token, page string) error {
	apps, err := c.client.Subscribed(ctx, token, page)
	if err != nil {
		return refused(err)
	}
	ours := c.client.AppID()
	for _, app := range apps {
		if ours == "" || app.AppID == ours {
			return nil
		}
	}
	return fault.New(fault.Unavailable, "pageAccessToken", "Facebook accepted the subscription of the page but does not list it: is the token of another app?")
}

// Token is the page access token of a channel.
func (c *Channels) Token(ch *ent.Channel) (string, error) {
	token, err := c.box.Open(ch.Token, tokenPlace(ch.ExternalID))
	if err != nil {
		return "", fmt.Errorf("open the token of channel %s: %w", ch.ID, err)
	}
	return string(token), nil
}

// Reseal seals with the first secret key the tokens that are sealed with another.
func Reseal(ctx context.Context, d *desk.Desk, box *seal.Box) error {
	return d.ResealTokens(ctx, func(ch *ent.Channel) ([]byte, error) {
		if len(ch.Token) == 0 || !box.Stale(ch.Token) {
			return nil, nil
		}
		token, err := box.Open(ch.Token, tokenPlace(ch.ExternalID))
		if err != nil {
			return nil, fmt.Errorf("open the token of channel %s: %w", ch.ID, err)
		}
		return box.Seal(token, tokenPlace(ch.ExternalID)), nil
	})
}

func tokenPlace(page string) string { return "channel-token:" + page }

// refused is a provider's error for whoever connects a page.
func refused(err error) error {
	var e *messenger.Error
	if !errors.As(err, &e) {
		return err
	}
	code := fault.Unavailable
	if e.Class == messenger.ClassToken || e.Class == messenger.ClassInvalid || e.Class == messenger.ClassPermission {
		code = fault.Invalid
	}
	return fault.New(code, "pageAccessToken", "Facebook refused: %s", e.Reason())
}

// Noticed records what an error of the provider says of the channel itself.
func (c *Channels) Noticed(ctx context.Context, ch *ent.Channel, err error) error {
	switch messenger.ClassOf(err) {
	case messenger.ClassToken:
		return c.desk.SetChannelState(ctx, ch, channel.StateReauthorizationRequired, reasonOf(err))
	case messenger.ClassRestricted:
		return c.desk.SetChannelState(ctx, ch, channel.StateRestricted, reasonOf(err))
	}
	if messenger.ProblemOf(err) == messenger.ProblemDevelopment {
		return c.desk.Note(ctx, ch.ID, desk.Check{Code: channelcheck.CodeApp, Status: channelcheck.StatusWarning, Detail: reasonOf(err)})
	}
	return nil
}
