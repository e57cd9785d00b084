package channels

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/channelcheck"
	"parley/server/desk"
	"parley/server/messenger"
)

const (
	endsSoon      = 7 * 24 * time.Hour
	restrictedFor = time.Hour      // before it is tried whether a restriction is over
	heldFor       = 24 * time.Hour // a thread has no owner after that without a message
	developing    = 24 * time.Hour // how long one refusal tells that the app is in development

	day    = "2 January 2006" // of dates in details
	minute = "2 January 15:04 MST"
)

// checkUp is one look at a channel. What was found decides the channel's state:
// superseded goes before a login that is needed, and that before a restriction.
type checkUp struct {
	*Channels
	channel *ent.Channel
	before  []*ent.ChannelCheck
	token   string

	found       []desk.Check
	page        messenger.Page
	superseded  string // by whom
	reauthorize string // why
	restricted  string // how
	unsure      bool   // Facebook did not say all that the state depends on
}

func (x *checkUp) run(ctx context.Context) desk.Health {
	x.checkApp(ctx)
	x.checkCallback(ctx)
	x.checkToken(ctx)
	if x.reauthorize == "" && x.token != "" {
		x.checkPage(ctx)
		x.checkRestriction()
		x.checkSubscription(ctx)
		x.checkThreads(ctx)
	}
	x.checkInbound()
	h := desk.Health{Seen: x.channel, SeenChecks: x.before, Name: x.page.Name, PictureURL: x.page.PictureURL, Checks: x.found}
	h.State, h.Reason = x.state()
	return h
}

func (x *checkUp) state() (channel.State, string) {
	switch {
	case x.superseded != "":
		return channel.StateSuperseded, "Another installation, at " + x.superseded + ", gets the webhooks of the Facebook app; connect the page again to take them over."
	case x.reauthorize != "":
		return channel.StateReauthorizationRequired, x.reauthorize
	case x.unsure:
		return x.channel.State, x.channel.StateReason
	case x.restricted != "":
		return channel.StateRestricted, x.restricted
	}
	return channel.StateConnected, ""
}

func (x *checkUp) add(code channelcheck.Code, status channelcheck.Status, detail, action string) {
	x.found = append(x.found, desk.Check{Code: code, Status: status, Detail: detail, Action: action})
}

// was is how a check came out before, nil if it never did.
func (x *checkUp) was(code channelcheck.Code) *ent.ChannelCheck {
	for _, k := range x.before {
		if k.Code == code {
			return k
		}
	}
	return nil
}

// refused records a check that ended in an error of Facebook's, and what that
// says of the channel.
func (x *checkUp) refused(code channelcheck.Code, err error) {
	switch messenger.ClassOf(err) {
	case messenger.ClassToken:
		x.reauthorize = reasonOf(err)
		x.add(code, channelcheck.StatusFailed, reasonOf(err), connectAgain)
	case messenger.ClassPermission: // what can be sent all the same goes on
		x.add(code, channelcheck.StatusFailed, reasonOf(err), connectAgain)
	case messenger.ClassRestricted:
		x.restricted = reasonOf(err)
		x.add(code, channelcheck.StatusUnknown, didNotSay+reasonOf(err), "")
	default:
		x.unsure = true
		x.add(code, channelcheck.StatusUnknown, didNotSay+reasonOf(err), "")
	}
}

const (
	connectAgain = "Connect the page again."
	didNotSay    = "Facebook did not say: "
)

// checkApp sees whether Facebook takes the app's credentials. That an app is not
// live it tells only who writes to somebody without a role on it.
func (x *checkUp) checkApp(ctx context.Context) {
	was := x.was(channelcheck.CodeApp)
	switch _, err := x.client.ReadApp(ctx); {
	case messenger.ClassOf(err) == messenger.ClassInvalid:
		x.add(channelcheck.CodeApp, channelcheck.StatusFailed, reasonOf(err), "Correct the settings of the Facebook app.")
	case err != nil:
		x.add(channelcheck.CodeApp, channelcheck.StatusUnknown, didNotSay+reasonOf(err), "")
	case was != nil && was.Status == channelcheck.StatusWarning && x.now().Sub(was.CheckedAt) < developing: // as Noticed found
	default:
		x.add(channelcheck.CodeApp, channelcheck.StatusPassed, "Facebook knows the app.", "")
	}
}

