package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/messenger/messengertest"
	"parley/server/settings"
)

const (
	signIn  = `mutation($e: String!, $p: String!) { signIn(input: {email: $e, password: $p}) { accessToken refreshToken userErrors { code field message } } }`
	refresh = `mutation($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken refreshToken userErrors { code field message } } }`
	connect = `mutation($t: String!) { connectFacebookPage(input: {pageAccessToken: $t}) { channel { id } userErrors { code field message } } }`
	set     = `mutation($s: [SystemSettingInput!]!, $dry: Boolean! = false) { updateSystemSettings(input: {settings: $s, dryRun: $dry}) {
		systemSettings { version settings { code value default isSet } } userErrors { code field message } } }`
)

type variables = map[string]any

// people sign in, rightly and wrongly.
func (r *run) people() {
	first := r.App.FirstAdmin
	r.Admin = r.SignInBy(first.Email, first.Password)
	r.first = r.Admin.Must(`{ eventCursor }`, nil).String("eventCursor")
	password := "password/of+the&operator"
	r.secrets.add("operator's password", password)
	add := `mutation($p: String!, $e: String!) { createOperator(input: {email: $e, name: "Ann", role: OPERATOR, password: $p}) { operator { id name email } userErrors { code field message } } }`
	r.Admin.Must(add, variables{"p": password, "e": "ann@test.example"})
	r.refused(r.Admin, add, variables{"p": password, "e": "ann@test.example"})
	r.refused(r.Admin, add, variables{"p": password, "e": password})

	nobody := r.Anonymous()
	r.refused(nobody, signIn, variables{"e": "ann@test.example", "p": r.another("password")})
	r.refused(nobody, signIn, variables{"e": r.another("password as e-mail"), "p": "?"})
	r.refused(nobody, refresh, variables{"t": r.another("refresh token")})
	ann := r.SignInBy("ann@test.example", password)
	ann.Must(refresh, variables{"t": ann.RefreshToken})
	r.refused(nobody, refresh, variables{"t": ann.RefreshToken}) // which ends the session
	nobody.Token = r.another("access token")
	r.refused(nobody, `{ viewer { role } }`, nil)
	nobody.Token = ann.Token + "x"
	r.refused(nobody, `{ viewer { role } }`, nil)

	socket := r.Dial()
	socket.Say(apptest.Frame{Type: "connection_init", Payload: variables{"authorization": "Bearer " + r.another("access token of a socket")}})
	r.answers.note(socket.TryRead())
}

// machines get tokens for their secrets.
func (r *run) machines() {
	m := r.AddMachine("Machine", operator.RoleIntegrator, "chats:write")
	m.Must(`{ viewer { apiClient { name scopes } } }`, nil)
	ref := variables{"id": m.ID}
	m.Secret = r.Admin.Must(`mutation($id: ID!) { rotateApiClientSecret(input: {id: $id}) { clientSecret userErrors { message } } }`, ref).String("rotateApiClientSecret.clientSecret")
	if _, refused := m.AskToken(); refused != "" {
		r.t.Fatal(refused)
	}
	r.post(auth.TokenPath, url.Values{"grant_type": {"client_credentials"}, "client_id": {m.ID}, "client_secret": {r.another("client secret in a form")}})
	r.post(auth.TokenPath, url.Values{"grant_type": {m.Secret}, "client_id": {m.Secret}, "client_secret": {m.Secret}, "scope": {m.Secret}})
	r.post(auth.TokenPath, url.Values{"grant_type": {"client_credentials"}, "client_id": {m.ID}, "client_secret": {m.Secret}, "scope": {m.Secret}})
	m.Secret = r.another("client secret in a header")
	if _, refused := m.AskToken(); refused != "invalid_client" {
		r.t.Fatal(refused)
	}
	repeated := `mutation { createApiClient(input: {name: "Bot", role: BOT, idempotencyKey: "once"}) { apiClient { id } clientSecret userErrors { message } } }`
	r.Admin.Must(repeated, nil)
	r.Admin.Must(repeated, nil)
	r.Admin.Must(`{ apiClients { nodes { id clientId name } } auditEntries { nodes { subject before after } } }`, nil)
}

func setting(code settings.Code, value string) variables {
	return variables{"code": code, "value": value}
}

