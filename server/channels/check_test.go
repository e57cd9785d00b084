package channels_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/channel"
	"parley/ent/channelcheck"
	"parley/ent/event"
	entwork "parley/ent/work"
	"parley/server/channels"
	"parley/server/desk"
	"parley/server/fault"
	"parley/server/messenger"
	"parley/server/messenger/messengertest"
	"parley/server/settings"
	"parley/server/work"
)

// check looks at the world's only channel, and gives it as it is then.
func (w *world) check() *ent.Channel {
	w.Helper()
	ch, err := w.channels.Check(ctx, w.channel().ID)
	w.must(err)
	return ch
}

// found is how a check of a channel came out last.
func (w *world) found(ch *ent.Channel, code channelcheck.Code) *ent.ChannelCheck {
	w.Helper()
	all, err := w.store.Client().ChannelCheck.Query().Where(channelcheck.ChannelID(ch.ID), channelcheck.CodeEQ(code)).All(ctx)
	w.must(err)
	if len(all) != 1 {
		w.Fatalf("%d checks %s", len(all), code)
	}
	return all[0]
}

// is says what a channel's state is to be, and how one of its checks came out.
func (w *world) is(ch *ent.Channel, state channel.State, code channelcheck.Code, status channelcheck.Status, says string) {
	w.Helper()
	k := w.found(ch, code)
	if ch.State != state || k.Status != status || !strings.Contains(k.Detail, says) {
		w.Errorf("%s (%s), and %s is %s (%s), not %s, %s (%s)", ch.State, ch.StateReason, code, k.Status, k.Detail, state, status, says)
	}
	if (ch.State == channel.StateConnected) != (ch.StateReason == "") {
		w.Errorf("%s: %q", ch.State, ch.StateReason)
	}
}

func (w *world) channelEvents() int {
	w.Helper()
	n, err := w.store.Client().Event.Query().Where(event.KindEQ(event.KindChannelUpdated)).Count(ctx)
	w.must(err)
	return n
}

func TestASoundChannelPassesItsChecksAndAnotherLookChangesNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		ann := w.page.AddPerson(messengertest.Person{ID: "ann"})
		ann.Writes("Hello")
		w.await("the message has come", func() bool { return w.store.Client().Chat.Query().CountX(ctx) == 1 })
		w.must(w.desk.KeepHeard(ctx))
		first := w.check()
		for _, k := range w.store.Client().ChannelCheck.Query().AllX(ctx) {
			if k.Status != channelcheck.StatusPassed || k.Action != "" {
				w.Errorf("%s: %s, %s, %s", k.Code, k.Status, k.Detail, k.Action)
			}
		}
		if n := w.store.Client().ChannelCheck.Query().CountX(ctx); n != 8 || first.LastInboundAt == nil {
			w.Errorf("%d checks, last message at %v", n, first.LastInboundAt)
		}
		events := w.channelEvents()
		w.clock.Advance(time.Minute)
		second := w.check()
		if second.Version != first.Version || w.channelEvents() != events {
			w.Errorf("version %d, then %d", first.Version, second.Version)
		}
		k := w.found(second, channelcheck.CodeToken)
		if k.CheckedAt.Sub(k.Since) != time.Minute {
			w.Errorf("since %s, checked at %s", k.Since, k.CheckedAt)
		}
	})
}

// tokenErrors are those of Facebook's error guide, with a word of what is said.
var tokenErrors = map[int]string{
	0: "authorization has ended", 456: "authorization has ended", 457: "authorization has ended", 458: "removed", 459: "log in to facebook.com",
	460: "password", 461: "authorization has ended", 462: "authorization has ended", 463: "expired", 464: "not confirmed",
	465: "authorization has ended", 466: "authorization has ended", 467: "logged out", 468: "not used", 492: "role",
}

func TestEveryTokenErrorIsFoundByTheCheckAndOverOnceThePageIsConnectedAgain(t *testing.T) {
	onBoth(t, func(w *world) {
		token := w.page.Token
		w.connect(token)
		for subcode, says := range tokenErrors {
			w.graph.KillToken(token, subcode)
			before := w.channelEvents()
			w.is(w.check(), channel.StateReauthorizationRequired, channelcheck.CodeToken, channelcheck.StatusFailed, says)
			if w.channelEvents() == before {
				w.Errorf("%d: no event", subcode)
			}
			token = w.page.NewToken(appID)
			w.connect(token)
			w.is(w.check(), channel.StateConnected, channelcheck.CodeToken, channelcheck.StatusPassed, "valid")
		}
	})
}

