package messengertest_test

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

const redirect = "https://desk.example/back?from=facebook"

// logins is a world with people who log in: ann administers pages 101 to 103, tom is like her but has a portfolio.
type logins struct {
	*world
	ann   *messengertest.User
	pages []*messengertest.Page
}

func newLogins(t *testing.T) *logins {
	w := &logins{world: newWorld(t, messengertest.Options{})}
	w.sim.Configure("222", func(a *messengertest.App) { a.Name, a.RedirectURIs = "Desk", []string{redirect} })
	w.pages = []*messengertest.Page{w.page}
	for _, id := range []string{"102", "103"} {
		w.pages = append(w.pages, w.sim.AddPage(messengertest.Page{ID: id, Name: "Page " + id}))
	}
	w.ann = w.sim.AddUser(messengertest.User{ID: "2001", Name: "Ann Lee"})
	for _, p := range w.pages {
		w.ann.Manages(p, messengertest.Role{})
	}
	return w
}

func (w *logins) url(l messenger.Login) string {
	l.RedirectURI, l.State = redirect, "s&t ä"
	return w.client.LoginURL(l)
}

// code logs a user in and gives the code they come back with.
func (w *logins) code(u *messengertest.User, choice messengertest.Choice) string {
	w.Helper()
	return w.codeOf(u, messenger.Login{}, choice)
}

func (w *logins) codeOf(u *messengertest.User, l messenger.Login, choice messengertest.Choice) string {
	w.Helper()
	back, err := u.Continues(w.url(l), choice)
	w.must(err)
	return w.query(back).Get("code")
}

// query gives what the browser brings back, and checks that it comes back to where it should.
func (w *logins) query(back string) url.Values {
	w.Helper()
	to, err := url.Parse(back)
	w.must(err)
	q := to.Query()
	if to.Host != "desk.example" || to.Path != "/back" || q.Get("from") != "facebook" || q.Get("state") != "s&t ä" || to.Fragment != "_=_" {
		w.Errorf("back to %s", back)
	}
	return q
}

// token logs a user in for as long as it goes.
func (w *logins) token(u *messengertest.User, choice messengertest.Choice) string {
	w.Helper()
	short, err := w.client.ExchangeCode(w.ctx, w.code(u, choice), redirect, "")
	w.must(err)
	long, err := w.client.ExtendToken(w.ctx, short.Token)
	w.must(err)
	if long.Token == short.Token || !long.Expires.After(short.Expires) {
		w.Errorf("%v was extended to %v", short, long)
	}
	return long.Token
}

func (w *logins) loginPages(token string) []messenger.LoginPage {
	w.Helper()
	pages, err := w.client.LoginPages(w.ctx, token)
	w.must(err)
	return pages
}

// refused checks the problem of an error, and its subcode.
func (w *logins) refused(err error, subcode int, problem messenger.Problem) {
	w.Helper()
	var e *messenger.Error
	if !errors.As(err, &e) || e.Subcode != subcode || e.Problem != problem {
		w.Errorf("%v, want %d %s", err, subcode, problem)
	}
}

func ids(pages []messenger.LoginPage) string {
	var all []string
	for _, p := range pages {
		all = append(all, p.ID)
	}
	return strings.Join(all, " ")
}

var all = messengertest.Choice{All: true}

