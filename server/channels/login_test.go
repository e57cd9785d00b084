package channels_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/facebooklogin"
	"parley/server/audit"
	"parley/server/channels"
	"parley/server/fault"
	"parley/server/messenger/messengertest"
)

var ada, ben = audit.Actor{Operator: uuid.New()}, audit.Actor{Operator: uuid.New()}

const redirect = "http://parley.test/desk" + channels.CallbackPath

// person logs in to the simulated Facebook and has full control of pages.
func (w *world) person(name string, pages ...*messengertest.Page) *messengertest.User {
	w.Helper()
	w.graph.Configure(appID, func(a *messengertest.App) { a.RedirectURIs = []string{redirect} })
	u := w.graph.AddUser(messengertest.User{Name: name})
	for _, p := range pages {
		u.Manages(p, messengertest.Role{})
	}
	return u
}

func (w *world) start(by audit.Actor) channels.Start {
	w.Helper()
	s, err := w.channels.StartLogin(ctx, by, "", false)
	w.must(err)
	return s
}

// arrives has a browser come to where Facebook sent it.
func (w *world) arrives(address string) *httptest.ResponseRecorder {
	w.Helper()
	address, _, _ = strings.Cut(address, "#") // a browser keeps that for itself
	answer := httptest.NewRecorder()
	w.channels.Callback(answer, httptest.NewRequest(http.MethodGet, address, nil))
	return answer
}

// continues is the whole way of somebody who allows everything.
func (w *world) continues(u *messengertest.User, s channels.Start, c messengertest.Choice) *httptest.ResponseRecorder {
	w.Helper()
	back, err := u.Continues(s.URL, c)
	w.must(err)
	return w.arrives(back)
}

func (w *world) login(by audit.Actor, s channels.Start) *ent.FacebookLogin {
	w.Helper()
	login, err := w.channels.Login(ctx, by, s.Login.GlobalID())
	w.must(err)
	return login
}

func (w *world) pages(login *ent.FacebookLogin) []*channels.LoginPage {
	w.Helper()
	pages, err := w.channels.Pages(ctx, login)
	w.must(err)
	return pages
}

func TestALoginOffersAllPagesAndSaysWhichCannotBeChosenAndWhy(t *testing.T) {
	onBoth(t, func(w *world) {
		user := w.person("Mia", w.page)
		full := w.page
		for i := range 5 { // the simulator gives two at a time
			user.Manages(w.graph.AddPage(messengertest.Page{ID: fmt.Sprint(2000 + i), Name: fmt.Sprint("Page ", i)}), messengertest.Role{})
		}
		silent := w.graph.AddPage(messengertest.Page{ID: "3000", Name: "Adverts only"})
		user.Manages(silent, messengertest.Role{Tasks: []string{"ADVERTISE", "ANALYZE"}})
		mute := w.graph.AddPage(messengertest.Page{ID: "3001", Name: "Messages only"})
		user.Manages(mute, messengertest.Role{Tasks: []string{"MESSAGING"}})
		hidden := w.graph.AddPage(messengertest.Page{ID: "3002", Name: "No token"})
		user.Manages(hidden, messengertest.Role{NoToken: true})
		firm := w.graph.AddPage(messengertest.Page{ID: "3003", Name: "Of a firm"})
		user.Manages(firm, messengertest.Role{Portfolio: "The firm", Unlisted: true})
		w.connect(full.Token)

		s := w.start(ada)
		if answer := w.continues(user, s, messengertest.Choice{All: true}); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "logged in") {
			w.Fatalf("%d %s", answer.Code, answer.Body)
		}
		login := w.login(ada, s)
		if login.Status != facebooklogin.StatusCompleted || login.UserName != "Mia" {
			w.Fatalf("%v", login)
		}
		got := map[string]channels.Obstacle{}
		for _, p := range w.pages(login) {
			if _, twice := got[p.ID]; twice {
				w.Errorf("%s comes twice", p.ID)
			}
			got[p.ID] = p.Obstacle
			if (p.Obstacle == "") != (p.Obstacle.Reason() == "") {
				w.Errorf("%s: %q", p.Obstacle, p.Obstacle.Reason())
			}
		}
		want := map[string]channels.Obstacle{
			full.ID: channels.AlreadyConnected, "2000": "", "2001": "", "2002": "", "2003": "", "2004": "", "3003": "",
			"3000": channels.NoMessagingTask, "3001": channels.NoSubscribingTask, "3002": channels.NoPageToken,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.Errorf("%v, not %v", got, want)
		}
	})
}

