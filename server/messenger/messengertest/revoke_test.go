package messengertest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestTokensDieOfWhateverHappensToTheirUser(t *testing.T) {
	for subcode, problem := range map[int]messenger.Problem{
		456: "", 457: "", 458: messenger.ProblemAppRemoved, 459: messenger.ProblemCheckpoint, 460: messenger.ProblemPasswordChanged,
		461: "", 462: "", 463: messenger.ProblemExpired, 464: messenger.ProblemUnconfirmed, 465: "", 466: "",
		467: messenger.ProblemLoggedOut, 468: messenger.ProblemUnused, 492: messenger.ProblemRoleLost,
	} {
		w := newLogins(t)
		token := w.token(w.ann, all)
		page := w.loginPages(token)[0].Token
		w.ann.EndSessions(subcode)
		for _, dead := range []string{token, page} {
			_, err := w.client.Me(w.ctx, dead)
			w.refused(err, subcode, problem)
			if messenger.ClassOf(err) != messenger.ClassToken {
				t.Errorf("%d: %v", subcode, err)
			}
		}
		if _, err := w.client.Me(w.ctx, w.loginPages(w.token(w.ann, all))[0].Token); err != nil {
			t.Errorf("%d: after another login: %v", subcode, err)
		}
	}
}

func TestAPageTokenDiesWithTheTokenItWasReadWithAndAlone(t *testing.T) {
	w := newLogins(t)
	one, two := w.token(w.ann, all), w.token(w.ann, all)
	pages, others := w.loginPages(one), w.loginPages(two)
	w.sim.KillToken(pages[0].Token, 467)
	_, err := w.client.Me(w.ctx, pages[0].Token)
	w.refused(err, 467, messenger.ProblemLoggedOut)
	_, err = w.client.Me(w.ctx, pages[1].Token)
	w.must(err)
	w.sim.KillToken(one, 460)
	_, err = w.client.Me(w.ctx, pages[1].Token)
	w.refused(err, 460, messenger.ProblemPasswordChanged)
	_, err = w.client.Me(w.ctx, others[1].Token)
	w.must(err)
}

func TestWhoLeavesAPageLosesItsToken(t *testing.T) {
	w := newLogins(t)
	token := w.token(w.ann, all)
	pages := w.loginPages(token)
	w.ann.Leaves(w.pages[1])
	_, err := w.client.Me(w.ctx, pages[1].Token)
	w.refused(err, 492, messenger.ProblemRoleLost)
	_, err = w.client.Me(w.ctx, pages[0].Token)
	w.must(err)
	if left := ids(w.loginPages(token)); left != "101 103" {
		t.Error(left)
	}
}

// revocations is an app's endpoint for what is no webhook of a page.
type revocations struct {
	url    string
	mu     sync.Mutex
	got    []messenger.SignedRequest
	answer string
}