func TestALoginLeadsToThePagesThatWereTicked(t *testing.T) {
	w := newLogins(t)
	token := w.token(w.ann, messengertest.Choice{Pages: w.pages})
	if who, err := w.client.Me(w.ctx, token); err != nil || who.ID != "2001" || who.Name != "Ann Lee" || who.PictureURL == "" {
		t.Errorf("%+v %v", who, err)
	}
	pages := w.loginPages(token)
	if ids(pages) != "101 102 103" { // two answers' worth
		t.Fatalf("%+v", pages)
	}
	for _, p := range pages {
		me, err := w.client.Me(w.ctx, p.Token)
		if err != nil || me.ID != p.ID || me.Name != p.Name || p.Category != "Brand" || p.PictureURL == "" || !p.CanMessage() || !p.CanSubscribe() {
			t.Errorf("%+v: %+v %v", p, me, err)
		}
		if same, err := w.client.Page(w.ctx, token, p.ID); err != nil || same != me {
			t.Errorf("%+v, %+v %v", me, same, err)
		}
		w.must(w.client.Subscribe(w.ctx, p.Token, p.ID, messenger.SubscribedFields()))
	}
	if _, err := w.client.Subscribed(w.ctx, token, "101"); messenger.ClassOf(err) != messenger.ClassPermission {
		t.Errorf("a page's apps for a user's token: %v", err)
	}
	none := w.loginPages(w.token(w.ann, messengertest.Choice{}))
	if len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

// A browser without JavaScript gets a form and posts it.
func TestTheDialogIsAPlainForm(t *testing.T) {
	w := newLogins(t)
	w.sim.AddUser(messengertest.User{ID: "2002", Name: `<b>"Tom"</b>`})
	jar, err := cookiejar.New(nil)
	w.must(err)
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	address := w.url(messenger.Login{})
	resp, err := browser.Get(address)
	w.must(err)
	shown := body(t, resp)
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") ||
		!strings.Contains(shown, "Desk wants") || !strings.Contains(shown, "Ann Lee") || strings.Contains(shown, "<b>") || strings.Contains(shown, "<script") {
		t.Errorf("%d %s", resp.StatusCode, shown)
	}
	forms := strings.Split(shown, "<form ")[1:]
	if len(forms) != 2 || !strings.HasPrefix(forms[0], `method="post"`) {
		t.Fatalf("%d forms: %s", len(forms), shown)
	}
	form := url.Values{}
	for _, field := range regexp.MustCompile(`type="(\w+)" name="(\w+)" value="([^"]*)"( checked)?`).FindAllStringSubmatch(forms[0], -1) {
		if field[1] == "hidden" || field[4] != "" {
			form.Add(field[2], html.UnescapeString(field[3]))
		}
	}
	if got := form.Encode(); got != "page=101&page=102&page=103&user=2001" {
		t.Errorf("ticked at first: %s", got)
	}
	form["page"] = []string{"102"}
	for act, want := range map[string]string{"continue": "code", "cancel": "error"} {
		form.Set("act", act)
		resp, err := browser.PostForm(address, form)
		w.must(err)
		resp.Body.Close()
		if back := w.query(resp.Header.Get("Location")); resp.StatusCode != http.StatusFound || back.Get(want) == "" {
			t.Errorf("%s: %d %s", act, resp.StatusCode, back)
		}
	}
	resp, err = browser.Get(address)
	w.must(err)
	if again := body(t, resp); strings.Count(again, " checked") != 1 {
		t.Errorf("the next time: %s", again)
	}
}

func TestWhoCancelsComesBackWithoutCode(t *testing.T) {
	w := newLogins(t)
	back, err := w.ann.Cancels(w.url(messenger.Login{}))
	w.must(err)
	q := w.query(back)
	if q.Get("error") != "access_denied" || q.Get("error_reason") != "user_denied" || q.Get("error_description") != "Permissions error" || q.Has("code") {
		t.Errorf("%v", q)
	}
	w.sim.Configure("222", func(a *messengertest.App) { a.Development = true })
	if denied, err := w.ann.Continues(w.url(messenger.Login{}), all); err != nil || denied != back {
		t.Errorf("a stranger to an app in development: %s %v", denied, err)
	}
	w.sim.Configure("222", func(a *messengertest.App) { a.Roles = []string{"2001"} })
	if w.code(w.ann, all) == "" {
		t.Error("a developer of the app is denied")
	}
	w.sim.Fail(messengertest.Fault{Path: "/dialog/oauth", Code: 1349126, Message: "App not active"})
	back, err = w.ann.Continues(w.url(messenger.Login{}), all)
	w.must(err)
	if q := w.query(back); q.Get("error_code") != "1349126" || q.Get("error_message") != "App not active" || q.Has("code") {
		t.Errorf("%v", q)
	}
}

func TestTheDialogSendsNobodyWhereTheAppDoesNotAllow(t *testing.T) {
	w := newLogins(t)
	w.sim.Configure("222", func(a *messengertest.App) {
		a.Configs = map[string]messengertest.LoginConfig{"77": {Permissions: []string{"pages_messaging"}, SystemUser: true}}
	})
	good := w.url(messenger.Login{})
	for name, bad := range map[string]string{
		"other address":            w.client.LoginURL(messenger.Login{RedirectURI: "https://evil.example/back"}),
		"more of it":               w.client.LoginURL(messenger.Login{RedirectURI: redirect + "&x=1"}),
		"no address":               w.client.LoginURL(messenger.Login{}),
		"unknown app":              strings.Replace(good, "client_id=222", "client_id=223", 1),
		"another type of response": strings.Replace(good, "response_type=code", "response_type=token", 1),
		"unknown configuration":    w.url(messenger.Login{ConfigID: "78"}),
		"a system user's token":    strings.Replace(w.url(messenger.Login{ConfigID: "77"}), "override_default_response_type=true", "", 1),
	} {
		resp, err := http.Get(bad)
		w.must(err)
		shown := body(t, resp)
		if resp.StatusCode != 400 || resp.Header.Get("Location") != "" || !strings.Contains(shown, `role="alert"`) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, shown)
		}
		if to, err := w.ann.Continues(bad, all); err == nil {
			t.Errorf("%s leads to %s", name, to)
		}
	}
}