func TestEachChosenPageBecomesAChannelOfItsNameAndFailsByItself(t *testing.T) {
	onBoth(t, func(w *world) {
		second := w.graph.AddPage(messengertest.Page{ID: "2000", Name: "Second"})
		adverts := w.graph.AddPage(messengertest.Page{ID: "3000", Name: "Adverts only"})
		user := w.person("Mia", w.page, second)
		user.Manages(adverts, messengertest.Role{Tasks: []string{"ADVERTISE"}})
		s := w.start(ada)
		if _, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), nil, false); fault.CodeOf(err) != fault.Refused {
			w.Errorf("before it is completed: %v", err)
		}
		w.continues(user, s, messengertest.Choice{All: true})
		w.graph.Fail(messengertest.Fault{Method: http.MethodPost, Path: w.page.ID + "/subscribed_apps", Code: 200})
		chosen := []string{w.page.ID, second.ID, adverts.ID, "nobody's"}
		var said []string
		results, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), chosen, false)
		w.must(err)
		for _, r := range results {
			said = append(said, fmt.Sprint(r.PageID, " ", fault.CodeOf(r.Err)))
		}
		if want := []string{w.page.ID + " INVALID", "2000 ", "3000 REFUSED", "nobody's NOT_FOUND"}; !slices.Equal(said, want) {
			w.Errorf("%v", said)
		}
		if ch := results[1].Channel; ch.Name != "Second" || ch.Active || ch.QueueID != nil || ch.State != channel.StateConnected {
			w.Errorf("%v", ch)
		}
		// Again: what failed works, what worked is repaired.
		results, err = w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), chosen[:2], false)
		w.must(err)
		if results[0].Err != nil || results[1].Err != nil || w.store.Client().Channel.Query().CountX(ctx) != 2 {
			w.Errorf("%v", results)
		}
		if _, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), make([]string, 101), false); fault.CodeOf(err) != fault.Invalid {
			w.Errorf("too many: %v", err)
		}
	})
}

func TestTwoWhoConnectOnePageAtOnceMakeOneChannel(t *testing.T) {
	onBoth(t, func(w *world) {
		starts := map[audit.Actor]channels.Start{}
		for name, by := range map[string]audit.Actor{"Mia": ada, "Noa": ben} {
			starts[by] = w.start(by)
			w.continues(w.person(name, w.page), starts[by], messengertest.Choice{All: true})
		}
		var both sync.WaitGroup
		for by, s := range starts {
			both.Go(func() {
				results, err := w.channels.ConnectPages(ctx, by, s.Login.GlobalID(), []string{w.page.ID}, false)
				if err != nil || results[0].Err != nil {
					w.Errorf("%v, %v", results, err)
				}
			})
		}
		both.Wait()
		if n := w.store.Client().Channel.Query().CountX(ctx); n != 1 {
			w.Errorf("%d channels", n)
		}
	})
}

