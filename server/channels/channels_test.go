package channels_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/event"
	entwork "parley/ent/work"
	"parley/server/audit"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/channels/channelstest"
	"parley/server/desk"
	"parley/server/fault"
	"parley/server/ingest"
	"parley/server/messenger"
	"parley/server/messenger/messengertest"
	"parley/server/seal"
	"parley/server/settings"
	"parley/server/store"
	"parley/server/store/storetest"
	"parley/server/work"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

const (
	appID       = "1517776481860111"
	appSecret   = "s3cr3t-0f-the-app"
	verifyToken = "a verify token"
)

// world is everything between Facebook, which is simulated, and one database.
type world struct {
	testing.TB
	store    *store.Store
	clock    *messengertest.Clock
	graph    *messengertest.Graph
	page     *messengertest.Page
	desk     *desk.Desk
	channels *channels.Channels
	client   *messenger.Client
	app      messenger.App // that the client has
	callback string        // ours
	settings *settings.Settings
	identity *auth.IdentityFailure // of the test of the identity server
	inbox    *ingest.Inbox
	logged   *safeBuffer
	failing  error // of what is called after a page is connected
}

func onBoth(t *testing.T, test func(w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(newWorld(t, s)) })
}

func newWorld(t *testing.T, s *store.Store) *world {
	w := &world{TB: t, store: s, clock: messengertest.NewClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)), logged: &safeBuffer{}}
	hook := httptest.NewUnstartedServer(nil)
	w.graph = messengertest.New(messengertest.Options{Clock: w.clock, HTTP: messengertest.Reaching(channelstest.Host, hook.Listener.Addr().String), Retry: messengertest.Retry{
		Backoff: func(int) time.Duration { return 0 }, GiveUp: 10_000 * time.Hour, // the clock stands
	}})
	t.Cleanup(w.graph.Close)
	w.graph.AddApp(messengertest.App{ID: appID, Secret: appSecret, RequireProof: true})
	w.page = w.graph.AddPage(messengertest.Page{ID: "1000", Name: "Demo page", Token: "EAAG-first-token-of-the-page"})
	api := httptest.NewServer(w.graph)
	t.Cleanup(api.Close)

	log := slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var pool *work.Pool
	d, err := desk.Open(ctx, s, desk.Options{
		Limits:    desk.Limits{SplitText: messenger.SplitText, ReplyWindow: messenger.StandardWindow, SimultaneousChats: func() int { return 5 }},
		WorkAdded: func() { pool.Signal() }, Now: w.clock.Now, Log: log,
	})
	w.must(err)
	w.desk, w.app = d, messenger.App{ID: appID, Secret: appSecret}
	w.inbox = ingest.New(s, d, ingest.Options{AppSecret: func() string { return appSecret }, VerifyToken: func() string { return verifyToken }, Now: w.clock.Now, Log: log})
	box, err := seal.New("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	w.must(err)
	w.client = &messenger.Client{BaseURL: api.URL, App: func() messenger.App { return w.app }}
	connected := func(ctx context.Context, page string) error {
		return errors.Join(w.failing, w.inbox.ReplayPage(ctx, page))
	}
	ready, err := channelstest.Options(ctx, s, w.client.App(), w.clock.Now, log)
	w.must(err)
	w.settings, ready.Connected = ready.Settings, connected
	ready.PublicURL, ready.AllowedOrigins = channelstest.PublicURL+"/desk", []string{"https://spa.test"}
	ready.TestIdentityServer = func(context.Context, auth.IdentityServer) (*auth.IdentityFailure, error) { return w.identity, nil }
	w.channels = channels.New(s, d, w.client, box, ready)
	pool = work.New(s, work.Options{Now: w.clock.Now, Log: log, Poll: 10 * time.Millisecond}, map[string]work.Handler{
		desk.WorkProfile: w.channels.ReadProfile,
	})
	hook.Config.Handler = w.inbox
	hook.Start()
	running, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){w.inbox.Run, d.Run, pool.Run} {
		parts.Go(func() { part(running) })
	}
	t.Cleanup(func() {
		hook.CloseClientConnections()
		hook.Close()
		cancel()
		parts.Wait()
	})
	w.callback = ready.PublicURL + channels.WebhookPath
	w.must(w.graph.SetCallback(ctx, appID, w.callback, verifyToken))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) connect(token string) *ent.Channel {
	w.Helper()
	ch, err := w.channels.ConnectPage(ctx, audit.Actor{}, token, false)
	w.must(err)
	return ch
}

