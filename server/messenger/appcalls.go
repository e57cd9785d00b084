package messenger

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// AppInfo is the app as Facebook knows it.
type AppInfo struct{ ID, Name string }

// ReadApp reads the app itself. It fails with a Problem if Facebook does not take its id and secret.
func (c *Client) ReadApp(ctx context.Context) (AppInfo, error) {
	var answer struct{ ID, Name text }
	app := c.app()
	err := c.call(ctx, request{method: http.MethodGet, path: node(app.ID), query: url.Values{"fields": {"id,name"}}}.asApp(app), &answer)
	return AppInfo{string(answer.ID), string(answer.Name)}, err
}

// AppSubscription is the app's one webhook for a kind of object: "page", "permissions", …
type AppSubscription struct {
	Object, CallbackURL string
	Active              bool
	Fields              []string
}

// AppSubscriptions lists the app's webhooks. The callback URL is whoever's set it last: another server of the same app
// may have taken it over.
func (c *Client) AppSubscriptions(ctx context.Context) ([]AppSubscription, error) {
	var answer struct {
		Data []struct {
			Object   text `json:"object"`
			Callback text `json:"callback_url"`
			Active   bool `json:"active"`
			Fields   []struct {
				Name text `json:"name"`
			} `json:"fields"`
		}
	}
	app := c.app()
	err := c.call(ctx, request{method: http.MethodGet, path: edge(app.ID, "subscriptions")}.asApp(app), &answer)
	var all []AppSubscription
	for _, s := range answer.Data {
		var names []text
		for _, f := range s.Fields {
			names = append(names, f.Name)
		}
		all = append(all, AppSubscription{string(s.Object), string(s.Callback), s.Active, plain(names)})
	}
	return all, err
}

// SubscribeApp has the app's webhooks for an object go to a URL, which Facebook verifies before it answers. It replaces
// an earlier URL and list of fields (subscriptions reference, Oct 2026).
func (c *Client) SubscribeApp(ctx context.Context, s AppSubscription, verifyToken string) error {
	app := c.app()
	return c.succeed(ctx, request{method: http.MethodPost, path: edge(app.ID, "subscriptions"), secrets: []string{verifyToken},
		form: url.Values{"object": {s.Object}, "callback_url": {s.CallbackURL}, "verify_token": {verifyToken},
			"fields": {strings.Join(s.Fields, ",")}, "include_values": {"true"}}}.asApp(app))
}