func TestACodeWorksOnceAndNotForLong(t *testing.T) {
	w := newLogins(t)
	exchange := func(code, redirect, verifier string) error {
		_, err := w.client.ExchangeCode(w.ctx, code, redirect, verifier)
		return err
	}
	code := w.code(w.ann, all)
	w.refused(exchange(code, redirect+"/", ""), 0, messenger.ProblemRedirectRefused)
	w.sim.Configure("222", func(a *messengertest.App) { a.RedirectURIs = append(a.RedirectURIs, redirect+"/") })
	w.refused(exchange(code, redirect+"/", ""), 36008, messenger.ProblemRedirectDiffers)
	w.refused(exchange(code+"x", redirect, ""), 0, messenger.ProblemCodeInvalid)
	w.must(exchange(code, redirect, ""))
	w.refused(exchange(code, redirect, ""), 36009, messenger.ProblemCodeUsed)
	code = w.code(w.ann, all)
	w.sim.Clock().Advance(time.Hour)
	w.refused(exchange(code, redirect, ""), 36007, messenger.ProblemCodeExpired)

	const verifier = "a-verifier-of-at-least-forty-three-characters"
	code = w.codeOf(w.ann, messenger.Login{Verifier: verifier}, all)
	for _, wrong := range []string{"", "x" + verifier} {
		if err := exchange(code, redirect, wrong); messenger.ClassOf(err) != messenger.ClassInvalid {
			t.Errorf("verifier %q: %v", wrong, err)
		}
	}
	w.must(exchange(code, redirect, verifier))

	other := *w.client
	app := messenger.App{ID: "222", Secret: "wrong"}
	other.App = func() messenger.App { return app }
	code = w.code(w.ann, all)
	_, err := other.ExchangeCode(w.ctx, code, redirect, "")
	w.refused(err, 0, messenger.ProblemAppSecret)
	_, err = other.ReadApp(w.ctx)
	w.refused(err, 0, messenger.ProblemAppRefused)
	app = messenger.App{ID: "999", Secret: "app-secret"}
	_, err = other.ExchangeCode(w.ctx, code, redirect, "")
	w.refused(err, 0, messenger.ProblemAppID)
	thief := w.sim.AddApp(messengertest.App{ID: "333"})
	app = messenger.App{ID: "333", Secret: thief.Secret}
	_, err = other.ExchangeCode(w.ctx, code, redirect, "")
	w.refused(err, 0, messenger.ProblemCodeInvalid)
	if status, answer := w.graph("GET", "/oauth/access_token", url.Values{"client_id": {"222"}, "client_secret": {"app-secret"},
		"grant_type": {"client_credentials"}}); status != 200 || !strings.Contains(answer, `"access_token":"222|app-secret"`) {
		t.Errorf("%d %s", status, answer)
	}
	if me, err := w.client.ReadApp(w.ctx); err != nil || me != (messenger.AppInfo{ID: "222", Name: "Desk"}) {
		t.Errorf("%+v %v", me, err)
	}
}