func (w *world) await(what string, holds func() bool) {
	w.Helper()
	storetest.Until(w, what, holds, w.logged.String)
}

// safeBuffer is a log that a test reads while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAPageIsConnectedByItsToken(t *testing.T) {
	onBoth(t, func(w *world) {
		ch := w.connect(" " + w.page.Token + "\n") // as it is pasted
		if ch.Name != "Demo page" || ch.ExternalID != "1000" || ch.PictureURL == "" || ch.State != channel.StateConnected || ch.Active || ch.QueueID != nil {
			w.Errorf("%+v", ch)
		}
		fields, ok := w.page.Subscribed(appID)
		if !ok || strings.Join(fields, " ") != strings.Join(messenger.SubscribedFields(), " ") {
			w.Errorf("subscribed to %v", fields)
		}
		token, err := w.channels.Token(ch)
		w.must(err)
		if token != w.page.Token {
			w.Error("the token is another")
		}
		moved := *ch
		moved.ExternalID = "2000"
		if _, err := w.channels.Token(&moved); err == nil {
			w.Error("a token opens for another page")
		}
	})
}

func TestAPageThatCannotBeConnectedIsRefusedWithAReasonAndNotStored(t *testing.T) {
	onBoth(t, func(w *world) {
		const me, subscribed = "/me", "/subscribed_apps"
		for name, c := range map[string]struct {
			fault messengertest.Fault
			token string
			code  fault.Code
			says  string
		}{
			"nobody's token":      {messengertest.Fault{Path: "/none"}, "EAAG-nobody-knows", fault.Invalid, "authorization has ended"},
			"no token":            {messengertest.Fault{Path: "/none"}, "", fault.Invalid, ""},
			"dead at once":        {with(messengertest.TokenFault(460), "GET", me), "", fault.Invalid, "password"},
			"dead at subscribing": {with(messengertest.TokenFault(463), "POST", subscribed), "", fault.Invalid, "expired"},
			"dead at reading":     {with(messengertest.TokenFault(458), "GET", subscribed), "", fault.Invalid, "app was removed"},
			"no permission":       {messengertest.Fault{Method: "POST", Path: subscribed, Code: 200}, "", fault.Invalid, "lacks a permission"},
			"no task":             {messengertest.Fault{Method: "POST", Path: subscribed, Code: 10}, "", fault.Invalid, "lacks a permission"},
			"a field they lack":   {messengertest.Fault{Method: "POST", Path: subscribed, Code: 100}, "", fault.Invalid, "refused"},
			"busy":                {messengertest.Fault{Path: me, Code: 2, Status: 500}, "", fault.Unavailable, "temporarily"},
			"too many calls":      {with(messengertest.RateLimitFault(4, 5), "POST", subscribed), "", fault.Unavailable, "limit"},
			"a page of HTML":      {messengertest.Fault{Path: subscribed, Mode: messengertest.HTML}, "", fault.Unavailable, ""},
			"cut off":             {messengertest.Fault{Path: me, Mode: messengertest.HangUp, Times: -1}, "", fault.Unavailable, ""},
			"half an answer":      {messengertest.Fault{Path: me, Mode: messengertest.Truncate}, "", fault.Unavailable, ""},
			"restricted":          {messengertest.Fault{Path: subscribed, Code: 368}, "", fault.Unavailable, "restricted"},
		} {
			token := w.page.Token
			if c.token != "" || name == "no token" {
				token = c.token
			}
			w.graph.Fail(c.fault)
			_, err := w.channels.ConnectPage(ctx, audit.Actor{}, token, false)
			if fault.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.says) {
				w.Errorf("%s: %v", name, err)
			}
			w.graph.Reset()
		}
		if n, err := w.store.Client().Channel.Query().Count(ctx); err != nil || n != 0 {
			w.Errorf("%d channels, %v", n, err)
		}
	})
}

func with(f messengertest.Fault, method, path string) messengertest.Fault {
	f.Method, f.Path = method, path
	return f
}