// checkCallback sees whether the app's webhook still comes here. While it does,
// it has all the fields that we need.
func (x *checkUp) checkCallback(ctx context.Context) {
	now, err := x.appWebhook(ctx)
	x.unsure = err != nil
	if err == nil && now.CallbackURL != "" && x.elsewhere(now) == "" {
		err = x.setWebhook(ctx, now)
	}
	switch host := x.elsewhere(now); {
	case err != nil:
		x.add(channelcheck.CodeCallback, channelcheck.StatusUnknown, didNotSay+reasonOf(err), "")
	case host != "":
		x.superseded = host
		x.add(channelcheck.CodeCallback, channelcheck.StatusFailed, "The webhooks of the Facebook app go to "+host+".",
			"Connect the page again with takeOver to have them here, or disconnect the channel.")
	case now.CallbackURL == "":
		x.add(channelcheck.CodeCallback, channelcheck.StatusFailed, "The Facebook app has no active webhook for pages: no message comes.",
			"Connect the page again, which sets it, or set it in the app's dashboard.")
	default:
		x.add(channelcheck.CodeCallback, channelcheck.StatusPassed, "Facebook has verified the webhook of this server.", "")
	}
}

// checkToken sees whether the token is still good for the page.
func (x *checkUp) checkToken(ctx context.Context) {
	token, why := x.openToken()
	if why != "" {
		x.reauthorize = why
		x.add(channelcheck.CodeToken, channelcheck.StatusFailed, why, connectAgain)
		return
	}
	x.token = token
	info, err := x.client.DebugToken(ctx, token)
	now := x.now()
	switch why := x.uselessness(info); {
	case err != nil:
		x.unsure = true
		x.add(channelcheck.CodeToken, channelcheck.StatusUnknown, didNotSay+reasonOf(err), "")
	case why != "":
		x.reauthorize = why
		x.add(channelcheck.CodeToken, channelcheck.StatusFailed, why, connectAgain)
	case !info.Covers("pages_manage_metadata", x.channel.ExternalID):
		x.add(channelcheck.CodeToken, channelcheck.StatusWarning, "The login does not allow pages_manage_metadata for the page: "+
			"a subscription that Facebook ends cannot be made again.", connectAgain)
	case ends(info.Expires, now.Add(endsSoon)):
		x.add(channelcheck.CodeToken, channelcheck.StatusWarning, "The authorization ends on "+info.Expires.Format(day)+".", connectAgain)
	case ends(info.DataAccessExpires, now):
		x.add(channelcheck.CodeToken, channelcheck.StatusWarning, "The app may not read the data of the person who connected the page since "+
			info.DataAccessExpires.Format(day)+"; messages go on.", connectAgain)
	case ends(info.DataAccessExpires, now.Add(endsSoon)):
		x.add(channelcheck.CodeToken, channelcheck.StatusWarning, "The app may read the data of the person who connected the page until "+
			info.DataAccessExpires.Format(day)+" only; messages go on.", connectAgain)
	default:
		x.add(channelcheck.CodeToken, channelcheck.StatusPassed, "The authorization is valid.", "")
	}
}

// openToken gives the channel's token, or says why there is none.
func (x *checkUp) openToken() (token, why string) {
	if len(x.channel.Token) == 0 { // whoever took it away said why
		return "", cmp.Or(x.channel.StateReason, messenger.ClassToken.Reason())
	}
	token, err := x.Token(x.channel)
	if err != nil {
		x.log.Error("a channel's token cannot be opened", "error", err)
		return "", "The stored authorization cannot be read: is a secret key missing?"
	}
	return token, ""
}

// ends says whether a time that may be never comes before another.
func ends(at, before time.Time) bool { return !at.IsZero() && at.Before(before) }

// uselessness is why a token cannot be used for the channel, or "".
func (x *checkUp) uselessness(info messenger.TokenInfo) string {
	switch {
	case info.Problem != nil:
		return info.Problem.Reason()
	case !info.Valid:
		return messenger.ClassToken.Reason()
	case info.AppID != x.client.AppID():
		return "The page was connected with another Facebook app than the one that is set; connect it again."
	case !info.Covers("pages_messaging", x.channel.ExternalID):
		return messenger.ProblemPageNotChosen.Reason()
	}
	return ""
}

// checkPage follows the page's name and picture, and uses the token.
func (x *checkUp) checkPage(ctx context.Context) {
	page, err := x.client.Page(ctx, x.token, x.channel.ExternalID)
	if err != nil {
		x.refused(channelcheck.CodePage, err)
		return
	}
	x.page = page
	x.add(channelcheck.CodePage, channelcheck.StatusPassed, "Facebook shows the page to the app.", "")
}