func TestTokensEndByTheClock(t *testing.T) {
	w := newLogins(t)
	short, err := w.client.ExchangeCode(w.ctx, w.code(w.ann, all), redirect, "")
	w.must(err)
	long, err := w.client.ExtendToken(w.ctx, short.Token)
	w.must(err)
	if lasts := short.Expires.Sub(start); lasts < time.Hour || lasts > 2*time.Hour || long.Expires.Sub(start) != 5183944*time.Second {
		t.Errorf("%v %v", short, long)
	}
	byShort, byLong := w.loginPages(short.Token)[0].Token, w.loginPages(long.Token)[0].Token
	look := func(token string) messenger.TokenInfo {
		t.Helper()
		i, err := w.client.DebugToken(w.ctx, token)
		w.must(err)
		return i
	}
	if i := look(short.Token); !i.Valid || i.Type != "USER" || !i.Expires.Equal(short.Expires) || i.UserID != "2001" || i.AppID != "222" ||
		i.AppName != "Desk" || !i.DataAccessExpires.Equal(start.Add(90*24*time.Hour)) || !i.Issued.Equal(start) {
		t.Errorf("%+v", i)
	}
	if i := look(byLong); !i.Valid || i.Type != "PAGE" || !i.Expires.IsZero() || i.ProfileID != "101" || i.UserID != "2001" {
		t.Errorf("%+v", i)
	}
	if i := look(byShort); !i.Expires.Equal(short.Expires) {
		t.Errorf("%+v", i)
	}
	w.sim.Clock().Advance(short.Expires.Sub(start))
	for _, token := range []string{short.Token, byShort} {
		_, err := w.client.Me(w.ctx, token)
		w.refused(err, 463, messenger.ProblemExpired)
		if i := look(token); i.Valid || i.Problem == nil || i.Problem.Problem != messenger.ProblemExpired {
			t.Errorf("%+v", i)
		}
	}
	_, err = w.client.ExtendToken(w.ctx, short.Token)
	w.refused(err, 463, messenger.ProblemExpired)
	w.sim.Clock().Advance(long.Expires.Sub(start))
	_, err = w.client.Me(w.ctx, long.Token)
	w.refused(err, 463, messenger.ProblemExpired)
	if _, err := w.client.Me(w.ctx, byLong); err != nil {
		t.Errorf("a page token ends with the long-lived token it was read with: %v", err)
	}
	w.sim.Clock().Advance(40 * 24 * time.Hour) // and the access to the user's data with it
	if i := look(byLong); !i.Valid || !i.DataAccessExpires.Before(w.sim.Clock().Now()) {
		t.Errorf("%+v", i)
	}
}

