package messengertest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// accessToken answers oauth/access_token (login guide, Oct 2026).
func (g *Graph) accessToken(c *call) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	app := g.apps[c.params["client_id"]]
	switch {
	case app == nil:
		return refusedLogin(101, 0, "Error validating application. Invalid application ID.")
	case c.params["client_secret"] != app.Secret:
		return refusedLogin(1, 0, "Error validating client secret.")
	}
	switch c.params["grant_type"] {
	case "client_credentials":
		return answer{body: object{"access_token": app.ID + "|" + app.Secret, "token_type": "bearer"}}
	case "fb_exchange_token":
		return g.extend(c, app)
	case "", "authorization_code":
		return g.redeem(c, app)
	}
	return refusedLogin(100, 0, "(#100) Param grant_type must be one of {client_credentials, fb_exchange_token}")
}

// refusedLogin is an error with the header that only this call has.
func refusedLogin(code, subcode int, message string) answer {
	return (&graphError{code: code, subcode: subcode, message: message, header: http.Header{
		"Www-Authenticate": {`OAuth "Facebook Platform" "invalid_code" ` + strconv.Quote(message)}}}).answer()
}

// redeem makes a short-lived token of a code, or a system user's. The caller holds the lock.
func (g *Graph) redeem(c *call, app *App) answer {
	code, redirect := g.codes[c.params["code"]], c.params["redirect_uri"]
	switch {
	case len(app.RedirectURIs) > 0 && !slices.Contains(app.RedirectURIs, redirect):
		return refusedLogin(191, 0, "redirect_uri isn't an absolute URI or is not allowed by the app's settings.")
	case code == nil || code.app != app:
		return refusedLogin(100, 0, "Invalid verification code format.")
	case code.used:
		return refusedLogin(100, 36009, "This authorization code has been used.")
	case !g.clock.Now().Before(code.expires):
		return refusedLogin(100, 36007, "This authorization code has expired.")
	case redirect != code.redirect:
		return refusedLogin(100, 36008, "Error validating verification code. Please make sure your redirect_uri is identical "+
			"to the one you used in the OAuth dialog request")
	case !code.proves(c.params["code_verifier"]):
		return refusedLogin(100, 0, "Error validating verification code. The code_verifier does not match.")
	}
	code.used = true
	if code.system {
		return g.userToken(&token{app: app, user: code.user, system: true, lasting: true}, 0)
	}
	return g.userToken(&token{app: app, user: code.user}, shortLasts)
}

// proves tells whether a verifier is that of the challenge the dialog was given (RFC 7636).
func (c *code) proves(verifier string) bool {
	if c.challenge != "" && c.hashing == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return c.challenge == "" || verifier == c.challenge
}

// extend makes a long-lived token of a user's token. The caller holds the lock.
func (g *Graph) extend(c *call, app *App) answer {
	t := g.tokens[c.params["fb_exchange_token"]]
	if e := g.alive(t); e != nil {
		return e.answer()
	}
	if t.user == nil || t.page != nil || t.app != app {
		return refusedLogin(100, 0, "(#100) The token is no user's token of this app")
	}
	return g.userToken(&token{app: app, user: t.user, system: t.system, lasting: true}, longLasts)
}

// userToken answers with a new token; lasts 0 is for ever. The caller holds the lock.
func (g *Graph) userToken(t *token, lasts time.Duration) answer {
	t.issued, t.pages = g.clock.Now(), map[*Page]string{}
	body := object{"token_type": "bearer"}
	if lasts > 0 {
		t.expires = t.issued.Add(lasts)
		body["expires_in"] = int(lasts / time.Second)
	}
	value := g.newToken()
	g.tokens[value] = t
	body["access_token"] = value
	return answer{body: body}
}

// pageToken gives the token of a page that is read with a user's token. The caller holds the lock.
func (g *Graph) pageToken(from *token, p *Page) string {
	if from.pages[p] == "" {
		t := &token{app: from.app, page: p, user: from.user, from: from, issued: g.clock.Now()}
		if !from.lasting {
			t.expires = from.expires
		}
		value := g.newToken()
		g.tokens[value], from.pages[p] = t, value
	}
	return from.pages[p]
}

// debugToken tells what a token is good for (reference, Oct 2026).
func (g *Graph) debugToken(c *call) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.as.page != nil || c.as.user != nil && !slices.Contains(c.as.app.Roles, c.as.user.ID) {
		return (&graphError{code: 100, message: "(#100) You must provide an app access token, or a user access token that is " +
			"an owner or developer of the app"}).answer()
	}
	t := g.tokens[c.params["input_token"]]
	if t == nil {
		return answer{body: object{"data": object{"is_valid": false, "scopes": []string{}, "app_id": c.as.app.ID,
			"error": object{"code": 190, "message": "Invalid OAuth access token."}}}}
	}
	data := object{"app_id": t.app.ID, "application": t.app.Name, "type": t.kind(), "is_valid": true, "expires_at": 0,
		"issued_at": t.issued.Unix(), "scopes": []string{}}
	if !t.expires.IsZero() {
		data["expires_at"] = t.expires.Unix()
	}
	if t.page != nil {
		data["profile_id"] = t.page.ID
		data["scopes"] = pagePermissions
		data["granular_scopes"] = []object{{"scope": "pages_messaging", "target_ids": []string{t.page.ID}}}
	}
	if t.user != nil {
		data["user_id"] = t.user.ID
		t.debugLogin(data)
	}
	if e := g.alive(t); e != nil {
		data["is_valid"], data["scopes"] = false, []string{}
		data["error"] = object{"code": e.code, "subcode": e.subcode, "message": e.message}
	}
	return answer{body: object{"data": data}}
}

func (t *token) kind() string {
	switch {
	case t.page != nil:
		return "PAGE"
	case t.system:
		return "SYSTEM_USER"
	case t.user != nil:
		return "USER"
	}
	return "APP"
}

// debugLogin tells of the login behind a token. The caller holds the lock.
func (t *token) debugLogin(data object) {
	l := t.user.logins[t.app.ID]
	granular := []object{}
	if l == nil {
		data["scopes"], data["granular_scopes"] = []string{}, granular
		return
	}
	data["scopes"] = l.scopes()
	data["data_access_expires_at"] = l.at.Add(dataAccessLasts).Unix()
	for _, name := range l.scopes() {
		scope := object{"scope": name}
		if !l.all && slices.Contains(pagePermissions, name) {
			scope["target_ids"] = l.pageIDs()
		}
		granular = append(granular, scope)
	}
	data["granular_scopes"] = granular
}

func (l *login) pageIDs() []string {
	ids := []string{}
	for _, p := range l.pages {
		ids = append(ids, p.ID)
	}
	return ids
}
