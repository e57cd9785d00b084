package messengertest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"parley/server/messenger"
)

// event is something that happens on a page and that its apps hear of.
type event struct {
	page     *Page
	field    string // which both layers of subscription must have; "": none needed
	array    string // "": messaging
	from, to string
	at       time.Time
	kind     string
	value    any
	raw      json.RawMessage // the whole item, instead of the four above
	whole    []byte          // the whole post, of another object than a page; instead of all but at
}

// queued is an event on its way to one app.
type queued struct {
	event
	content []byte // value as JSON, made when it happened
}

// Post is one attempt to deliver a webhook.
type Post struct {
	AppID   string    `json:"app_id"`
	URL     string    `json:"url"`
	Body    []byte    `json:"-"`
	Items   int       `json:"items"`
	Attempt int       `json:"attempt"` // 1 is the first
	Status  int       `json:"status"`  // 0: no answer in time
	At      time.Time `json:"at"`
}

// Posts gives the attempts to deliver webhooks so far.
func (g *Graph) Posts() []Post {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.posts)
}

// publish puts an event into the queue of every app that is subscribed to it at both layers. The caller holds the lock.
func (g *Graph) publish(e event) {
	q := queued{event: e}
	if e.raw == nil {
		q.content = plainJSON(e.value)
	}
	if q.array == "" {
		q.array = "messaging"
	}
	for appID, fields := range e.page.subscribed {
		app := g.apps[appID]
		if app == nil || !app.wants(e.field, fields) {
			continue
		}
		app.queue = append(app.queue, q)
		g.pending++
	}
	g.touch()
}

func (a *App) wants(field string, pageFields []string) bool {
	s := a.subscriptions["page"]
	return s != nil && (field == "" || slices.Contains(s.fields, field) && slices.Contains(pageFields, field))
}

// deliver posts what is in an app's queue until the simulator is closed.
func (g *Graph) deliver(app *App) {
	for {
		var batch []queued
		var how Behaviour
		if g.Wait(g.ctx, func() bool { batch, how = g.take(app); return len(batch) > 0 }) != nil {
			return
		}
		if g.clock.Until(g.ctx, batch[len(batch)-1].at.Add(how.Delay)) != nil {
			return
		}
		body := render(batch, how)
		for range 1 + how.Repeat {
			g.post(app, batch, body)
		}
		g.mu.Lock()
		g.pending -= len(batch)
		g.touch()
		g.mu.Unlock()
	}
}

// take gives the next items for one post; none while the queue is empty or held.
func (g *Graph) take(app *App) ([]queued, Behaviour) {
	g.mu.Lock()
	defer g.mu.Unlock()
	how := g.behaviour
	if how.Hold || len(app.queue) == 0 {
		return nil, how
	}
	if how.Shuffle {
		g.random.Shuffle(len(app.queue), func(i, j int) { app.queue[i], app.queue[j] = app.queue[j], app.queue[i] })
	}
	n := min(max(how.Batch, 1), len(app.queue))
	for i := range n { // a post is of one object
		if app.queue[i].whole != nil {
			n = max(i, 1)
			break
		}
	}
	batch := slices.Clone(app.queue[:n])
	app.queue = app.queue[n:]
	return batch, how
}

// post sends one body until it is taken. Whoever does not take it for long enough loses the pages it is about.
func (g *Graph) post(app *App, batch []queued, body []byte) {
	giveUp := g.clock.Now().Add(g.retry.GiveUp)
	for attempt := 1; ; attempt++ {
		callback, ok := g.callback(app, batch[0].object())
		if !ok {
			return // the app has deleted its callback meanwhile
		}
		status := g.hit(g.ctx, callback, app.Secret, body)
		now := g.clock.Now()
		g.mu.Lock()
		g.posts = keepLast(g.posts, Post{app.ID, callback, body, len(batch), attempt, status, now}, g.keep)
		g.touch()
		if status != http.StatusOK && !now.Before(giveUp) {
			for _, item := range batch {
				if item.whole != nil {
					delete(app.subscriptions, item.object())
				} else {
					delete(item.page.subscribed, app.ID)
				}
			}
		}
		g.mu.Unlock()
		if status == http.StatusOK || !now.Before(giveUp) ||
			g.clock.Until(g.ctx, now.Add(g.retry.Backoff(attempt))) != nil {
			return
		}
	}
}

// object is what a post with this event is about.
func (e event) object() string {
	if e.whole != nil {
		return messenger.ObjectPermissions
	}
	return "page"
}

func (g *Graph) callback(app *App, object string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := app.subscriptions[object]; s != nil {
		return s.callback, true
	}
	return "", false
}

// hit makes one signed request; 0 means that no answer came in time.
func (g *Graph) hit(ctx context.Context, url, secret string, body []byte) int {
	ctx, cancel := context.WithTimeout(ctx, g.retry.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	mac := hmac.New(sha1.New, []byte(secret)) // many receivers still check the old header
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	req.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("X-Hub-Signature-256", messenger.Sign(secret, body))
	resp, err := g.http.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
	return resp.StatusCode
}

// PostBody posts any bytes to an app's callback once, signed, and gives the status of the answer; 0 for none.
func (g *Graph) PostBody(ctx context.Context, appID string, body []byte) int {
	g.mu.Lock()
	app := g.apps[appID]
	g.mu.Unlock()
	if app == nil {
		return 0
	}
	callback, ok := g.callback(app, "page")
	if !ok {
		return 0
	}
	return g.hit(ctx, callback, app.Secret, body)
}