func newRevocations(t *testing.T) *revocations {
	r := &revocations{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got, err := messenger.ParseSignedRequest("app-secret", req.PostFormValue("signed_request"))
		if err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s %v: %v", req.Method, req.Header, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, got)
		_, _ = io.WriteString(w, r.answer)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *revocations) all() []messenger.SignedRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

func TestWhoRemovesTheAppTakesEverythingAway(t *testing.T) {
	for name, remove := range map[string]func(w *logins, token string){
		"in their settings": func(w *logins, _ string) { w.ann.RemovesApp("222") },
		"by the app's call": func(w *logins, token string) {
			if status, body := w.graph("DELETE", "/me/permissions", map[string][]string{"access_token": {token}}); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		},
	} {
		w := newLogins(t)
		heard := newRevocations(t)
		w.sim.Configure("222", func(a *messengertest.App) { a.DeauthorizeURL = heard.url })
		other := w.sim.AddApp(messengertest.App{ID: "333"})
		token := w.token(w.ann, all)
		page := w.loginPages(token)[0].Token
		remove(w, token)
		w.must(w.sim.Settle(w.ctx))
		got := heard.all()
		if len(got) != 1 || got[0].UserID != "2001" || !got[0].Issued.Equal(start) {
			t.Errorf("%s: %+v", name, got)
		}
		for _, dead := range []string{token, page} {
			_, err := w.client.Me(w.ctx, dead)
			w.refused(err, 458, messenger.ProblemAppRemoved)
		}
		if posts := w.sim.Posts(); posts[len(posts)-1].URL != heard.url || posts[len(posts)-1].Status != 200 {
			t.Errorf("%+v", posts)
		}
		unproven := *w.client
		unproven.App = nil
		if _, err := unproven.Me(w.ctx, w.page.NewToken(other.ID)); err != nil {
			t.Errorf("another app: %v", err)
		}
	}
}

func TestARevokedPermissionIsToldAndMissed(t *testing.T) {
	w := newLogins(t)
	permissions := newReceiver(t)
	w.must(w.client.SubscribeApp(w.ctx, messenger.AppSubscription{Object: messenger.ObjectPermissions, CallbackURL: permissions.url,
		Fields: []string{"pages_messaging", "pages_manage_metadata"}}, "verify"))
	token := w.token(w.ann, messengertest.Choice{Pages: w.pages[:2]})
	page := w.loginPages(token)[0].Token
	bob := w.page.AddPerson(messengertest.Person{})
	bob.Writes("Hi")
	send := func() error {
		_, err := w.client.SendText(w.ctx, page, messenger.SendText{PageID: "101", PSID: bob.ID, Text: "x", MessagingType: messenger.TypeResponse})
		return err
	}
	w.must(send())
	w.ann.Revokes("222", "pages_messaging")
	w.ann.Revokes("222", "business_management") // nobody asked to be told
	w.sim.Behave(messengertest.Behaviour{Batch: 10})
	bob.Writes("and")
	w.must(w.sim.Settle(w.ctx))
	var told []messenger.PermissionChange
	for _, post := range permissions.posts() {
		changes, err := messenger.DecodePermissions([]byte(post))
		w.must(err)
		told = append(told, changes...)
	}
	if len(told) != 3 || told[0].Verb != "granted" || !told[2].Revoked() || told[2].Permission != "pages_messaging" ||
		told[2].UserID != "2001" || !told[2].At.Equal(start) || len(told[2].Targets) != 2 {
		t.Errorf("%+v", told)
	}
	if err := send(); messenger.ClassOf(err) != messenger.ClassPermission {
		t.Errorf("a send without the permission: %v", err)
	}
	if err := w.client.Subscribe(w.ctx, page, "101", messenger.SubscribedFields()); messenger.ClassOf(err) != messenger.ClassPermission {
		t.Errorf("a subscription without the permission: %v", err)
	}
	if _, err := w.client.Me(w.ctx, page); err != nil {
		t.Errorf("what needs another permission: %v", err)
	}
	for _, rest := range []string{"pages_show_list", "pages_manage_metadata", "pages_read_engagement"} {
		if status, body := w.graph("DELETE", "/2001/permissions/"+rest, map[string][]string{"access_token": {token}}); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	_, err := w.client.Me(w.ctx, page)
	w.refused(err, 0, messenger.ProblemPageNotChosen)
	if pages := w.loginPages(token); len(pages) != 0 {
		t.Errorf("%+v", pages)
	}
}

func TestAPermissionsWebhookThatNobodyTakesIsGivenUp(t *testing.T) {
	w := newLogins(t)
	permissions := newReceiver(t)
	w.must(w.client.SubscribeApp(w.ctx, messenger.AppSubscription{Object: messenger.ObjectPermissions, CallbackURL: permissions.url,
		Fields: []string{"pages_messaging"}}, "verify"))
	permissions.answering(func() int { w.sim.Clock().Advance(time.Hour); return 500 })
	w.code(w.ann, all)
	w.must(w.sim.Settle(w.ctx))
	got, err := w.client.AppSubscriptions(w.ctx)
	if err != nil || len(got) != 1 || got[0].Object != "page" {
		t.Errorf("%+v %v", got, err)
	}
	if _, subscribed := w.page.Subscribed("222"); !subscribed {
		t.Error("the page lost its subscription for it")
	}
}

func TestDataDeletionIsAskedForAndAnswered(t *testing.T) {
	w := newLogins(t)
	heard := newRevocations(t)
	if _, err := w.ann.AsksDeletion(w.ctx, "222"); err == nil {
		t.Error("an app without the callback was asked")
	}
	w.sim.Configure("222", func(a *messengertest.App) { a.DeletionURL = heard.url })
	for _, bad := range []string{"", "{}", `{"url":"https://desk.example/deletion?id=1"}`} {
		heard.answer = bad
		if got, err := w.ann.AsksDeletion(w.ctx, "222"); err == nil {
			t.Errorf("%q was taken: %+v", bad, got)
		}
	}
	heard.answer = `{"url":"https://desk.example/deletion?id=1","confirmation_code":"1"}`
	got, err := w.ann.AsksDeletion(w.ctx, "222")
	if err != nil || got.ConfirmationCode != "1" || got.URL != "https://desk.example/deletion?id=1" || heard.all()[0].UserID != "2001" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestARestrictedPageSendsNothing(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("Hi")
	w.page.Restrict(true)
	if _, err := w.says(ann, "x"); messenger.ClassOf(err) != messenger.ClassRestricted {
		t.Errorf("%v", err)
	}
	w.page.Restrict(false)
	if _, err := w.says(ann, "x"); err != nil {
		t.Error(err)
	}
	var actions string
	for _, e := range w.settled() {
		if e.Policy != nil {
			actions += e.Policy.Action + " "
		}
	}
	if actions != "block unblock " {
		t.Error(actions)
	}
}

func TestAnotherInstallationTakesTheCallbackOver(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	later := newReceiver(t)
	ours := func() string {
		t.Helper()
		all, err := w.client.AppSubscriptions(w.ctx)
		w.must(err)
		if len(all) != 1 || all[0].Object != "page" || !all[0].Active || len(all[0].Fields) == 0 {
			t.Fatalf("%+v", all)
		}
		return all[0].CallbackURL
	}
	if got := ours(); got != w.receiver.url {
		t.Error(got)
	}
	take := func(verify string) error {
		return w.client.SubscribeApp(w.ctx, messenger.AppSubscription{Object: "page", CallbackURL: later.url, Fields: messenger.SubscribedFields()}, verify)
	}
	if err := take("wrong"); messenger.ProblemOf(err) != messenger.ProblemCallback {
		t.Errorf("%v", err)
	}
	if got := ours(); got != w.receiver.url {
		t.Errorf("a callback that was not verified counts: %s", got)
	}
	w.must(take("verify"))
	if got := ours(); got != later.url {
		t.Error(got)
	}
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	if got := kinds(w.settled()); got != "" || kinds(later.events()) != "message " {
		t.Errorf("the old callback got %q", got)
	}
}

func TestAScriptCanSpeakForUsers(t *testing.T) {
	sim := messengertest.New(messengertest.Options{Clock: messengertest.NewClock(start)})
	defer sim.Close()
	heard := newRevocations(t)
	heard.answer = `{"url":"https://desk.example/d","confirmation_code":"c1"}`
	call := script(t, sim)
	for _, step := range []struct{ method, path, body, want string }{
		{"POST", "/_sim/apps", `{"id":"222","secret":"app-secret"}`, `"id":"222"`},
		{"POST", "/_sim/apps/222", `{"name":"Desk","roles":["2001"],"deauthorize_url":"` + heard.url + `","deletion_url":"` + heard.url + `"}`, `{}`},
		{"POST", "/_sim/apps/222", `{"secrets":"x"}`, `unknown field`},
		{"POST", "/_sim/apps/223", `{}`, `no such app`},
		{"POST", "/_sim/pages", `{"id":"101","token":"T"}`, `"token":"T"`},
		{"POST", "/_sim/users", `{"id":"2001","name":"Ann","pages":[{"id":"101","tasks":["MESSAGING"]}]}`, `"id":"2001"`},
		{"POST", "/_sim/users", `{"pages":[{"id":"999"}]}`, `no page 999`},
		{"GET", "/dialog/oauth?client_id=222&redirect_uri=https://desk.example/", ``, `Desk wants`},
		{"POST", "/_sim/users/2001/revoke", `{"app_id":"222","permission":"pages_messaging"}`, `{}`},
		{"POST", "/_sim/users/2001/end_sessions", `{"subcode":460}`, `{}`},
		{"POST", "/_sim/users/2001/remove_app", `{"app_id":"222"}`, `{}`},
		{"POST", "/_sim/users/2001/remove_app", `{"app_id":"223"}`, `no such app`},
		{"POST", "/_sim/users/2001/ask_deletion", `{"app_id":"222"}`, `"confirmation_code":"c1"`},
		{"POST", "/_sim/users/2001/leave", `{"page_id":"101"}`, `{}`},
		{"POST", "/_sim/users/2001/dance", `{}`, `users end sessions`},
		{"POST", "/_sim/users/2009/leave", `{}`, `no such user`},
		{"POST", "/_sim/pages/101/restrict", `{"restricted":true}`, `{}`},
		{"POST", "/_sim/pages/109/restrict", `{"restricted":true}`, `no such page`},
		{"POST", "/_sim/settle", ``, `{}`},
		{"POST", "/101/messages?access_token=T&recipient={%22id%22:11}&message={%22text%22:%22x%22}", ``, `"error_subcode":2018336`},
	} {
		if _, got := call(step.method, step.path, step.body); !strings.Contains(got, step.want) {
			t.Errorf("%s %s: %s", step.method, step.path, got)
		}
	}
	if got := heard.all(); len(got) != 2 || got[0].UserID != "2001" {
		t.Errorf("%+v", got)
	}
}