// checkRestriction keeps what Facebook said when it refused a send or blocked the
// page, for it cannot be asked. After a while sending is tried again.
func (x *checkUp) checkRestriction() {
	was := x.was(channelcheck.CodeRestriction)
	if was == nil || was.Status != channelcheck.StatusFailed || x.now().Sub(was.Since) >= restrictedFor {
		x.add(channelcheck.CodeRestriction, channelcheck.StatusPassed, "No restriction of the page or the app is known.", "")
		return
	}
	x.restricted = was.Detail
	x.add(channelcheck.CodeRestriction, was.Status, was.Detail, "See the page's support inbox at Facebook. Sending is tried again after an hour.")
}

// checkSubscription sees whether the page sends the app everything that we need,
// and has it do so if it does not: Facebook ends this after an hour in which a
// webhook was not answered.
func (x *checkUp) checkSubscription(ctx context.Context) {
	lacks, err := x.unsubscribed(ctx)
	switch {
	case err != nil:
		x.refused(channelcheck.CodeSubscription, err)
		return
	case len(lacks) == 0:
		x.add(channelcheck.CodeSubscription, channelcheck.StatusPassed, "The page is subscribed to everything that is needed.", "")
		return
	case x.superseded != "":
		x.add(channelcheck.CodeSubscription, channelcheck.StatusFailed, "The page is not subscribed to "+strings.Join(lacks, ", ")+".", "")
		return
	}
	if err = x.client.Subscribe(ctx, x.token, x.channel.ExternalID, messenger.SubscribedFields()); err == nil {
		lacks, err = x.unsubscribed(ctx)
	}
	if now, missing := x.store.Client().Channel.Get(ctx, x.channel.ID); ent.IsNotFound(missing) || missing == nil && now.State == channel.StateDisconnected {
		err = x.client.Unsubscribe(ctx, x.token, x.channel.ExternalID) // somebody has disconnected it meanwhile
	}
	switch {
	case err != nil:
		x.refused(channelcheck.CodeSubscription, err)
	case len(lacks) > 0:
		x.add(channelcheck.CodeSubscription, channelcheck.StatusFailed, "Facebook took the subscription but does not list "+strings.Join(lacks, ", ")+".", connectAgain)
	default:
		x.add(channelcheck.CodeSubscription, channelcheck.StatusWarning, "The page was not subscribed any more; it was subscribed again on "+x.now().UTC().Format(minute)+".",
			"Look in the page's own inbox for messages from before that.")
	}
}

// unsubscribed are the fields that the page should send the app and does not.
func (x *checkUp) unsubscribed(ctx context.Context) ([]string, error) {
	apps, err := x.client.Subscribed(ctx, x.token, x.channel.ExternalID)
	if err != nil {
		return nil, err
	}
	ours := x.client.AppID()
	for _, app := range apps {
		if app.AppID == ours {
			return missing(messenger.SubscribedFields(), app.Fields), nil
		}
	}
	return messenger.SubscribedFields(), nil
}

// checkThreads looks at the conversation in which something was said last: who
// has that has the others, as a rule.
func (x *checkUp) checkThreads(ctx context.Context) {
	person, err := x.desk.LastTalk(ctx, x.channel.ID, x.now().Add(-heldFor))
	if err != nil || person == "" {
		x.add(channelcheck.CodeThreads, channelcheck.StatusUnknown, "Nobody has written in the last 24 hours.", "")
		return
	}
	owner, err := x.client.ThreadOwner(ctx, x.token, x.channel.ExternalID, person)
	switch {
	case err != nil: // says nothing of the channel: the person may have gone
		x.add(channelcheck.CodeThreads, channelcheck.StatusUnknown, didNotSay+reasonOf(err), "")
	case !owner.Held:
		x.add(channelcheck.CodeThreads, channelcheck.StatusPassed, "No app holds the last conversation.", "")
	case owner.AppID == x.client.AppID():
		x.add(channelcheck.CodeThreads, channelcheck.StatusPassed, "This installation's app holds the last conversation.", "")
	default:
		x.add(channelcheck.CodeThreads, channelcheck.StatusWarning, holder(owner.AppID)+" holds the last conversation: only there it can be answered.",
			"Choose in the page's settings, under conversation routing, which app answers.")
	}
}

func holder(app string) string {
	switch app {
	case "":
		return "Another app"
	case messenger.PageInboxApp:
		return "Facebook's own inbox"
	}
	return fmt.Sprintf("The app %s", app)
}

// checkInbound says when a customer wrote last.
func (x *checkUp) checkInbound() {
	if at := x.channel.LastInboundAt; at != nil {
		x.add(channelcheck.CodeInbound, channelcheck.StatusPassed, "Customers' messages have come.", "")
		return
	}
	x.add(channelcheck.CodeInbound, channelcheck.StatusUnknown, "No customer's message has come yet.", "Write to the page from an account of your own.")
}