func TestAStateWorksOnceForWhoBeganAndNotForLong(t *testing.T) {
	onBoth(t, func(w *world) {
		user := w.person("Mia", w.page)
		s := w.start(ada)
		back, err := user.Continues(s.URL, messengertest.Choice{All: true})
		w.must(err)
		var both sync.WaitGroup
		codes := make([]int, 2)
		for i := range codes { // of two at once, one
			both.Go(func() { codes[i] = w.arrives(back).Code })
		}
		both.Wait()
		if slices.Sort(codes); codes[0] != http.StatusOK || codes[1] != http.StatusBadRequest {
			w.Errorf("%v", codes)
		}
		if login := w.login(ada, s); login.Status != facebooklogin.StatusCompleted {
			w.Errorf("a replay changed it: %v", login)
		}
		if _, err := w.channels.Login(ctx, ben, s.Login.GlobalID()); fault.CodeOf(err) != fault.NotFound {
			w.Errorf("somebody else sees it: %v", err)
		}
		if _, err := w.channels.ConnectPages(ctx, ben, s.Login.GlobalID(), []string{w.page.ID}, false); fault.CodeOf(err) != fault.NotFound {
			w.Errorf("somebody else uses it: %v", err)
		}
		for _, foreign := range []string{"", "?state=", "?state=made-up&code=x", "?code=x", "?error=access_denied&state=made-up"} {
			if answer := w.arrives(redirect + foreign); answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), "not known") {
				w.Errorf("%s: %d %s", foreign, answer.Code, answer.Body)
			}
		}
		late := w.start(ada)
		back, err = user.Continues(late.URL, messengertest.Choice{All: true})
		w.must(err)
		w.clock.Advance(10*time.Minute + time.Second)
		if answer := w.arrives(back); answer.Code != http.StatusBadRequest {
			w.Errorf("late: %d", answer.Code)
		}
		if _, err := w.channels.Login(ctx, ada, late.Login.GlobalID()); fault.CodeOf(err) != fault.NotFound {
			w.Errorf("%v", err)
		}
	})
}

func TestALoginIsOverAfterAnHourAndItsTokenIsGone(t *testing.T) {
	onBoth(t, func(w *world) {
		s := w.start(ada)
		w.continues(w.person("Mia", w.page), s, messengertest.Choice{All: true})
		w.clock.Advance(time.Hour - time.Minute)
		w.must(w.channels.PurgeLogins(ctx))
		w.login(ada, s)
		w.clock.Advance(2 * time.Minute)
		if _, err := w.channels.Login(ctx, ada, s.Login.GlobalID()); fault.CodeOf(err) != fault.NotFound {
			w.Errorf("%v", err)
		}
		w.must(w.channels.PurgeLogins(ctx))
		if n := w.store.Client().FacebookLogin.Query().CountX(ctx); n != 0 {
			w.Errorf("%d are kept", n)
		}
	})
}

func TestWhatGoesWrongInALoginIsSaidPlainly(t *testing.T) {
	onBoth(t, func(w *world) {
		user := w.person("Mia", w.page)
		token := func(code, subcode int, message string) messengertest.Fault {
			return messengertest.Fault{Path: "/oauth/access_token", Code: code, Subcode: subcode, Message: message}
		}
		for name, c := range map[string]struct {
			does  func(s channels.Start) (string, error)
			fault messengertest.Fault
			says  string
		}{
			"cancelled":         {does: func(s channels.Start) (string, error) { return user.Cancels(s.URL) }, says: "cancelled"},
			"refused in dialog": {fault: messengertest.Fault{Path: "/dialog/oauth", Code: 1349126, Message: "<script>App not active"}, says: "Facebook refused the login"},
			"code used":         {fault: token(100, 36009, "This authorization code has been used."), says: "used already"},
			"code expired":      {fault: token(100, 36007, "This authorization code has expired."), says: "too long"},
			"redirect differs":  {fault: token(100, 36008, "Error validating verification code."), says: "public URL"},
			"wrong secret":      {fault: token(1, 0, "Error validating client secret."), says: "app secret"},
			"wrong app":         {fault: token(101, 0, "Error validating application."), says: "app id"},
			"not allowed":       {fault: token(191, 0, "not allowed"), says: "redirect URIs"},
			"Facebook is away":  {fault: messengertest.Fault{Path: "/oauth/access_token", Mode: messengertest.HangUp, Times: -1}, says: "temporarily unavailable"},
			"permission declined": {does: func(s channels.Start) (string, error) {
				return user.Continues(s.URL, messengertest.Choice{All: true, Declined: []string{"pages_messaging"}})
			}, says: "did not grant pages_messaging"},
		} {
			s := w.start(ada)
			if c.does == nil {
				c.does = func(s channels.Start) (string, error) { return user.Continues(s.URL, messengertest.Choice{All: true}) }
			}
			if c.fault.Path != "" {
				w.graph.Fail(c.fault)
			}
			back, err := c.does(s)
			w.must(err)
			answer := w.arrives(back)
			w.graph.Reset()
			login := w.login(ada, s)
			if login.Status != facebooklogin.StatusFailed || !strings.Contains(login.Reason, c.says) || len(login.Sealed) > 0 {
				w.Errorf("%s: %s %q", name, login.Status, login.Reason)
			}
			if body := answer.Body.String(); !strings.Contains(body, "did not work") || strings.Contains(body, "<script>") || strings.Contains(body, "code=") {
				w.Errorf("%s: the browser is shown %s", name, body)
			}
			if len(w.pages(login)) != 0 {
				w.Errorf("%s: pages are offered", name)
			}
		}
	})
}