func TestATokenThatFacebookCallsValidIsNotUsedIfThePageRefusesIt(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.graph.Fail(messengertest.Fault{Method: "GET", Path: "/" + w.page.ID, Code: 102})
		w.is(w.check(), channel.StateReauthorizationRequired, channelcheck.CodePage, channelcheck.StatusFailed, "authorization has ended")
		w.is(w.check(), channel.StateConnected, channelcheck.CodePage, channelcheck.StatusPassed, "")
	})
}

func TestWhileFacebookDoesNotAnswerAChannelStaysAsItIs(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		for _, spoilt := range []messengertest.Fault{
			{Code: 2, Status: 500, Times: -1}, {Mode: messengertest.HTML, Times: -1}, {Mode: messengertest.HangUp, Times: -1}, with(messengertest.RateLimitFault(4, 5), "", ""),
		} {
			spoilt.Times = -1
			w.graph.Fail(spoilt)
			w.is(w.check(), channel.StateConnected, channelcheck.CodeToken, channelcheck.StatusUnknown, "did not say")
			w.graph.Reset()
		}
		w.graph.KillToken(w.page.Token, 463)
		w.is(w.check(), channel.StateReauthorizationRequired, channelcheck.CodeToken, channelcheck.StatusFailed, "expired")
		w.graph.Fail(messengertest.Fault{Mode: messengertest.HTML, Times: -1})
		w.is(w.check(), channel.StateReauthorizationRequired, channelcheck.CodeToken, channelcheck.StatusUnknown, "did not say")
	})
}

func TestAPageThatALaterLoginLeavesOutSaysSoAndItsSiblingGoesOn(t *testing.T) {
	onBoth(t, func(w *world) {
		w.checking()
		other := w.graph.AddPage(messengertest.Page{ID: "2000", Name: "Other"})
		mia := w.person("Mia", w.page, other)
		s := w.start(ada)
		w.continues(mia, s, messengertest.Choice{All: true})
		results, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), []string{w.page.ID, other.ID}, false)
		w.must(err)
		w.continues(mia, w.start(ben), messengertest.Choice{Pages: []*messengertest.Page{other}})
		left, kept := results[0].Channel, results[1].Channel
		w.await("the page that was left out says so", func() bool {
			return w.store.Client().ChannelCheck.Query().Where(channelcheck.ChannelID(left.ID), channelcheck.StatusEQ(channelcheck.StatusFailed),
				channelcheck.CodeEQ(channelcheck.CodeToken)).ExistX(ctx)
		})
		left = w.store.Client().Channel.GetX(ctx, left.ID)
		w.is(left, channel.StateReauthorizationRequired, channelcheck.CodeToken, channelcheck.StatusFailed, "left this page")
		if now := w.store.Client().Channel.GetX(ctx, kept.ID); now.State != channel.StateConnected {
			w.Errorf("the other is %s", now.State)
		}
	})
}

func TestAPermissionThatIsRevokedIsNoticedAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		w.checking()
		mia := w.person("Mia", w.page)
		s := w.start(ada)
		w.continues(mia, s, messengertest.Choice{All: true})
		w.graph.RemoveCallback(appID) // so that what the app wants to be told is set anew
		_, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), []string{w.page.ID}, false)
		w.must(err)
		mia.Revokes(appID, "pages_messaging")
		w.await("the page must be connected again", func() bool { return w.channel().State == channel.StateReauthorizationRequired })
	})
}

func TestAPermissionThatSendingDoesNotTakeIsMissedWithoutStoppingIt(t *testing.T) {
	onBoth(t, func(w *world) {
		mia := w.person("Mia", w.page)
		s := w.start(ada)
		w.continues(mia, s, messengertest.Choice{All: true})
		_, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), []string{w.page.ID}, false)
		w.must(err)
		mia.Revokes(appID, "pages_manage_metadata")
		w.is(w.check(), channel.StateConnected, channelcheck.CodeToken, channelcheck.StatusWarning, "pages_manage_metadata")
		w.graph.Fail(messengertest.Fault{Method: "GET", Path: "/" + w.page.ID, Code: 10})
		w.is(w.check(), channel.StateConnected, channelcheck.CodePage, channelcheck.StatusFailed, "lacks a permission")
	})
}

