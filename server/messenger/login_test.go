package messenger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTheAddressOfALoginSaysWhatIsAskedFor(t *testing.T) {
	const verifier = "a-verifier-of-at-least-forty-three-characters"
	sum := sha256.Sum256([]byte(verifier))
	const scopes = "pages_show_list,pages_messaging,pages_manage_metadata,pages_read_engagement,business_management"
	c := &Client{App: theApp}
	for name, x := range map[string]struct {
		login Login
		want  url.Values
	}{
		"plain": {Login{RedirectURI: "https://desk.example/back?x=1", State: "s&t"}, url.Values{"scope": {scopes}}},
		"a configuration": {Login{ConfigID: "77"},
			url.Values{"config_id": {"77"}, "override_default_response_type": {"true"}}},
		"again, proven": {Login{Again: true, Verifier: verifier}, url.Values{"scope": {scopes}, "auth_type": {"rerequest"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}},
	} {
		x.want.Set("client_id", "7")
		x.want.Set("response_type", "code")
		x.want.Set("redirect_uri", x.login.RedirectURI)
		x.want.Set("state", x.login.State)
		got, err := url.Parse(c.LoginURL(x.login))
		if err != nil || got.Host != "www.facebook.com" || got.Path != "/v26.0/dialog/oauth" || show(got.Query()) != show(x.want) {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

func TestWhatALoginIsExchangedForGoesInAForm(t *testing.T) {
	var form url.Values
	answer := `{"access_token":"EAAGlong","token_type":"bearer","expires_in":5183944}`
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		form, _ = url.ParseQuery(string(raw))
		if r.Method != "POST" || r.URL.String() != "/v26.0/oauth/access_token" || r.Header.Get("Authorization") != "" ||
			r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		_, _ = io.WriteString(w, answer)
	})
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	c.Now = func() time.Time { return at }
	app := url.Values{"client_id": {"7"}, "client_secret": {"app-secret"}}
	with := func(more url.Values) string {
		for name, value := range app {
			more[name] = value
		}
		return show(more)
	}
	g, err := c.ExchangeCode(context.Background(), "a-code", "https://desk.example/back?x=%2F", "a-verifier")
	if err != nil || g != (Grant{"EAAGlong", at.Add(5183944 * time.Second)}) {
		t.Errorf("%v %v", g, err)
	}
	if want := with(url.Values{"code": {"a-code"}, "redirect_uri": {"https://desk.example/back?x=%2F"}, "code_verifier": {"a-verifier"}}); show(form) != want {
		t.Errorf("%s, want %s", show(form), want)
	}
	for _, forever := range []string{`{"access_token":"EAAGlong"}`, `{"access_token":"EAAGlong","expires_in":0}`, `{"access_token":"EAAGlong","expires_in":"x"}`} {
		answer = forever
		if g, err = c.ExtendToken(context.Background(), "EAAGshort"); err != nil || g != (Grant{Token: "EAAGlong"}) {
			t.Errorf("%s: %v %v", forever, g, err)
		}
	}
	if want := with(url.Values{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {"EAAGshort"}}); show(form) != want {
		t.Errorf("%s, want %s", show(form), want)
	}
	answer = `{}`
	if _, err := c.ExtendToken(context.Background(), "EAAGshort"); ClassOf(err) != ClassInvalid {
		t.Errorf("an answer without token: %v", err)
	}
}

func TestErrorsOfALoginCanBeToldApart(t *testing.T) {
	for _, x := range []struct {
		code, subcode int
		message       string
		want          Problem
		class         Class
	}{
		{100, 36009, "This authorization code has been used.", ProblemCodeUsed, ClassInvalid},
		{100, 0, "This authorization code has been used.", ProblemCodeUsed, ClassInvalid},
		{100, 36007, "This authorization code has expired.", ProblemCodeExpired, ClassInvalid},
		{100, 0, "This authorization code has expired.", ProblemCodeExpired, ClassInvalid},
		{100, 36008, "Error validating verification code. Please make sure your redirect_uri is identical to the one you used in the OAuth dialog request", ProblemRedirectDiffers, ClassInvalid},
		{100, 0, "Invalid verification code format.", ProblemCodeInvalid, ClassInvalid},
		{101, 0, "Error validating application. Invalid application ID.", ProblemAppID, ClassInvalid},
		{1, 0, "Error validating client secret.", ProblemAppSecret, ClassInvalid},
		{1, 0, "An unknown error occurred", "", ClassTransient},
		{191, 0, "The redirect_uri is not allowed", ProblemRedirectRefused, ClassInvalid},
		{190, 463, "Session has expired", ProblemExpired, ClassToken},
		{100, 0, "Something else", "", ClassInvalid},
	} {
		body := show(map[string]any{"error": map[string]any{"message": x.message, "code": x.code, "error_subcode": x.subcode}})
		_, err := facebook(t, says(400, body)).ExchangeCode(context.Background(), "c", "https://desk.example", "")
		if ProblemOf(err) != x.want || ClassOf(err) != x.class {
			t.Errorf("%d/%d %s: %s %v", x.code, x.subcode, x.message, ProblemOf(err), err)
		}
	}
	_, err := (&Client{}).ExchangeCode(context.Background(), "c", "https://desk.example", "")
	if ProblemOf(err) != ProblemNoApp || ClassOf(err) != ClassInvalid || ProblemOf(nil) != "" {
		t.Errorf("without an app: %v", err)
	}
}

func TestEveryDeadTokenIsOneAndSaysWhatToDo(t *testing.T) {
	own := map[string]int{}
	for _, subcode := range []int{0, 456, 457, 458, 459, 460, 461, 462, 463, 464, 465, 466, 467, 468, 492} {
		_, err := facebook(t, says(400, fmt.Sprintf(`{"error":{"code":190,"error_subcode":%d,"message":"m"}}`, subcode))).Me(context.Background(), token)
		var e *Error
		if !errors.As(err, &e) || e.Class != ClassToken || e.Reason() == "" {
			t.Errorf("%d: %v", subcode, err)
			continue
		}
		own[e.Reason()] = subcode
	}
	if len(own) != 9 { // eight that somebody can do something about, and the rest
		t.Errorf("%v", own)
	}
	for body, want := range map[string]Problem{
		`{"error":{"code":459,"message":"m"}}`:                     ProblemCheckpoint, // as me/accounts documents it
		`{"error":{"code":102,"error_subcode":460,"message":"m"}}`: ProblemPasswordChanged,
		`{"error":{"code":190,"message":"Any of the pages_messaging permission(s) must be granted before impersonating a user's page."}}`: ProblemPageNotChosen,
	} {
		_, err := facebook(t, says(400, body)).Me(context.Background(), token)
		if ProblemOf(err) != want || ClassOf(err) != ClassToken {
			t.Errorf("%s: %s %v", body, ProblemOf(err), err)
		}
	}
	for p := range reasons {
		if p.Reason() == "" || !strings.HasSuffix(p.Reason(), ".") {
			t.Errorf("%s: %q", p, p.Reason())
		}
	}
}

func TestWhatTheAppAsksForItselfNeedsItsOwnTokenAndNoProof(t *testing.T) {
	verify := ""
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 7|app-secret" || strings.Contains(r.URL.String(), "app-secret") || r.URL.Query().Has("appsecret_proof") {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		switch r.Method + " " + r.URL.Path {
		case "GET /v26.0/7":
			_, _ = io.WriteString(w, `{"id":"7","name":"Desk"}`)
		case "GET /v26.0/7/subscriptions":
			_, _ = io.WriteString(w, `{"data":[{"object":"page","callback_url":"https:\/\/desk.example","active":true,`+
				`"fields":[{"name":"messages","version":"v26.0"},{"name":"standby"}]},{"object":"permissions"}]}`)
		case "POST /v26.0/7/subscriptions":
			_ = r.ParseForm()
			verify = show(r.PostForm)
			_, _ = io.WriteString(w, `{"success":true}`)
		}
	})
	ctx := context.Background()
	if app, err := c.ReadApp(ctx); err != nil || app != (AppInfo{"7", "Desk"}) {
		t.Errorf("%v %v", app, err)
	}
	got, err := c.AppSubscriptions(ctx)
	want := `[{"Object":"page","CallbackURL":"https://desk.example","Active":true,"Fields":["messages","standby"]},` +
		`{"Object":"permissions","CallbackURL":"","Active":false,"Fields":null}]`
	if err != nil || show(got) != want {
		t.Errorf("%s %v", show(got), err)
	}
	err = c.SubscribeApp(ctx, AppSubscription{Object: "page", CallbackURL: "https://desk.example", Fields: []string{"messages", "standby"}}, "v")
	if err != nil || verify != `{"callback_url":["https://desk.example"],"fields":["messages,standby"],"include_values":["true"],"object":["page"],"verify_token":["v"]}` {
		t.Errorf("%s %v", verify, err)
	}
	for body, want := range map[string]Problem{
		`{"error":{"code":190,"message":"Invalid OAuth access token signature."}}`:    ProblemAppRefused,
		`{"error":{"code":101,"message":"Error validating application."}}`:            ProblemAppID,
		`{"error":{"code":2200,"message":"(#2200) Callback verification failed: v"}}`: ProblemCallback,
	} {
		err := facebook(t, says(400, body)).SubscribeApp(ctx, AppSubscription{}, "v")
		if ProblemOf(err) != want || ClassOf(err) != ClassInvalid {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := (&Client{}).AppSubscriptions(ctx); ProblemOf(err) != ProblemNoApp {
		t.Errorf("without an app: %v", err)
	}
}

func TestTheAppIsAskedForOnEveryCall(t *testing.T) {
	proof := ""
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		proof = r.URL.Query().Get("appsecret_proof")
		_, _ = io.WriteString(w, `{}`)
	})
	for _, secret := range []string{"one", "two", ""} {
		c.App = func() App { return App{ID: "7", Secret: secret} }
		if _, err := c.Me(context.Background(), token); err != nil {
			t.Error(err)
		}
		if want := AppSecretProof(secret, token); (secret == "") != (proof == "") || secret != "" && proof != want {
			t.Errorf("%s: %s", secret, proof)
		}
	}
	if c.AppID() != "7" || (&Client{}).AppID() != "" {
		t.Error("the id of the app")
	}
}