func TestASystemUsersTokenDoesNotEnd(t *testing.T) {
	w := newLogins(t)
	w.sim.Configure("222", func(a *messengertest.App) {
		a.Configs = map[string]messengertest.LoginConfig{"77": {Permissions: []string{"pages_show_list", "pages_messaging"}, SystemUser: true}}
	})
	g, err := w.client.ExchangeCode(w.ctx, w.codeOf(w.ann, messenger.Login{ConfigID: "77"}, all), redirect, "")
	if err != nil || !g.Expires.IsZero() {
		t.Errorf("%+v %v", g, err)
	}
	i, err := w.client.DebugToken(w.ctx, g.Token)
	if err != nil || i.Type != "SYSTEM_USER" || !i.Expires.IsZero() || !slices.Equal(i.Scopes, []string{"pages_messaging", "pages_show_list"}) {
		t.Errorf("%+v %v", i, err)
	}
	w.sim.Clock().Advance(365 * 24 * time.Hour)
	if got := ids(w.loginPages(g.Token)); got != "101 102 103" {
		t.Error(got)
	}
	if me, err := w.client.Me(w.ctx, g.Token); err != nil || me.Name != "" {
		t.Errorf("read of a user whose data access has expired: %+v %v", me, err)
	}
}

func TestPagesComeWithTheTasksAndTokensThatPeopleHave(t *testing.T) {
	w := newLogins(t)
	tom := w.sim.AddUser(messengertest.User{ID: "2002"})
	tom.Manages(w.pages[0], messengertest.Role{Tasks: []string{"ANALYZE"}, NoToken: true})
	tom.Manages(w.pages[1], messengertest.Role{Tasks: []string{"PROFILE_PLUS_MESSAGING"}})
	tom.Manages(w.pages[2], messengertest.Role{Tasks: []string{"PROFILE_PLUS_MODERATE"}})
	pages := w.loginPages(w.token(tom, all))
	if len(pages) != 3 || pages[0].Token != "" || pages[0].CanMessage() || !pages[1].CanMessage() || pages[1].CanSubscribe() || !pages[2].CanSubscribe() {
		t.Fatalf("%+v", pages)
	}
	for i, want := range map[int]messenger.Class{1: messenger.ClassPermission, 2: ""} {
		if err := w.client.Subscribe(w.ctx, pages[i].Token, pages[i].ID, messenger.SubscribedFields()); messenger.ClassOf(err) != want {
			t.Errorf("%s: %v", pages[i].ID, err)
		}
		bob := w.pages[i].AddPerson(messengertest.Person{})
		bob.Writes("Hi")
		_, err := w.client.SendText(w.ctx, pages[i].Token, messenger.SendText{PageID: pages[i].ID, PSID: bob.ID, Text: "x", MessagingType: messenger.TypeResponse})
		if sends := i == 1; (err == nil) != sends || err != nil && messenger.ClassOf(err) != messenger.ClassPermission {
			t.Errorf("%s: %v", pages[i].ID, err)
		}
	}
}

func TestPagesOfPortfoliosNeedBusinessManagement(t *testing.T) {
	w := newLogins(t)
	w.ann.Manages(w.pages[0], messengertest.Role{Portfolio: "9001"})
	w.ann.Manages(w.pages[1], messengertest.Role{Portfolio: "9001", Unlisted: true})
	w.ann.Manages(w.pages[2], messengertest.Role{Portfolio: "9002", Client: true, Unlisted: true, NoToken: true})
	fourth := w.sim.AddPage(messengertest.Page{ID: "104"})
	w.ann.Manages(fourth, messengertest.Role{})
	without := w.loginPages(w.token(w.ann, messengertest.Choice{All: true, Declined: []string{"business_management"}}))
	if ids(without) != "104" {
		t.Errorf("%+v", without)
	}
	// It was declined, and is asked for again only by a login that says so.
	if again := w.loginPages(w.token(w.ann, all)); ids(again) != "104" {
		t.Errorf("%+v", again)
	}
	g, err := w.client.ExchangeCode(w.ctx, w.codeOf(w.ann, messenger.Login{Again: true}, all), redirect, "")
	w.must(err)
	with := w.loginPages(g.Token)
	if ids(with) != "101 104 102 103" || with[2].Token == "" || with[2].Tasks != nil || with[3].Token != "" {
		t.Errorf("%+v", with)
	}
	if me, err := w.client.Me(w.ctx, with[2].Token); err != nil || me.ID != "102" {
		t.Errorf("%+v %v", me, err)
	}
}