func TestAPageThatIsNotSubscribedAnyMoreIsSubscribedAgainAndTheCheckSaysSo(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.page.Unsubscribe(appID)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeSubscription, channelcheck.StatusWarning, "subscribed again")
		if fields, _ := w.page.Subscribed(appID); len(fields) != len(messenger.SubscribedFields()) {
			w.Errorf("subscribed to %v", fields)
		}
		w.is(w.check(), channel.StateConnected, channelcheck.CodeSubscription, channelcheck.StatusPassed, "")

		w.page.Subscribe(appID, "messages")
		w.graph.Fail(messengertest.Fault{Method: "POST", Path: "/subscribed_apps", Code: 200})
		w.is(w.check(), channel.StateConnected, channelcheck.CodeSubscription, channelcheck.StatusFailed, "lacks a permission")
		w.is(w.check(), channel.StateConnected, channelcheck.CodeSubscription, channelcheck.StatusWarning, "subscribed again")
	})
}

func TestAPageThatIsDisconnectedDuringACheckStaysUnsubscribed(t *testing.T) {
	onBoth(t, func(w *world) {
		ch := w.connect(w.page.Token)
		for range 20 {
			done := make(chan error, 1)
			go func() {
				_, err := w.channels.Check(ctx, ch.ID)
				done <- err
			}()
			_, err := w.channels.Disconnect(ctx, ada, desk.ChannelRef{ID: ch.GlobalID()})
			w.must(err)
			w.must(<-done)
			if _, subscribed := w.page.Subscribed(appID); subscribed || w.channel().State != channel.StateDisconnected {
				w.Fatalf("%s, subscribed: %t", w.channel().State, subscribed)
			}
			w.connect(w.page.Token)
		}
	})
}

// appCallback is where the app's webhooks for pages go.
func (w *world) appCallback() string {
	w.Helper()
	all, err := w.client.AppSubscriptions(ctx)
	w.must(err)
	for _, s := range all {
		if s.Object == "page" {
			return s.CallbackURL
		}
	}
	return ""
}

// elsewhere is another installation that shares the app.
func (w *world) elsewhere() (host, callback string) {
	w.Helper()
	other := httptest.NewServer(w.inbox) // it knows the verify token
	w.Cleanup(other.Close)
	return strings.TrimPrefix(other.URL, "http://"), other.URL + channels.WebhookPath
}

func TestAnAppWhoseWebhookGoesElsewhereSupersedesTheChannelUntilItComesBack(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		host, callback := w.elsewhere()
		w.must(w.graph.SetCallback(ctx, appID, callback, verifyToken))
		w.page.Unsubscribe(appID) // which is theirs to put right
		w.is(w.check(), channel.StateSuperseded, channelcheck.CodeCallback, channelcheck.StatusFailed, host)
		if _, subscribed := w.page.Subscribed(appID); subscribed {
			w.Error("the page was subscribed for the other installation")
		}
		entries := w.store.Client().AuditEntry.Query().Where(auditentry.ActionEQ(auditentry.ActionChannelSuperseded)).AllX(ctx)
		if len(entries) != 1 || !strings.Contains(*entries[0].After, host) || entries[0].OperatorID != nil {
			w.Errorf("%v", entries)
		}
		w.must(w.graph.SetCallback(ctx, appID, w.callback, verifyToken))
		w.is(w.check(), channel.StateConnected, channelcheck.CodeCallback, channelcheck.StatusPassed, "")
	})
}

func TestConnectingAPageOfAnotherInstallationTakesTheWillToTakeItOver(t *testing.T) {
	onBoth(t, func(w *world) {
		host, callback := w.elsewhere()
		w.must(w.graph.SetCallback(ctx, appID, callback, verifyToken))
		_, err := w.channels.ConnectPage(ctx, ada, w.page.Token, false)
		if fault.CodeOf(err) != fault.TakeOverNeeded || !strings.Contains(err.Error(), host) {
			w.Fatalf("%v", err)
		}
		if w.store.Client().Channel.Query().CountX(ctx) != 0 || w.appCallback() != callback {
			w.Fatal("something was done all the same")
		}
		ch, err := w.channels.ConnectPage(ctx, ada, w.page.Token, true)
		w.must(err)
		if ch.State != channel.StateConnected || w.appCallback() != w.callback {
			w.Errorf("%s, webhooks go to %s", ch.State, w.appCallback())
		}
		entry := w.store.Client().AuditEntry.Query().Where(auditentry.ActionEQ(auditentry.ActionChannelTakenOver)).OnlyX(ctx)
		if *entry.Before != host || *entry.OperatorID != ada.Operator {
			w.Errorf("%v", entry)
		}
	})
}