func TestASubscriptionThatIsNotListedIsNotBelieved(t *testing.T) {
	onBoth(t, func(w *world) {
		other := w.graph.AddApp(messengertest.App{ID: "999", Secret: "x"})
		_, err := w.channels.ConnectPage(ctx, audit.Actor{}, w.page.NewToken(other.ID), false) // of another app, which needs no proof of ours
		if fault.CodeOf(err) != fault.Unavailable && fault.CodeOf(err) != fault.Invalid {
			w.Errorf("%v", err)
		}
		w.graph.Fail(messengertest.Fault{Method: http.MethodPost, Path: "/subscribed_apps", Mode: messengertest.Truncate})
		if _, err := w.channels.ConnectPage(ctx, audit.Actor{}, w.page.Token, false); err == nil {
			w.Error("half an answer is believed")
		}
		if n, err := w.store.Client().Channel.Query().Count(ctx); err != nil || n != 0 {
			w.Errorf("%d channels, %v", n, err)
		}
	})
}

func (w *world) subscribed() bool {
	w.Helper()
	apps, err := w.client.Subscribed(ctx, w.page.Token, w.page.ID)
	w.must(err)
	return len(apps) > 0
}

func TestDisconnectingEndsTheWebhooksOfThePageAndConnectingBringsThemBack(t *testing.T) {
	onBoth(t, func(w *world) {
		first := w.connect(w.page.Token)
		of := desk.ChannelRef{ID: first.GlobalID()}
		for range 2 { // doing it again does no harm
			ch, err := w.channels.Disconnect(ctx, audit.Actor{}, of)
			w.must(err)
			if ch.State != channel.StateDisconnected || w.subscribed() {
				w.Errorf("%s, subscribed %t", ch.State, w.subscribed())
			}
		}
		if ch := w.connect(w.page.Token); ch.ID != first.ID || ch.State != channel.StateConnected || !w.subscribed() {
			w.Errorf("%s, subscribed %t", ch.State, w.subscribed())
		}
	})
}

func TestAPageIsDisconnectedThoughItsTokenIsDeadButNotWhileFacebookIsAway(t *testing.T) {
	onBoth(t, func(w *world) {
		ch := w.connect(w.page.Token)
		of := desk.ChannelRef{ID: ch.GlobalID()}
		w.graph.Fail(messengertest.Fault{Method: http.MethodDelete, Path: "/subscribed_apps", Code: 2, Times: -1})
		if _, err := w.channels.Disconnect(ctx, audit.Actor{}, of); fault.CodeOf(err) != fault.Unavailable {
			w.Errorf("%v", err)
		}
		if s := w.channel().State; s != channel.StateConnected || !w.subscribed() {
			w.Errorf("%s", s)
		}
		w.graph.Reset()
		stale := desk.ChannelRef{ID: of.ID, ExpectedVersion: new(int64)}
		if _, err := w.channels.Disconnect(ctx, audit.Actor{}, stale); fault.CodeOf(err) != fault.Conflict || !w.subscribed() {
			w.Errorf("of another version: %v", err)
		}
		w.graph.Fail(with(messengertest.TokenFault(460), http.MethodDelete, "/subscribed_apps"))
		if ch, err := w.channels.Disconnect(ctx, audit.Actor{}, of); err != nil || ch.State != channel.StateDisconnected {
			w.Errorf("%v, %v", ch, err)
		}
	})
}

func TestAChannelWithChatsKeepsItsSubscriptionWhenItCannotBeDeleted(t *testing.T) {
	onBoth(t, func(w *world) {
		of := desk.ChannelRef{ID: w.connect(w.page.Token).GlobalID()}
		w.page.AddPerson(messengertest.Person{ID: "ann"}).Writes("hello")
		w.settled()
		if err := w.channels.Delete(ctx, audit.Actor{}, of); fault.CodeOf(err) != fault.Refused || !w.subscribed() {
			w.Errorf("%v", err)
		}
		other := w.graph.AddPage(messengertest.Page{ID: "2000", Name: "Empty", AppID: appID})
		w.must(w.channels.Delete(ctx, audit.Actor{}, desk.ChannelRef{ID: w.connect(other.Token).GlobalID()}))
		if n := w.store.Client().Channel.Query().CountX(ctx); n != 1 {
			w.Errorf("%d channels", n)
		}
	})
}

