package app_test

import (
	"maps"
	"net/url"
	"slices"

	"parley/server/app/apptest"
	"parley/server/channels"
	"parley/server/messenger/messengertest"
)

// pages are connected, after all that can go wrong.
func (r *run) pages() {
	token := r.Page.Token
	for _, path := range []string{"/me", "/debug_token", "/subscribed_apps"} {
		for _, f := range []messengertest.Fault{
			{Code: 190, Subcode: 460, Message: "Error validating access token: " + token + " of the app with the secret " + apptest.AppSecret},
			{Code: 100, Message: "(#100) " + url.QueryEscape(token) + " is no token, " + url.Values{"client_secret": {apptest.AppSecret}}.Encode()},
			{Code: 2, Message: "Authorization: Bearer " + token}, {Mode: messengertest.HangUp}, {Mode: messengertest.Truncate}, {Mode: messengertest.HTML},
		} {
			f.Path = path
			r.fails(f, connect, variables{"t": token})
		}
	}
	r.refused(r.Admin, connect, variables{"t": r.another("page token")})
	r.refused(r.Admin, connect, variables{"t": token + "\n" + r.another("second line of a page token")})
	r.refused(r.Admin, connect, variables{"t": apptest.AppID + "|" + apptest.AppSecret})
	dead := r.Page.NewToken(apptest.AppID)
	r.Facebook.KillToken(dead, 463)
	r.refused(r.Admin, connect, variables{"t": dead})

	r.Channel = r.Admin.Must(connect, variables{"t": token}).String("connectFacebookPage.channel.id")
	r.Queue = r.AddQueue("Support", r.Admin)
	r.Admin.Must(`mutation($c: ID!, $q: ID!) { updateChannel(input: {id: $c, active: true, queueId: $q}) { userErrors { code message } } }`, variables{"c": r.Channel, "q": r.Queue})
}

// during does something while a fault lasts: the checks of channels come to feel it
// too.
func (r *run) during(f messengertest.Fault, do func()) {
	r.t.Helper()
	f.Times = -1
	r.Facebook.Fail(f)
	do()
	r.Facebook.Heal()
}

// fails asks for what fails by a fault.
func (r *run) fails(f messengertest.Fault, query string, v variables) {
	r.t.Helper()
	r.during(f, func() { r.refused(r.Admin, query, v) })
}