func TestAnAppWithoutAWebhookGetsOneWhenAPageIsConnectedAndAMissingOneIsTold(t *testing.T) {
	onBoth(t, func(w *world) {
		w.graph.RemoveCallback(appID)
		w.connect(w.page.Token)
		if w.appCallback() != w.callback {
			w.Fatalf("webhooks go to %q", w.appCallback())
		}
		w.graph.RemoveCallback(appID)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeCallback, channelcheck.StatusFailed, "no active webhook")

		w.must(w.graph.SetCallback(ctx, appID, w.callback, verifyToken, "messages", "feed")) // somebody has taken fields away
		w.is(w.check(), channel.StateConnected, channelcheck.CodeCallback, channelcheck.StatusPassed, "")
		all, err := w.client.AppSubscriptions(ctx)
		w.must(err)
		for _, s := range all {
			if s.Object == "page" && len(s.Fields) != len(messenger.SubscribedFields())+1 {
				w.Errorf("%v", s.Fields)
			}
		}

		w.graph.RemoveCallback(appID)
		w.set(settings.FacebookWebhookVerifyToken, "not that word")
		_, err = w.channels.ConnectPage(ctx, ada, w.page.Token, false)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "could not verify") {
			w.Errorf("%v", err)
		}
	})
}

func TestARestrictedPageSaysSoUntilFacebookTakesItBackOrAnHourHasPassed(t *testing.T) {
	onBoth(t, func(w *world) {
		w.checking()
		w.connect(w.page.Token)
		becomes := func(state channel.State) {
			w.Helper()
			w.await(fmt.Sprint("the page is ", state), func() bool { return w.channel().State == state })
		}
		w.page.Restrict(true)
		becomes(channel.StateRestricted)
		w.is(w.channel(), channel.StateRestricted, channelcheck.CodeRestriction, channelcheck.StatusFailed, "does not follow the platform's policies")
		w.page.Restrict(false)
		becomes(channel.StateConnected)

		w.must(w.channels.Noticed(ctx, w.channel(), &messenger.Error{Class: messenger.ClassRestricted}))
		w.clock.Advance(59 * time.Minute)
		w.is(w.check(), channel.StateRestricted, channelcheck.CodeRestriction, channelcheck.StatusFailed, "restricted")
		w.clock.Advance(time.Minute)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeRestriction, channelcheck.StatusPassed, "")
	})
}

func TestAnAppInDevelopmentIsToldByASendAndForgottenAfterADay(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.graph.Configure(appID, func(a *messengertest.App) { a.Development = true })
		ann := w.page.AddPerson(messengertest.Person{ID: "ann"})
		ann.Writes("Hello")
		_, err := w.client.SendText(ctx, w.page.Token, messenger.SendText{PageID: w.page.ID, PSID: "ann", Text: "Hi", MessagingType: messenger.TypeResponse})
		w.must(w.channels.Noticed(ctx, w.channel(), err))
		w.is(w.check(), channel.StateConnected, channelcheck.CodeApp, channelcheck.StatusWarning, "development mode")
		w.clock.Advance(24 * time.Hour)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeApp, channelcheck.StatusPassed, "")
	})
}

func TestAWrongAppSecretIsToldAndLeavesTheStateAlone(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.app.Secret = "of another app"
		w.is(w.check(), channel.StateConnected, channelcheck.CodeApp, channelcheck.StatusFailed, "check both in the settings")
	})
}

func TestAnAuthorizationThatWillEndWarnsBefore(t *testing.T) {
	onBoth(t, func(w *world) {
		mia := w.person("Mia", w.page)
		s := w.start(ada)
		w.continues(mia, s, messengertest.Choice{All: true})
		_, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), []string{w.page.ID}, false)
		w.must(err)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeToken, channelcheck.StatusPassed, "")
		w.clock.Advance(84 * 24 * time.Hour) // of the 90 for which data may be read
		w.is(w.check(), channel.StateConnected, channelcheck.CodeToken, channelcheck.StatusWarning, "may read the data of the person who connected the page until")
		w.clock.Advance(7 * 24 * time.Hour)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeToken, channelcheck.StatusWarning, "may not read the data")
	})
}

