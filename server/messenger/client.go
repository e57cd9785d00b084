package messenger

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls the Graph API. Its fields are set once, before use. The zero value of a field means: Facebook's own
// hosts, DefaultVersion, no app and so no appsecret_proof, a client with a time-out of 30 seconds, the real time.
type Client struct {
	BaseURL, DialogURL string // of the Graph API, and of the site that people log in to
	Version            string
	App                func() App // asked for every call: the app may change while the server runs
	HTTP               *http.Client
	Now                func() time.Time
}

// App is the Facebook app in whose name the calls are made. Either may be empty.
type App struct{ ID, Secret string }

// token is the app's own access token (access token guide, Oct 2026).
func (a App) token() string { return a.ID + "|" + a.Secret }

// AppID is the id of the app; "" if none is set.
func (c *Client) AppID() string { return c.app().ID }

func (c *Client) app() App {
	if c.App == nil {
		return App{}
	}
	return c.App()
}

// Page is a page as its own token sees it.
type Page struct{ ID, Name, PictureURL string }

// Me gives the page, or the user, that a token belongs to.
func (c *Client) Me(ctx context.Context, token string) (Page, error) {
	return c.Page(ctx, token, "")
}

// Page gives a page by its id, to a token of its own or of somebody who manages it; without id, whatever the token is of.
func (c *Client) Page(ctx context.Context, token, id string) (Page, error) {
	var answer struct {
		ID, Name text
		Picture  struct {
			Data struct{ URL text }
		}
	}
	err := c.call(ctx, request{method: http.MethodGet, path: node(id), token: token,
		query: url.Values{"fields": {"id,name,picture"}}}, &answer)
	return Page{string(answer.ID), string(answer.Name), string(answer.Picture.Data.URL)}, err
}

// Subscription is an app that gets webhooks of a page.
type Subscription struct {
	AppID  string
	Fields []string
}

// Subscribe has our app get these webhook fields of a page. It replaces an earlier list.
func (c *Client) Subscribe(ctx context.Context, token, pageID string, fields []string) error {
	return c.succeed(ctx, request{method: http.MethodPost, path: edge(pageID, "subscribed_apps"), token: token,
		body: map[string]any{"subscribed_fields": strings.Join(fields, ",")}})
}

// Subscribed lists the apps that get webhooks of a page, as far as the token may see them.
func (c *Client) Subscribed(ctx context.Context, token, pageID string) ([]Subscription, error) {
	var answer struct {
		Data []struct {
			ID     text   `json:"id"`
			Fields []text `json:"subscribed_fields"`
		}
	}
	err := c.call(ctx, request{method: http.MethodGet, path: edge(pageID, "subscribed_apps"), token: token}, &answer)
	var all []Subscription
	for _, app := range answer.Data {
		all = append(all, Subscription{string(app.ID), plain(app.Fields)})
	}
	return all, err
}

// Unsubscribe ends our app's webhooks of a page.
func (c *Client) Unsubscribe(ctx context.Context, token, pageID string) error {
	return c.succeed(ctx, request{method: http.MethodDelete, path: edge(pageID, "subscribed_apps"), token: token})
}

// Profile is what a person lets the page know of them; any of it may be empty.
type Profile struct{ Name, FirstName, LastName, PictureURL, Locale string }

// Profile reads a person's profile. The locale needs a permission of its own, so without it the rest is asked for
// alone (profile reference, Oct 2026).
func (c *Client) Profile(ctx context.Context, token, psid string) (Profile, error) {
	p, err := c.profile(ctx, token, psid, "name,first_name,last_name,profile_pic,locale")
	if ClassOf(err) == ClassPermission {
		return c.profile(ctx, token, psid, "name,first_name,last_name,profile_pic")
	}
	return p, err
}

func (c *Client) profile(ctx context.Context, token, psid, fields string) (Profile, error) {
	var answer struct {
		Name    text `json:"name"`
		First   text `json:"first_name"`
		Last    text `json:"last_name"`
		Picture text `json:"profile_pic"`
		Locale  text `json:"locale"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: url.PathEscape(psid), token: token,
		query: url.Values{"fields": {fields}}}, &answer)
	p := Profile{string(answer.Name), string(answer.First), string(answer.Last), string(answer.Picture), string(answer.Locale)}
	if p.Name == "" {
		p.Name = strings.TrimSpace(p.FirstName + " " + p.LastName)
	}
	return p, err
}

// succeed makes a call that answers {"success":true} or, in one example of the reference, "true".
func (c *Client) succeed(ctx context.Context, r request) error {
	var answer success
	if err := c.call(ctx, r, &answer); err != nil {
		return err
	}
	if !answer {
		return &Error{Class: ClassInvalid, HTTPStatus: http.StatusOK, Message: "the answer does not say success"}
	}
	return nil
}

type success bool

func (s *success) UnmarshalJSON(raw []byte) error {
	said := string(raw)
	for name, value := range fields(raw) {
		if string(name) == `"success"` {
			said = string(value)
		}
	}
	*s = success(said == "true" || said == `"true"`)
	return nil
}

// edge is the path of something of a page; without a page, of the token's own.
func edge(pageID, name string) string {
	return node(pageID) + "/" + name
}

func node(id string) string { return url.PathEscape(or(id, "me")) }
