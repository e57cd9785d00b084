package messengertest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"parley/server/messenger"
)

// Revokes takes one permission away from an app. Its permissions webhook is told, if it is subscribed to that one.
func (u *User) Revokes(appID, permission string) {
	u.graph.mu.Lock()
	defer u.graph.mu.Unlock()
	if app := u.graph.apps[appID]; app != nil {
		u.graph.permit(app, u, permission, "declined")
	}
}

// RemovesApp takes everything away from an app: its tokens die (190/458), and its deauthorize callback is told.
func (u *User) RemovesApp(appID string) {
	u.graph.mu.Lock()
	defer u.graph.mu.Unlock()
	if app := u.graph.apps[appID]; app != nil {
		u.removeApp(app)
	}
}

// removeApp is RemovesApp for a caller that holds the lock.
func (u *User) removeApp(app *App) {
	g := u.graph
	delete(u.logins, app.ID)
	u.kill(app, 458)
	g.touch()
	if app.DeauthorizeURL == "" {
		return
	}
	target, form := app.DeauthorizeURL, g.signedRequest(app, u)
	g.pending++
	g.work.Go(func() {
		_, _ = g.postForm(g.ctx, app, target, form) // Facebook does not ask again
		g.mu.Lock()
		defer g.mu.Unlock()
		g.pending--
		g.touch()
	})
}

// permit sets what a user allows an app, and tells the app if that is new. The caller holds the lock.
func (g *Graph) permit(app *App, u *User, permission, status string) {
	l := u.logins[app.ID]
	if l == nil || l.permissions[permission] == status {
		return
	}
	had := l.may(permission)
	l.permissions[permission] = status
	s := app.subscriptions[messenger.ObjectPermissions]
	if has := l.may(permission); has != had && s != nil && slices.Contains(s.fields, permission) {
		value := object{"verb": "revoked"}
		if has {
			value["verb"] = "granted"
		}
		if slices.Contains(pagePermissions, permission) && !l.all {
			value["target_ids"] = l.pageIDs()
		}
		now := g.clock.Now()
		app.queue = append(app.queue, queued{event: event{at: now, whole: facebookJSON(plainJSON(object{
			"object": messenger.ObjectPermissions, "entry": []object{{"id": u.ID, "uid": u.ID, "time": now.Unix(),
				"changes": []object{{"field": permission, "value": value}}}}}))}})
		g.pending++
	}
	g.touch()
}

// Deletion is what an app answers when a user wants their data deleted.
type Deletion struct {
	URL              string `json:"url"` // tells people how far it is
	ConfirmationCode string `json:"confirmation_code"`
}

// AsksDeletion has the user ask an app to delete what it knows of them.
func (u *User) AsksDeletion(ctx context.Context, appID string) (Deletion, error) {
	var d Deletion
	g := u.graph
	g.mu.Lock()
	app := g.apps[appID]
	if app == nil || app.DeletionURL == "" {
		g.mu.Unlock()
		return d, fmt.Errorf("messengertest: app %s has no data deletion callback", appID)
	}
	target, form := app.DeletionURL, g.signedRequest(app, u)
	g.mu.Unlock()
	body, err := g.postForm(ctx, app, target, form)
	if err == nil {
		err = json.Unmarshal(body, &d)
	}
	if err == nil && (d.URL == "" || d.ConfirmationCode == "") {
		err = fmt.Errorf("messengertest: the data deletion callback answers neither url nor confirmation_code: %s", body)
	}
	return d, err
}

// signedRequest is the form that callbacks of an app get about a user. The caller holds the lock.
func (g *Graph) signedRequest(app *App, u *User) url.Values {
	encode := base64.RawURLEncoding.EncodeToString
	payload := encode(plainJSON(object{"algorithm": "HMAC-SHA256", "issued_at": g.clock.Now().Unix(), "user_id": u.ID}))
	mac := hmac.New(sha256.New, []byte(app.Secret))
	mac.Write([]byte(payload))
	return url.Values{"signed_request": {encode(mac.Sum(nil)) + "." + payload}}
}

// postForm posts once to a callback that is no webhook, and gives the body of a 200.
func (g *Graph) postForm(ctx context.Context, app *App, target string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, g.retry.Timeout)
	defer cancel()
	sent := form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(sent))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "facebookexternalua")
	var body []byte
	status := 0
	resp, err := g.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
		status = resp.StatusCode
		body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	}
	g.mu.Lock()
	g.posts = keepLast(g.posts, Post{app.ID, target, []byte(sent), 0, 1, status, g.clock.Now()}, g.keep)
	g.touch()
	g.mu.Unlock()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("messengertest: %s answers %d", target, status)
	}
	return body, err
}