func TestAChannelFollowsItsPagesName(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.page.Rename("Harbour Tea")
		if ch := w.check(); ch.Name != "Harbour Tea" || ch.PictureURL == "" {
			w.Errorf("%q, %q", ch.Name, ch.PictureURL)
		}
	})
}

func TestTheFirstMessageOfAChannelHasItCheckedAndOthersDoNot(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeInbound, channelcheck.StatusUnknown, "No customer's message")
		w.checking()
		ann, chats := w.page.AddPerson(messengertest.Person{ID: "ann"}), w.store.Client().Chat.Query()
		planned := func() time.Time {
			return w.store.Client().Work.Query().Where(entwork.Kind(desk.WorkCheck)).OnlyX(ctx).RunAt
		}
		w.await("the check of the connection is over", func() bool { return planned().After(w.clock.Now()) })
		ann.Writes("Hello")
		w.await("the message has come", func() bool { return chats.CountX(ctx) == 1 })
		w.must(w.desk.KeepHeard(ctx))
		w.await("the check has passed", func() bool {
			return w.found(w.channel(), channelcheck.CodeInbound).Status == channelcheck.StatusPassed && planned().After(w.clock.Now())
		})
		before, at := planned(), *w.channel().LastInboundAt
		w.clock.Advance(time.Second)
		ann.Writes("Are you there?")
		w.await("the next has come", func() bool { return w.store.Client().Message.Query().CountX(ctx) == 2 })
		w.must(w.desk.KeepHeard(ctx))
		if !planned().Equal(before) || !w.channel().LastInboundAt.After(at) {
			w.Errorf("the next check is at %s, not %s; heard at %s, before at %s", planned(), before, w.channel().LastInboundAt, at)
		}
	})
}

func TestWhoHoldsTheLastConversationIsTold(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeThreads, channelcheck.StatusUnknown, "Nobody has written")
		ann := w.page.AddPerson(messengertest.Person{ID: "ann"})
		ann.Writes("Hello")
		w.await("the message has come", func() bool { return w.store.Client().Chat.Query().CountX(ctx) == 1 })
		w.is(w.check(), channel.StateConnected, channelcheck.CodeThreads, channelcheck.StatusPassed, "No app")
		ann.HeldBy(appID)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeThreads, channelcheck.StatusPassed, "This installation's app")
		ann.HeldBy("263902037430900")
		w.is(w.check(), channel.StateConnected, channelcheck.CodeThreads, channelcheck.StatusWarning, "Another app")
		w.clock.Advance(25 * time.Hour)
		w.is(w.check(), channel.StateConnected, channelcheck.CodeThreads, channelcheck.StatusUnknown, "Nobody has written")
	})
}

func TestAChannelIsCheckedEveryHourAndOneThatHangsDelaysNoOther(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		other := w.graph.AddPage(messengertest.Page{ID: "2000", Name: "Other"})
		healthy := w.connect(other.Token)
		w.graph.Fail(messengertest.Fault{Path: "/" + w.page.ID, Mode: messengertest.Silence, Times: -1})
		w.checking()
		checked := func() time.Time {
			k, err := w.store.Client().ChannelCheck.Query().Where(channelcheck.ChannelID(healthy.ID), channelcheck.CodeEQ(channelcheck.CodePage)).Only(ctx)
			if ent.IsNotFound(err) {
				return time.Time{}
			}
			w.must(err)
			return k.CheckedAt
		}
		w.await("the healthy one is checked", func() bool { return !checked().IsZero() })
		for range 3 {
			before := checked()
			w.await("its next check is planned", func() bool {
				next := w.store.Client().Work.Query().Where(entwork.Lane("check:" + healthy.ID.String())).OnlyX(ctx)
				wait := next.RunAt.Sub(before)
				return next.Lease == "" && wait >= 48*time.Minute && wait <= 72*time.Minute
			})
			w.clock.Advance(72 * time.Minute)
			w.await("it is checked again", func() bool { return checked().After(before) })
		}
	})
}

// checking runs the checks that are due, as the app does.
func (w *world) checking() {
	pool := work.New(w.store, work.Options{Now: w.clock.Now, Poll: 10 * time.Millisecond, Workers: 2, Grace: time.Millisecond}, map[string]work.Handler{
		desk.WorkCheck: w.channels.RunCheck,
	})
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { pool.Run(running); close(ended) }()
	w.Cleanup(func() { stop(); <-ended })
}