func TestConnectingAgainRepairsTheChannelInPlace(t *testing.T) {
	onBoth(t, func(w *world) {
		first := w.connect(w.page.Token)
		ann := w.page.AddPerson(messengertest.Person{ID: "ann"})
		ann.Writes("hello")
		w.settled()
		w.must(w.channels.Noticed(ctx, first, &messenger.Error{Class: messenger.ClassToken}))
		if s := w.channel().State; s != channel.StateReauthorizationRequired {
			w.Fatalf("%s", s)
		}
		w.must(w.channels.Noticed(ctx, w.channel(), &messenger.Error{Class: messenger.ClassRestricted}))
		if s := w.channel().State; s != channel.StateRestricted {
			w.Fatalf("%s", s)
		}
		token := w.page.NewToken(appID)
		again := w.connect(token)
		if again.ID != first.ID || again.State != channel.StateConnected || again.StateReason != "" || again.Version <= first.Version {
			w.Errorf("%+v", again)
		}
		if now, err := w.channels.Token(again); err != nil || now != token {
			w.Errorf("the token is not the new one: %v", err)
		}
		if n, err := w.store.Client().Message.Query().Count(ctx); err != nil || n != 1 {
			w.Errorf("%d messages, %v", n, err)
		}
	})
}

func TestConnectingAgainByTheSameTokenChangesNothingUnlessSomethingIsToBeRepaired(t *testing.T) {
	onBoth(t, func(w *world) {
		written := func() int {
			client := w.store.Client()
			return client.Event.Query().CountX(ctx) + client.AuditEntry.Query().CountX(ctx)
		}
		first := w.connect(w.page.Token)
		before := written()
		if again := w.connect(" " + w.page.Token + "\n"); again.ID != first.ID || again.Version != first.Version || written() != before {
			w.Errorf("%d versions and %d rows more", again.Version-first.Version, written()-before)
		}
		ref := desk.ChannelRef{ID: first.GlobalID()}
		for what, spoil := range map[string]func() error{
			"disconnected":                func() error { _, err := w.channels.Disconnect(ctx, audit.Actor{}, ref); return err },
			"archived":                    func() error { _, err := w.desk.Archive(ctx, audit.Actor{}, ref, true); return err },
			"of another name":             func() error { return w.channel().Update().SetName("Once upon a time").Exec(ctx) },
			"sealed with a key that went": func() error { return w.channel().Update().SetToken([]byte("?")).Exec(ctx) },
		} {
			w.must(spoil())
			ch := w.connect(w.page.Token)
			token, err := w.channels.Token(ch)
			if ch.State != channel.StateConnected || ch.ArchivedAt != nil || ch.Name != first.Name || token != w.page.Token {
				w.Errorf("a channel that was %s is not repaired: %+v %v", what, ch, err)
			}
		}
	})
}

func (w *world) channel() *ent.Channel {
	w.Helper()
	ch, err := w.store.Client().Channel.Query().Only(ctx)
	w.must(err)
	return ch
}

func (w *world) settled() {
	w.Helper()
	w.must(w.graph.Settle(ctx))
	w.await("every event is applied", func() bool {
		var n int
		w.must(w.store.DB.QueryRowContext(ctx, "SELECT count(*) FROM webhook_events WHERE state = 'PENDING'").Scan(&n))
		return n == 0
	})
}

func TestSeveralConnectionsOfAPageAtOnceMakeOneChannel(t *testing.T) {
	onBoth(t, func(w *world) {
		tokens := make([]string, 8)
		var all sync.WaitGroup
		for i := range tokens {
			tokens[i] = w.page.NewToken(appID)
			all.Go(func() {
				if _, err := w.channels.ConnectPage(ctx, audit.Actor{}, tokens[i], false); err != nil {
					w.Error(err)
				}
			})
		}
		all.Wait()
		token, err := w.channels.Token(w.channel()) // which is the only one
		w.must(err)
		if !strings.Contains(strings.Join(tokens, " "), token) {
			w.Error("the token is none of theirs")
		}
	})
}

func TestAPageIsConnectedEvenIfItsEventsCannotBeReplayedYet(t *testing.T) {
	onBoth(t, func(w *world) {
		w.failing = errors.New("the database is busy")
		if ch := w.connect(w.page.Token); ch.State != channel.StateConnected {
			w.Errorf("%s", ch.State)
		}
		if !strings.Contains(w.logged.String(), "the database is busy") {
			w.Error("nobody is told")
		}
	})
}

// contact is the contact of a person, once no work is left.
func (w *world) contact(person string) *ent.Contact {
	w.Helper()
	w.idle()
	rows, err := w.store.Query(ctx, "SELECT contact_id FROM identities WHERE external_id = $1", person)
	w.must(err)
	defer rows.Close()
	var c ent.Contact
	for rows.Next() {
		w.must(rows.Scan(&c.ID))
	}
	w.must(rows.Close())
	found, err := w.store.Client().Contact.Get(ctx, c.ID)
	w.must(err)
	return found
}

