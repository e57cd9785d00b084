package channels

import (
	"context"
	"net/url"
	"slices"

	"parley/server/fault"
	"parley/server/messenger"
	"parley/server/settings"
)

// WebhookPath is where Facebook posts its events, below the public URL. An app
// has one such address for all of its pages: of installations that share an app,
// the one that set it last gets everything.
const WebhookPath = "/webhooks/facebook"

// ourWebhook is the app's webhook for an object as it has to be.
func (c *Channels) ourWebhook(object string, fields []string) messenger.AppSubscription {
	return messenger.AppSubscription{Object: object, CallbackURL: c.options.PublicURL + WebhookPath, Active: true, Fields: fields}
}

// appWebhook is the app's webhook for pages as Facebook has it; the zero one if
// there is none.
func (c *Channels) appWebhook(ctx context.Context) (messenger.AppSubscription, error) {
	all, err := c.client.AppSubscriptions(ctx)
	if at := slices.IndexFunc(all, func(s messenger.AppSubscription) bool { return s.Object == "page" && s.Active }); at >= 0 {
		return all[at], err
	}
	return messenger.AppSubscription{}, err
}

// elsewhere is whose a webhook is that is not ours: a host, or "".
func (c *Channels) elsewhere(s messenger.AppSubscription) string {
	if s.CallbackURL == "" || s.CallbackURL == c.options.PublicURL+WebhookPath {
		return ""
	}
	u, err := url.Parse(s.CallbackURL)
	if err != nil || u.Host == "" {
		return "another address"
	}
	return u.Host
}

// claimWebhook has the app's webhook come here, if it does not yet, and gives the
// host of the installation that it was taken from, if any.
func (c *Channels) claimWebhook(ctx context.Context, takeOver bool) (from string, err error) {
	now, err := c.appWebhook(ctx)
	if err != nil {
		return "", refused(err)
	}
	from = c.elsewhere(now)
	if from != "" && !takeOver {
		return from, fault.New(fault.TakeOverNeeded, "takeOver", "another installation, at %s, gets the webhooks of this Facebook app: "+
			"taking over ends them there, for all of its pages", from)
	}
	return from, c.setWebhook(ctx, now)
}

// setWebhook has what comes for pages come here, with all that we need of it, and
// what people allow the app, where Facebook lets an app have that.
func (c *Channels) setWebhook(ctx context.Context, now messenger.AppSubscription) error {
	fields := messenger.SubscribedFields()
	if c.elsewhere(now) == "" && len(missing(fields, now.Fields)) == 0 {
		return nil
	}
	verifyToken := c.options.Settings.Current().Text(settings.FacebookWebhookVerifyToken)
	all := append(fields, missing(now.Fields, fields)...) // what somebody has added stays
	if err := c.client.SubscribeApp(ctx, c.ourWebhook("page", all), verifyToken); err != nil {
		return refused(err)
	}
	if err := c.client.SubscribeApp(ctx, c.ourWebhook(messenger.ObjectPermissions, neededScopes), verifyToken); err != nil {
		c.log.Warn("Facebook will not tell what people allow the app: the next check finds it out", "error", err)
	}
	return nil
}

// missing are those wanted that are not there.
func missing(wanted, there []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return slices.Contains(there, w) })
}