// logins end well and badly.
func (r *run) logins() {
	ada := r.Facebook.AddUser(messengertest.User{ID: "2001", Name: "Ada"})
	ada.Manages(r.Facebook.AddPage(messengertest.Page{ID: "1001", Name: "Harbour Books", AppID: apptest.AppID}), messengertest.Role{})
	login := func(finish func(string) (string, error)) (id string, at *url.URL) {
		a := r.Admin.Must(`mutation { startFacebookLogin(input: {}) { login { id } url userErrors { code message } } }`, nil)
		back, err := finish(a.String("startFacebookLogin.url"))
		if err == nil {
			at, err = url.Parse(back)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		r.get(at.RequestURI())
		return a.String("startFacebookLogin.login.id"), at
	}
	goes := func(address string) (string, error) { return ada.Continues(address, messengertest.Choice{All: true}) }
	read := `query($id: ID!) { facebookLogin(id: $id) { status reason userName pages { id name selectable reason } } }`
	choose := `mutation($id: ID!) { connectFacebookPages(input: {loginId: $id, pageIds: ["1001"]}) { results { channel { id } userErrors { code message } } userErrors { code message } } }`

	for _, path := range []string{"/oauth/access_token", "/debug_token", "/me"} {
		for _, f := range []messengertest.Fault{
			{Code: 1, Message: "Error validating client secret. " + apptest.AppSecret}, {Code: 190, Message: "wrong: " + apptest.AppSecret}, {Mode: messengertest.HangUp}, {Mode: messengertest.HTML},
		} {
			f.Path = path
			r.during(f, func() {
				id, _ := login(goes)
				if status := r.Admin.Must(read, variables{"id": id}).Get("facebookLogin.status"); status != "FAILED" {
					r.t.Fatalf("%s %+v: the login is %v", path, f, status)
				}
			})
		}
	}
	id, _ := login(ada.Cancels)
	r.Admin.Must(read, variables{"id": id})
	r.get(channels.CallbackPath + "?" + url.Values{"state": {r.another("state")}, "code": {r.another("code")}, "error_message": {apptest.AppSecret}}.Encode())

	id, at := login(goes)
	r.get(at.RequestURI()) // again
	requests := r.Facebook.Requests()
	exchange := slices.IndexFunc(requests, func(q messengertest.Request) bool { return q.Params["fb_exchange_token"] != "" })
	ofUser := requests[exchange].Params["fb_exchange_token"]
	for _, f := range []messengertest.Fault{{Code: 190, Message: "Error validating access token: " + ofUser}, {Mode: messengertest.Truncate}, {Mode: messengertest.HangUp}} {
		f.Path = "/me/accounts"
		r.fails(f, read, variables{"id": id})
		r.fails(f, choose, variables{"id": id})
	}
	r.fails(messengertest.Fault{Path: "/subscribed_apps", Code: 100, Message: "token " + ofUser}, choose, variables{"id": id})
	r.Admin.Must(choose, variables{"id": id})
	ada.EndSessions(460)
	r.refused(r.Admin, read, variables{"id": id})
}

// conversation is one whose answers Facebook takes, and refuses in every way.
func (r *run) conversation() {
	ann := r.Customer("Ann")
	r.Facebook.Fail(messengertest.Fault{Path: "/" + ann.ID, Code: 2, Message: "no profile for " + r.Page.Token})
	chat := variables{"c": r.Hears(ann, control)}
	r.Admin.Must(`mutation($c: ID!) { acceptChat(input: {chatId: $c}) { userErrors { code message } } }`, chat)
	for _, out := range []struct {
		fault  messengertest.Fault
		status string
	}{
		{messengertest.Fault{Code: 100, Message: "(#100) The token " + r.Page.Token + " and " + apptest.AppSecret}, "FAILED"},
		{messengertest.Fault{Code: 551, Message: "(#551) not for Bearer " + r.Page.Token}, "FAILED"},
		{messengertest.Fault{Code: 2, Message: "busy with " + r.Page.Token, Transient: true}, "SENT"},
		{messengertest.Fault{Mode: messengertest.HTML, Accepted: true}, "SENT"},
		{messengertest.Fault{Mode: messengertest.HangUp, Accepted: true}, "SENT"},
		{messengertest.Fault{Code: 190, Subcode: 460, Message: "Error validating access token: " + r.Page.Token}, "PENDING"},
	} {
		out.fault.Path = "/messages"
		r.Facebook.Fail(out.fault)
		r.sends(chat, out.status)
	}
	channel := variables{"id": r.Channel}
	r.Until("the channel's token is known to be dead", func() bool {
		return r.Admin.Must(`query($id: ID!) { node(id: $id) { ... on Channel { state stateReason } } }`, channel).Get("node.state") == "REAUTHORIZATION_REQUIRED"
	})
	r.Admin.Must(connect, variables{"t": r.Page.NewToken(apptest.AppID)})
	r.sends(chat, "SENT")
	if err := r.Facebook.Settle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// sends waits until a message fares so.
func (r *run) sends(chat variables, statuses ...string) {
	r.t.Helper()
	sent := maps.Clone(chat)
	sent["t"] = "an answer"
	id := variables{"id": r.Admin.Must(`mutation($c: ID!, $t: String!) { sendMessage(input: {chatId: $c, text: $t}) { message { id } userErrors { code message } } }`, sent).String("sendMessage.message.id")}
	if statuses[0] == "SENT" {
		statuses = append(statuses, "DELIVERED")
	}
	r.Until("the message is "+statuses[0], func() bool {
		a := r.Admin.Must(`query($id: ID!) { node(id: $id) { ... on Message { status deliveries { status failure { code reason } } } } }`, id)
		return slices.Contains(statuses, a.String("node.status"))
	})
}