// settings are set, refused, and tested at servers that repeat what they are told.
func (r *run) settings() {
	now := r.App.Settings.Current()
	r.refused(r.Admin, set, variables{"s": []any{setting(settings.FacebookAppSecret, "two\nlines "+r.another("app secret"))}})
	r.refused(r.Admin, set, variables{"s": []any{setting(settings.FacebookAppID, r.another("app secret as app id"))}})
	r.refused(r.Admin, set, variables{"s": []any{setting(settings.IdentityServerURL, r.another("secret as URL"))}})
	r.refused(r.Admin, connect, variables{"t": []any{variables{"x": r.another("page token in a list")}}})
	r.Admin.Must(set, variables{"s": []any{setting(settings.FacebookWebhookVerifyToken, r.another("verify token"))}, "dry": true})

	outside := httptest.NewServer(http.HandlerFunc(repeating))
	r.t.Cleanup(outside.Close)
	for _, path := range []string{"", "/nowhere", "/refuses", "/fails"} {
		r.Admin.Must(set, variables{"s": []any{
			setting(settings.IdentityServerURL, outside.URL+path), setting(settings.IdentityServerClientID, "parley"),
			setting(settings.IdentityServerClientSecret, r.another("identity server's client secret")),
		}})
		if r.Admin.Must(`mutation { testIdentityServer { passed failedStep reason userErrors { message } } }`, nil).Get("testIdentityServer.passed") != false {
			r.t.Fatal("an identity server that refuses has passed the test")
		}
		r.refused(r.Admin, connect, variables{"t": r.another("page token before the set-up is complete")})
	}
	r.Admin.Must(set, variables{"s": []any{
		setting(settings.IdentityServerURL, now.Text(settings.IdentityServerURL)), setting(settings.IdentityServerClientID, now.Text(settings.IdentityServerClientID)),
		setting(settings.IdentityServerClientSecret, now.Text(settings.IdentityServerClientSecret)),
		setting(settings.FacebookAppSecret, r.another("app secret that Facebook refuses")),
	}})
	list := `{ channelSetup(provider: FACEBOOK_MESSENGER) { ready preconditions { code status reason } } systemSettings { settings { code value default isSet } } }`
	if r.Admin.Must(list, nil).Get("channelSetup.ready") != false {
		r.t.Fatal("the set-up is complete with a wrong app secret")
	}
	r.Admin.Must(set, variables{"s": []any{setting(settings.FacebookAppSecret, apptest.AppSecret)}})
	r.Facebook.Fail(messengertest.Fault{Path: "/" + apptest.AppID, Code: 2, Message: "busy with " + apptest.AppID + "|" + apptest.AppSecret})
	r.Admin.Must(list, nil)
	r.Admin.Must(set, variables{"s": []any{setting(settings.FacebookAppSecret, apptest.AppSecret)}})
}

// repeating is an identity server that says in its errors what it was told.
func repeating(w http.ResponseWriter, request *http.Request) {
	path, discovery := strings.CutSuffix(request.URL.Path, auth.DiscoveryPath)
	issuer := "http://" + request.Host + path
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "/nowhere":
		http.Error(w, "there is nothing here", http.StatusNotFound)
	case discovery:
		_, _ = io.WriteString(w, `{"issuer": "`+issuer+`", "authorization_endpoint": "`+issuer+`/authorize", "token_endpoint": "`+issuer+`/token", "jwks_uri": "`+issuer+`/keys"}`)
	default:
		_, secret, _ := request.BasicAuth()
		_ = request.ParseForm()
		if strings.HasPrefix(path, "/fails") {
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"error": "invalid_client", "error_description": "wrong: `+secret+` `+request.Form.Encode()+`"}`)
	}
}

// strangers come by where nobody is signed in.
func (r *run) strangers() {
	for _, token := range []string{apptest.VerifyToken, r.another("verify token of a webhook")} {
		r.get("/webhooks/facebook?" + url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"1"}, "hub.verify_token": {token}}.Encode())
	}
	r.post("/webhooks/facebook", url.Values{"access_token": {r.another("token in a webhook")}})
	r.post(channels.DeauthorizePath, url.Values{"signed_request": {r.another("signed request") + ".e30"}})
	r.post(channels.DeletionPath, url.Values{"signed_request": {r.another("signed request") + ".e30"}})
}

// get asks for a page, as a browser does, and follows nothing.
func (r *run) get(path string) { r.t.Helper(); r.ask(http.MethodGet, path, nil) }

func (r *run) post(path string, form url.Values) { r.t.Helper(); r.ask(http.MethodPost, path, form) }

func (r *run) ask(method, path string, form url.Values) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}
