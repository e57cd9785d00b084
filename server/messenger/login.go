package messenger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Login is a login to Facebook that is about to begin.
type Login struct {
	RedirectURI string // where Facebook sends the browser afterwards; one of those that the app allows
	State       string // comes back unchanged
	ConfigID    string // a configuration of Facebook Login for Business; it says what is asked for, instead of LoginScopes
	Verifier    string // of PKCE, 43 to 128 characters; "": without it. Only its hash is shown.
	Again       bool   // ask again for what was declined before
}

// LoginURL gives the address to send somebody's browser to (login guide, Oct 2026). It comes back to the redirect URI
// with code and state or, if the person declined, with error, error_reason and state; also with error_code and
// error_message if Facebook did.
func (c *Client) LoginURL(l Login) string {
	query := url.Values{"client_id": {c.app().ID}, "redirect_uri": {l.RedirectURI}, "state": {l.State}, "response_type": {"code"}}
	if l.ConfigID == "" {
		query.Set("scope", strings.Join(LoginScopes(), ","))
	} else {
		query.Set("config_id", l.ConfigID)
		query.Set("override_default_response_type", "true")
	}
	if l.Again {
		query.Set("auth_type", "rerequest")
	}
	if l.Verifier != "" {
		sum := sha256.Sum256([]byte(l.Verifier))
		query.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
		query.Set("code_challenge_method", "S256")
	}
	return strings.TrimRight(or(c.DialogURL, DefaultDialogURL), "/") + "/" + or(c.Version, DefaultVersion) +
		"/dialog/oauth?" + query.Encode()
}

// Grant is a token that a login gave. Expires is zero if it does not end by itself.
type Grant struct {
	Token   string
	Expires time.Time
}

// ExchangeCode makes the user's token of the code that a login came back with. It works once. The redirect URI must be
// that of the login to the byte, and so must the verifier, if it had one.
func (c *Client) ExchangeCode(ctx context.Context, code, redirectURI, verifier string) (Grant, error) {
	form := url.Values{"code": {code}, "redirect_uri": {redirectURI}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return c.grant(ctx, form, code, verifier)
}

// ExtendToken makes a user's token that lasts about 60 days of one that lasts an hour or two. Page tokens read with it
// do not expire.
func (c *Client) ExtendToken(ctx context.Context, token string) (Grant, error) {
	return c.grant(ctx, url.Values{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {token}}, token)
}

// grant asks for a token. The documented call is a GET with all of it in its URL; a form does as well (it is what
// golang.org/x/oauth2 sends) and keeps the secrets out of logs.
func (c *Client) grant(ctx context.Context, form url.Values, secrets ...string) (Grant, error) {
	app := c.app()
	form.Set("client_id", app.ID)
	form.Set("client_secret", app.Secret)
	var answer struct {
		Token   text `json:"access_token"`
		Expires text `json:"expires_in"` // seconds
	}
	asked := c.now()
	err := c.call(ctx, request{method: http.MethodPost, path: "oauth/access_token", form: form, app: app, login: true,
		secrets: secrets}, &answer)
	if err != nil {
		return Grant{}, err
	}
	if answer.Token == "" {
		return Grant{}, &Error{Class: ClassInvalid, HTTPStatus: http.StatusOK, Message: "the answer holds no token"}
	}
	g := Grant{Token: string(answer.Token)}
	if seconds, _ := strconv.ParseInt(string(answer.Expires), 10, 32); seconds > 0 {
		g.Expires = asked.Add(time.Duration(seconds) * time.Second)
	}
	return g, nil
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Permission is something a login was asked for. Status is granted, declined or expired.
type Permission struct{ Name, Status string }

// Permissions lists what the user of a token granted and declined.
func (c *Client) Permissions(ctx context.Context, token string) ([]Permission, error) {
	var answer struct {
		Data []struct {
			Permission text `json:"permission"`
			Status     text `json:"status"`
		}
	}
	err := c.call(ctx, request{method: http.MethodGet, path: "me/permissions", token: token}, &answer)
	var all []Permission
	for _, p := range answer.Data {
		all = append(all, Permission{string(p.Permission), string(p.Status)})
	}
	return all, err
}