// idle lets time go by until no work is left.
func (w *world) idle() {
	w.Helper()
	w.settled()
	w.await("no work is left", func() bool {
		w.clock.Advance(time.Second)
		n, err := w.store.Client().Work.Query().Where(entwork.Kind(desk.WorkProfile)).Count(ctx)
		w.must(err)
		return n == 0
	})
}

func TestAContactGetsTheNameThatFacebookTellsElseAPlaceholder(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		for _, c := range []struct {
			id      string
			profile messengertest.ProfileAccess
			faults  []messengertest.Fault
			name    string
			told    bool
		}{
			{id: "psid-full-0001", name: "Zoë Weiß", told: true},
			{id: "psid-part-0002", profile: messengertest.ProfilePartial, name: "Guest 0002"},
			{id: "psid-none-0003", profile: messengertest.ProfileNone, name: "Guest 0003"},
			{id: "psid-deny-0004", profile: messengertest.ProfileDenied, name: "Guest 0004"},
			{id: "psid-lang-0005", name: "Zoë Weiß", told: true, faults: []messengertest.Fault{{Path: "/psid-lang-0005", Param: "locale", Code: 200}}},
			{id: "psid-busy-0006", name: "Zoë Weiß", told: true, faults: []messengertest.Fault{
				{Path: "/psid-busy-0006", Code: 2, Times: 2}, {Path: "/psid-busy-0006", Mode: messengertest.HTML}, {Path: "/psid-busy-0006", Mode: messengertest.HangUp},
			}},
			{id: "psid-down-0007", name: "Guest 0007", faults: []messengertest.Fault{{Path: "/psid-down-0007", Code: 2, Times: -1}}},
		} {
			for _, f := range c.faults {
				w.graph.Fail(f)
			}
			person := w.page.AddPerson(messengertest.Person{ID: c.id, FirstName: "Zoë", LastName: "Weiß", Locale: "de_DE", Profile: c.profile})
			person.Writes("hello")
			got := w.contact(c.id)
			if got.Name != c.name || (got.PictureURL != "") != c.told {
				w.Errorf("%s: %q, picture %q", c.id, got.Name, got.PictureURL)
			}
			if want := (c.id == "psid-full-0001"); (got.Locale == "de_DE") != want && !c.told {
				w.Errorf("%s: locale %q", c.id, got.Locale)
			}
			events, err := w.store.Client().Event.Query().Where(event.KindEQ(event.KindChatUpdated)).All(ctx)
			w.must(err)
			told := 0
			for _, e := range events {
				if e.Facts["cause"] == "profile" {
					told++
				}
			}
			if (told > 0) != c.told {
				w.Errorf("%s: %d events", c.id, told)
			}
			_, err = w.store.Client().Event.Delete().Exec(ctx)
			w.must(err)
		}
	})
}

func TestALimitOfCallsForProfilesIsWaitedFor(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		f := messengertest.RateLimitFault(4, 60)
		f.Path = "/ann"
		w.graph.Fail(f)
		w.page.AddPerson(messengertest.Person{ID: "ann"}).Writes("hello")
		w.settled()
		w.await("it waits an hour", func() bool {
			row, err := w.store.Client().Work.Query().Where(entwork.Kind(desk.WorkProfile)).Only(ctx)
			w.must(err)
			return row.RunAt.Equal(w.clock.Now().Add(time.Hour))
		})
		w.clock.Advance(time.Hour)
		if c := w.contact("ann"); c.Name != "Ann Lee" {
			w.Errorf("%q", c.Name)
		}
	})
}

func TestProfilesOfThoseWhoWroteWhileTheTokenWasDeadAreReadOnceItIsRepaired(t *testing.T) {
	onBoth(t, func(w *world) {
		w.connect(w.page.Token)
		w.graph.KillToken(w.page.Token, 460)
		w.page.AddPerson(messengertest.Person{ID: "ann"}).Writes("hello") // whose profile shows that it is dead
		w.settled()
		w.await("the channel shows it", func() bool { return w.channel().State == channel.StateReauthorizationRequired })
		w.page.AddPerson(messengertest.Person{ID: "bob", FirstName: "Bob"}).Writes("hello")
		w.settled()
		w.await("both wait", func() bool {
			rows, err := w.store.Client().Work.Query().Where(entwork.Kind(desk.WorkProfile)).All(ctx)
			w.must(err)
			for _, row := range rows {
				if !row.RunAt.After(w.clock.Now()) {
					return false
				}
			}
			return len(rows) == 2
		})
		w.connect(w.page.NewToken(appID))
		if a, b := w.contact("ann"), w.contact("bob"); a.Name != "Ann Lee" || b.Name != "Bob" {
			w.Errorf("%q %q", a.Name, b.Name)
		}
	})
}