func TestPermissionsAreListedAsTheyWereAnswered(t *testing.T) {
	w := newLogins(t)
	token := w.token(w.ann, messengertest.Choice{Pages: w.pages[:2], Declined: []string{"pages_messaging"}})
	got, err := w.client.Permissions(w.ctx, token)
	want := "[{business_management granted} {pages_manage_metadata granted} {pages_messaging declined} {pages_read_engagement granted} {pages_show_list granted}]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v %v", got, err)
	}
	i, err := w.client.DebugToken(w.ctx, token)
	if err != nil || i.Covers("pages_messaging", "101") || !i.Covers("pages_show_list", "101") || i.Covers("pages_show_list", "103") {
		t.Errorf("%+v %v", i, err)
	}
	i, err = w.client.DebugToken(w.ctx, w.token(w.ann, all))
	if err != nil || !i.Covers("pages_show_list", "999") {
		t.Errorf("all pages, also those to come: %+v %v", i, err)
	}
}

func TestALaterLoginTakesAwayThePagesItLeavesOut(t *testing.T) {
	w := newLogins(t)
	first := w.loginPages(w.token(w.ann, messengertest.Choice{Pages: w.pages[:2]}))
	w.must(w.client.Subscribe(w.ctx, first[0].Token, "101", []string{"messages"}))
	w.token(w.ann, messengertest.Choice{Pages: w.pages[1:]})
	_, err := w.client.Me(w.ctx, first[0].Token)
	w.refused(err, 0, messenger.ProblemPageNotChosen)
	if messenger.ClassOf(err) != messenger.ClassToken {
		t.Errorf("%v", err)
	}
	if i, err := w.client.DebugToken(w.ctx, first[0].Token); err != nil || i.Covers("pages_messaging", "101") || i.Valid {
		t.Errorf("%+v %v", i, err)
	}
	if _, err := w.client.Me(w.ctx, first[1].Token); err != nil {
		t.Errorf("a page that both logins chose: %v", err)
	}
	if _, err := w.client.Me(w.ctx, w.page.Token); err != nil {
		t.Errorf("a token without login: %v", err)
	}
}

func TestOnlyTheAppAndItsDevelopersLookIntoTokens(t *testing.T) {
	w := newLogins(t)
	token := w.token(w.ann, all)
	look := func() int {
		status, _ := w.graph("GET", "/debug_token", url.Values{"access_token": {token}, "input_token": {token}})
		return status
	}
	if status := look(); status != 400 {
		t.Errorf("anybody: %d", status)
	}
	w.sim.Configure("222", func(a *messengertest.App) { a.Roles = []string{"2001"} })
	if status := look(); status != 200 {
		t.Errorf("a developer: %d", status)
	}
	other := w.sim.AddApp(messengertest.App{ID: "333"})
	if i, err := w.client.DebugToken(w.ctx, w.page.NewToken(other.ID)); err != nil || i.AppID != "333" {
		t.Errorf("a token of another app does not say so: %+v %v", i, err)
	}
	if i, err := w.client.DebugToken(w.ctx, "EAAGunknown"); err != nil || i.Valid || i.Problem == nil {
		t.Errorf("%+v %v", i, err)
	}
}

func TestAUsersTokenNeedsTheProofToo(t *testing.T) {
	w := newLogins(t)
	token := w.token(w.ann, all)
	w.sim.Configure("222", func(a *messengertest.App) { a.RequireProof = true })
	if _, err := w.client.Me(w.ctx, token); err != nil {
		t.Error(err)
	}
	without := *w.client
	without.App = nil
	if _, err := without.Me(w.ctx, token); messenger.ClassOf(err) != messenger.ClassInvalid {
		t.Errorf("%v", err)
	}
	if status, _ := w.graph("GET", "/me/accounts", url.Values{"access_token": {token}, "appsecret_proof": {messenger.AppSecretProof("app-secret", token)},
		"after": {"nowhere"}}); status != 400 {
		t.Errorf("a cursor that is none: %d", status)
	}
}