func TestWhatIsKnownOfATokenIsRead(t *testing.T) {
	body := `{"data":{"app_id":1111,"type":"PAGE","application":"Demo","data_access_expires_at":1803000000,"expires_at":0,` +
		`"is_valid":true,"issued_at":1795000000,"profile_id":"101","user_id":"2222","scopes":["pages_messaging","pages_show_list","business_management"],` +
		`"granular_scopes":[{"scope":"pages_messaging","target_ids":["101",103]},{"scope":"pages_show_list"},{"scope":"business_management","target_ids":[]}]}}`
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Query().Get("input_token") != token || r.Header.Get("Authorization") != "Bearer 7|app-secret" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		_, _ = io.WriteString(w, body)
	})
	i, err := c.DebugToken(context.Background(), token)
	if err != nil || !i.Valid || i.AppID != "1111" || i.AppName != "Demo" || i.Type != "PAGE" || i.ProfileID != "101" ||
		i.UserID != "2222" || !i.Expires.IsZero() || i.Issued.Unix() != 1795000000 || i.DataAccessExpires.Unix() != 1803000000 {
		t.Errorf("%+v %v", i, err)
	}
	for what, want := range map[string]bool{
		"pages_messaging 101": true, "pages_messaging 103": true, "pages_messaging 102": false,
		"pages_show_list 102": true, "business_management 101": false, "pages_manage_metadata 101": false,
	} {
		scope, page, _ := strings.Cut(what, " ")
		if i.Covers(scope, page) != want {
			t.Errorf("%s: %t", what, !want)
		}
	}
	if old := (TokenInfo{Scopes: []string{"pages_messaging"}}); !old.Covers("pages_messaging", "1") {
		t.Error("a token without granular scopes")
	}
	body = `{"data":{"app_id":"1111","error":{"code":190,"message":"Error validating ` + token + `","subcode":460},"is_valid":false,"scopes":[]}}`
	i, err = c.DebugToken(context.Background(), token)
	if err != nil || i.Valid || i.Problem == nil || i.Problem.Problem != ProblemPasswordChanged || i.Problem.Class != ClassToken ||
		strings.Contains(i.Problem.Error(), token) {
		t.Errorf("%+v %v", i, err)
	}
}

// debug_token is the one call with a token in its URL.
func TestATokenThatIsLookedIntoIsInNoError(t *testing.T) {
	short := "EAAGshort" // too short to be redacted for its looks
	for name, serve := range map[string]http.HandlerFunc{
		"repeats it": says(400, `{"error":{"code":100,"message":"Invalid input_token `+short+` by 7|app-secret"}}`),
		"hangs up":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"sends on": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusFound)
		},
		"cut": says(200, `{"data":`),
	} {
		c := facebook(t, serve)
		for call, do := range map[string]func() error{
			"look into": func() error { _, err := c.DebugToken(context.Background(), short); return err },
			"extend":    func() error { _, err := c.ExtendToken(context.Background(), short); return err },
			"exchange":  func() error { _, err := c.ExchangeCode(context.Background(), short, "https://x", "v"); return err },
		} {
			err := do()
			var withURL *url.Error
			if err == nil || errors.As(err, &withURL) || strings.Contains(fmt.Sprintf("%v %+v", err, err), short) || strings.Contains(err.Error(), "app-secret") {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
}