func TestNoTokenIsShownAnywhere(t *testing.T) {
	onBoth(t, func(w *world) {
		w.failing = errors.New("so that there is something in the log")
		second := w.page.NewToken(appID)
		secrets := []string{w.page.Token, second, appSecret, "EAAG-nobody-knows"}
		var said []string
		note := func(ch *ent.Channel, err error) {
			said = append(said, fmt.Sprintf("%v %+v %#v %s", ch, ch, err, err))
		}
		for _, f := range []messengertest.Fault{
			{Path: "/me", Code: 190, Message: "Error validating access token: " + w.page.Token},
			{Path: "/me", Mode: messengertest.HangUp},
			{Path: "/subscribed_apps", Code: 2, Message: "token " + w.page.Token + " secret " + appSecret},
			{Path: "/subscribed_apps", Mode: messengertest.HTML},
		} {
			w.graph.Fail(f)
			note(w.channels.ConnectPage(ctx, audit.Actor{}, w.page.Token, false))
		}
		note(w.channels.ConnectPage(ctx, audit.Actor{}, "EAAG-nobody-knows", false))
		note(w.channels.ConnectPage(ctx, audit.Actor{}, w.page.Token+"\nEAAG-nobody-knows", false))
		note(w.channels.ConnectPage(ctx, audit.Actor{}, w.page.Token, false))
		w.graph.Fail(messengertest.Fault{Path: "/ann", Code: 2, Message: "token " + w.page.Token, Times: 2})
		w.page.AddPerson(messengertest.Person{ID: "ann"}).Writes("hello")
		w.contact("ann")
		w.graph.KillToken(w.page.Token, 460)
		w.page.AddPerson(messengertest.Person{ID: "bob"}).Writes("hello")
		w.settled()
		w.await("the channel shows it", func() bool { return w.channel().State == channel.StateReauthorizationRequired })
		note(w.channels.ConnectPage(ctx, audit.Actor{}, second, false))
		w.idle()

		for name, text := range map[string]string{
			"an error or a channel": strings.Join(said, "\n"), "the log": w.logged.String(), "the database": w.dump(),
		} {
			if text == "" {
				w.Errorf("%s: nothing was looked at", name)
			}
			for _, secret := range secrets {
				for form, look := range map[string]string{"": secret, " in hexadecimal": hex.EncodeToString([]byte(secret))} {
					if at := strings.Index(text, look); at >= 0 {
						w.Errorf("%s has a secret%s: …%.200s", name, form, text[max(0, at-80):])
					}
				}
			}
		}
		for _, request := range w.graph.Requests() {
			if request.Params["access_token"] != "" {
				w.Errorf("%s %s has the token in its parameters", request.Method, request.Path)
			}
			for name, value := range request.Params {
				for _, secret := range secrets {
					// Facebook documents the token to be looked at as a parameter, and nothing else.
					documented := name == "input_token" && request.Path == "/debug_token"
					if strings.Contains(value, secret) && !documented {
						w.Errorf("%s %s has a secret in %s", request.Method, request.Path, name)
					}
				}
			}
		}
	})
}

// dump is every value of every table as text, bytes in hexadecimal.
func (w *world) dump() string {
	w.Helper()
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if w.store.Postgres() {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
	}
	var b strings.Builder
	for _, table := range w.column(list) {
		rows, err := w.store.DB.QueryContext(ctx, `SELECT * FROM "`+table+`"`)
		w.must(err)
		columns, err := rows.Columns()
		w.must(err)
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			w.must(rows.Scan(into...))
			for _, value := range values {
				if raw, ok := value.([]byte); ok {
					fmt.Fprintf(&b, "%x %s ", raw, raw)
					continue
				}
				fmt.Fprintf(&b, "%v ", value)
			}
			b.WriteString("\n")
		}
		w.must(rows.Close())
	}
	return b.String()
}

func (w *world) column(query string) (all []string) {
	w.Helper()
	rows, err := w.store.DB.QueryContext(ctx, query)
	w.must(err)
	defer rows.Close()
	for rows.Next() {
		var s string
		w.must(rows.Scan(&s))
		all = append(all, s)
	}
	w.must(rows.Err())
	return all
}
