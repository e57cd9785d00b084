package messengertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// SetCallback has an app's page webhooks go to a URL, as its console does: the URL is verified first. Without fields
// the app wants all there are. An earlier callback of the app is forgotten: the last one wins.
func (g *Graph) SetCallback(ctx context.Context, appID, callback, verifyToken string, fields ...string) error {
	if len(fields) == 0 {
		fields = pageFields
	}
	g.mu.Lock()
	app := g.apps[appID]
	g.mu.Unlock()
	if app == nil {
		return fmt.Errorf("messengertest: no app %s", appID)
	}
	if err := g.verify(ctx, callback, verifyToken); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	app.subscriptions["page"] = &subscription{callback, verifyToken, slices.Clone(fields)}
	g.touch()
	return nil
}

// RemoveCallback ends an app's page webhooks.
func (g *Graph) RemoveCallback(appID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.apps[appID].subscriptions, "page")
	g.touch()
}

// verify makes the GET that a callback must answer with the challenge.
func (g *Graph) verify(ctx context.Context, callback, verifyToken string) error {
	g.mu.Lock()
	challenge := strconv.FormatInt(1e9+g.random.Int64N(1e9), 10)
	g.mu.Unlock()
	target, err := url.Parse(callback)
	if err != nil {
		return errors.New("the callback is no URL")
	}
	query := target.Query()
	query.Set("hub.mode", "subscribe")
	query.Set("hub.challenge", challenge)
	query.Set("hub.verify_token", verifyToken)
	target.RawQuery = query.Encode()

	ctx, cancel := context.WithTimeout(ctx, g.retry.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return errors.Unwrap(err) // not the URL, which has the verify token in it
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != challenge) {
		err = fmt.Errorf("HTTP Status Code = %d, challenge answered: %t", resp.StatusCode, string(body) == challenge)
	}
	return err
}

// subscriptions reads, sets or deletes the app layer of webhooks (subscriptions reference, Oct 2026).
func (g *Graph) subscriptions(ctx context.Context, c *call, appID string) answer {
	app := c.as.app
	if c.as.page != nil || appID != app.ID {
		return (&graphError{code: 15, message: "(#15) This method must be called with an app access_token."}).answer()
	}
	switch c.method {
	case http.MethodGet:
		return g.listSubscriptions(app)
	case http.MethodPost:
		return g.setSubscription(ctx, c, app)
	case http.MethodDelete:
		return g.deleteSubscription(c, app)
	}
	return unsupported(c).answer()
}

func (g *Graph) listSubscriptions(app *App) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	data := []object{}
	objects := keys(app.subscriptions)
	slices.Sort(objects)
	for _, name := range objects {
		s, fields := app.subscriptions[name], []object{}
		for _, f := range s.fields {
			fields = append(fields, object{"name": f, "version": "v26.0"})
		}
		data = append(data, object{"object": name, "callback_url": s.callback, "active": true, "fields": fields})
	}
	return answer{body: object{"data": data}}
}

func (g *Graph) setSubscription(ctx context.Context, c *call, app *App) answer {
	name, fields := c.params["object"], c.list("fields")
	if !slices.Contains([]string{"page", "permissions", "user"}, name) {
		return invalid("Param object must be one of {page, permissions, user}").answer()
	}
	if e := checkFields("fields", fields); e != nil && name == "page" {
		return e.answer()
	}
	s := &subscription{c.params["callback_url"], c.params["verify_token"], fields}
	if err := g.verify(ctx, s.callback, s.verifyToken); err != nil {
		return (&graphError{code: 2200, message: "(#2200) Callback verification failed with the following errors: " +
			err.Error()}).answer()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	app.subscriptions[name] = s
	g.touch()
	return succeeded
}

// deleteSubscription takes away fields of an object, an object, or everything.
func (g *Graph) deleteSubscription(c *call, app *App) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, fields := c.params["object"], c.list("fields")
	s := app.subscriptions[name]
	switch {
	case name == "":
		clear(app.subscriptions)
	case len(fields) == 0:
		delete(app.subscriptions, name)
	case s != nil:
		app.subscriptions[name] = &subscription{s.callback, s.verifyToken,
			slices.DeleteFunc(slices.Clone(s.fields), func(f string) bool { return slices.Contains(fields, f) })}
	}
	g.touch()
	return succeeded
}