func TestTheBrowserGoesBackOnlyToWhereTheFrontEndsAre(t *testing.T) {
	onBoth(t, func(w *world) {
		user := w.person("Mia", w.page)
		for address, may := range map[string]bool{
			"https://spa.test/settings?tab=2": true, "http://parley.test/any": true, "https://SPA.test": true,
			"https://spa.test.evil.test": false, "https://evil.test/?https://spa.test": false, "http://spa.test/": false,
			"https://spa.test@evil.test": false, "https://me@spa.test/": false, "javascript:alert(1)": false, "//spa.test": false, "/x": false,
		} {
			s, err := w.channels.StartLogin(ctx, ada, address, false)
			if (err == nil) != may || !may && fault.CodeOf(err) != fault.Invalid {
				w.Errorf("%s: %v", address, err)
			}
			if !may {
				continue
			}
			back, err := user.Continues(s.URL, messengertest.Choice{All: true})
			w.must(err)
			answer := w.arrives(back)
			to, err := url.Parse(answer.Header().Get("Location"))
			w.must(err)
			if answer.Code != http.StatusSeeOther || !strings.EqualFold(to.Scheme+"://"+to.Host, address[:strings.Index(address+"/", "test")+4]) ||
				to.Query().Get("facebookLogin") != s.Login.GlobalID().String() || to.Query().Get("status") != "COMPLETED" {
				w.Errorf("%s: %d, to %s", address, answer.Code, to)
			}
			if strings.Contains(address, "tab=2") && to.Query().Get("tab") != "2" {
				w.Errorf("to %s", to)
			}
		}
	})
}

func TestNothingOfALoginIsShownThatIsSecret(t *testing.T) {
	onBoth(t, func(w *world) {
		user := w.person("Mia", w.page)
		s := w.start(ada)
		w.continues(user, s, messengertest.Choice{All: true})
		login := w.login(ada, s)
		pages := w.pages(login)
		_, err := w.channels.ConnectPages(ctx, ada, login.GlobalID(), []string{w.page.ID}, false)
		w.must(err)
		state, err := url.Parse(s.URL)
		w.must(err)
		secrets := []string{state.Query().Get("state"), pages[0].Token}
		for _, request := range w.graph.Requests() {
			if name := "code"; request.Params[name] != "" {
				secrets = append(secrets, request.Params[name], request.Params["code_verifier"])
			}
			if token := strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "); token != "" && !strings.HasPrefix(token, appID) {
				secrets = append(secrets, token)
			}
		}
		if len(secrets) < 5 {
			w.Fatalf("only %d secrets are known", len(secrets))
		}
		shown := w.logged.String() + w.dump() + fmt.Sprint(login, s.Login)
		for _, secret := range secrets {
			if secret == "" || strings.Contains(shown, secret) {
				w.Errorf("%q is shown", secret)
			}
		}
	})
}
