package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/messenger/messengertest"
)

// shop is a world in which an operator talks with Ada.
type shop struct {
	*world
	t     *testing.T
	ann   *apptest.Client
	ada   *messengertest.Person
	chat  string
	mia   *messengertest.User // full control of the page
	token string              // by which the page was connected last, "" if by a login
}

func openShop(t *testing.T, w *world) *shop {
	s := &shop{world: w, t: t, ann: w.Add("Ann", operator.RoleOperator), ada: w.Customer("Ada"), token: w.Page.Token}
	w.Members(w.Queue, s.ann)
	s.chat = w.Hears(s.ada, "Are you there?")
	s.ann.Must(`mutation($c: ID!) { acceptChat(input: {chatId: $c}) { userErrors { message } } }`, vars{"c": s.chat})
	s.mia = w.Facebook.AddUser(messengertest.User{Name: "Mia"})
	s.mia.Manages(w.Page, messengertest.Role{})
	w.Facebook.Configure("1111111111", func(a *messengertest.App) { a.DeauthorizeURL = "http://parley.test/facebook/deauthorize" })
	return s
}

type vars = map[string]any

func (s *shop) says(text string) {
	s.t.Helper()
	a := s.ann.Must(`mutation($c: ID!, $t: String!) { sendMessage(input: {chatId: $c, text: $t}) { userErrors { message } } }`, vars{"c": s.chat, "t": text})
	if failed := a.List("sendMessage.userErrors"); len(failed) > 0 {
		s.t.Fatal(failed)
	}
}

// sent is how often Facebook took a text.
func (s *shop) sent(text string) (n int) {
	for _, m := range s.Facebook.Sent() {
		if m.Text == text {
			n++
		}
	}
	return n
}

// state is the channel's, and what its checks that did not pass say.
func (s *shop) state() (state, problems string) {
	s.t.Helper()
	a := s.Admin.Must(`query($c: ID!) { node(id: $c) { ... on Channel { state checks { code status detail action } } } }`, vars{"c": s.Channel})
	for _, k := range a.List("node.checks") {
		if apptest.Get(k, "status") != "PASSED" {
			problems += fmt.Sprintln(k)
		}
	}
	return a.String("node.state"), problems
}

func (s *shop) becomes(state string) {
	s.t.Helper()
	s.Until("the channel is "+state, func() bool { now, _ := s.state(); return now == state })
}

// byToken connects the page by a new token.
func (s *shop) byToken() {
	s.t.Helper()
	s.token = s.Page.NewToken("1111111111")
	s.Admin.Must(`mutation($t: String!) { connectFacebookPage(input: {pageAccessToken: $t}) { channel { id } userErrors { message } } }`, vars{"t": s.token})
}

// byLogin connects the page as Mia does it in a browser.
func (s *shop) byLogin() {
	s.t.Helper()
	s.mia.Manages(s.Page, messengertest.Role{})
	a := s.Admin.Must(`mutation { startFacebookLogin(input: {askAgain: true}) { url login { id } } }`, nil)
	back, err := s.mia.Continues(a.String("startFacebookLogin.url"), messengertest.Choice{All: true})
	if err != nil {
		s.t.Fatal(err)
	}
	back, _, _ = strings.Cut(back, "#") // a browser keeps that for itself
	arrived, err := messengertest.Reaching("parley.test", s.App.Addr).Get(back)
	if err != nil || arrived.StatusCode != http.StatusOK {
		s.t.Fatal(arrived, err)
	}
	_ = arrived.Body.Close()
	s.token = ""
	a = s.Admin.Must(`mutation($l: ID!, $p: String!) { connectFacebookPages(input: {loginId: $l, pageIds: [$p]}) { results { channel { state } userErrors { message } } userErrors { message } } }`,
		vars{"l": a.String("startFacebookLogin.login.id"), "p": s.Page.ID})
	if !strings.Contains(fmt.Sprint(a.Data), "CONNECTED") {
		s.t.Fatal(a.Data)
	}
}

// survives plays a trouble: the channel says so in its state, its checks and an
// event; the customer is heard; what the operator wrote goes out once, when the
// page is connected again.
func (s *shop) survives(name string, trouble func(), noticed string, repair func(), says string) {
	s.t.Helper()
	cursor := s.Admin.Must(`{ eventCursor }`, nil).String("eventCursor")
	trouble()
	first, second, question := "First, "+name, "Second, "+name, "Still there, "+name+"?"
	switch noticed {
	case "by a send":
		s.says(first)
		s.becomes("REAUTHORIZATION_REQUIRED")
	case "by a check":
		s.Admin.Must(`mutation($c: ID!) { checkChannel(input: {id: $c}) { userErrors { message } } }`, vars{"c": s.Channel})
		fallthrough
	default:
		s.becomes("REAUTHORIZATION_REQUIRED")
		s.says(first)
	}
	s.says(second)
	if _, problems := s.state(); !strings.Contains(problems, says) || !strings.Contains(problems, "FAILED") {
		s.t.Errorf("%s: the checks say %s", name, problems)
	}
	s.Until("an event tells of "+name, func() bool {
		told := s.Admin.Must(`query($c: Cursor) { events(after: $c) { events { ... on ChannelUpdated { channel { state } } } } }`, vars{"c": cursor})
		return strings.Contains(fmt.Sprint(told.Data), "REAUTHORIZATION_REQUIRED")
	})
	if chat := s.Hears(s.ada, question); chat != s.chat {
		s.t.Errorf("%s: %q came into another chat", name, question)
	}
	if s.sent(first)+s.sent(second) > 0 {
		s.t.Errorf("%s: something was sent meanwhile", name)
	}
	repair()
	s.becomes("CONNECTED")
	s.Until("both were sent, "+name, func() bool { return s.sent(first) > 0 && s.sent(second) > 0 })
	s.Until("nothing is wrong any more, "+name, func() bool { _, problems := s.state(); return problems == "" })
}

func TestWhateverEndsATokenNothingIsLostAndNothingIsSentTwice(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		s := openShop(t, w)
		if err := w.App.Desk.KeepHeard(t.Context()); err != nil { // or that no message has come is a problem too
			t.Fatal(err)
		}
		for _, code := range []int{0, 456, 457, 458, 459, 460, 461, 462, 463, 464, 465, 466, 467, 468, 492} {
			s.survives(fmt.Sprint(code), func() { w.Facebook.KillToken(s.token, code) }, "by a send", s.byToken, "TOKEN")
		}
		s.byLogin()
		const app = "1111111111"
		s.survives("the password was changed", func() { s.mia.EndSessions(460) }, "by a check", s.byLogin, "password")
		s.survives("the app was removed", func() { s.mia.RemovesApp(app) }, "by Facebook", s.byLogin, "removed")
		s.survives("a permission was revoked", func() { s.mia.Revokes(app, "pages_messaging") }, "by a check", s.byLogin, "left this page")
		s.survives("the role was lost", func() { s.mia.Leaves(w.Page) }, "by a check", s.byLogin, "role")
		texts := map[string]int{}
		for _, m := range w.Facebook.Sent() {
			texts[m.Text]++
		}
		for text, n := range texts {
			if n != 1 {
				t.Errorf("%q was sent %d times", text, n)
			}
		}
		if len(texts) != 2*19 {
			t.Errorf("%d texts were sent", len(texts))
		}
		order := []string{}
		for _, m := range w.Facebook.Sent() {
			order = append(order, m.Text[:strings.Index(m.Text, ",")])
		}
		if i := slices.Index(order, "Second"); i != 1 {
			t.Errorf("sent in the order %v", order)
		}
	})
}
