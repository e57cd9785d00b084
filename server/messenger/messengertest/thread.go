package messengertest

import "time"

// threadTime is how long an app holds a thread in which nothing is said (conversation routing, Oct 2026).
const threadTime = 24 * time.Hour

// HeldBy has an app hold the thread of a person for a day; "" is nobody. Others cannot write there meanwhile.
func (w *Person) HeldBy(appID string) {
	g := w.page.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	w.heldBy, w.heldUntil = appID, g.clock.Now().Add(threadTime)
}

// holder gives the app that holds the thread now, or "". The caller holds the lock.
func (w *Person) holder() string {
	if !w.page.graph.clock.Now().Before(w.heldUntil) {
		return ""
	}
	return w.heldBy
}

// threadOwner says who holds a thread. Which app it is, only that app is told, as no page here has a default app.
func (g *Graph) threadOwner(c *call, p *Page) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := p.people[c.params["recipient"]]
	switch {
	case w == nil:
		return (&graphError{code: 100, subcode: 2018001, message: messages[2018001]}).answer()
	case w.holder() == "":
		return answer{body: object{"data": []any{}}}
	}
	owner := object{"expiration": w.heldUntil.Unix()}
	if w.heldBy == c.as.app.ID {
		owner["app_id"] = w.heldBy
	}
	return answer{body: object{"data": []any{object{"thread_owner": owner}}}}
}
