package messengertest

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"parley/server/messenger"
)

// answer is what a call is answered. Events it causes are published by after, once it is on its way.
type answer struct {
	status int // 0: 200
	header http.Header
	body   any // []byte: as it is; else made JSON
	mode   Mode
	after  func()
}

var succeeded = answer{body: object{"success": true}}

// ServeHTTP answers the Graph API and, under /_sim/, the control API.
func (g *Graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		g.mux.ServeHTTP(w, r)
		return
	}
	c, err := parse(r)
	if err != nil {
		(&graphError{code: 100, message: "(#100) The request cannot be read"}).answer().write(w)
		return
	}
	a := g.respond(r, c)
	g.logRequest(r, c, a)
	switch a.mode {
	case HangUp:
		a.finish()
		panic(http.ErrAbortHandler)
	case Silence:
		a.finish()
		select {
		case <-r.Context().Done():
		case <-g.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Facebook-Api-Version", c.version)
	a.write(w)
	a.finish()
}

func (g *Graph) respond(r *http.Request, c *call) answer {
	f := g.takeFault(c)
	switch {
	case f != nil && f.Mode == Refuse && c.isDialog():
		return g.refuseDialog(c, f)
	case f != nil && !f.Accepted:
		return f.spoil(succeeded)
	}
	a := g.route(r, c)
	if f != nil {
		a = f.spoil(a)
	}
	return a
}

func (a answer) write(w http.ResponseWriter) {
	raw, ok := a.body.([]byte)
	if !ok {
		raw = plainJSON(a.body)
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	}
	maps.Copy(w.Header(), a.header)
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(raw) // a caller that has gone is no concern of ours
	_ = http.NewResponseController(w).Flush()
}

func (a answer) finish() {
	if a.after != nil {
		a.after()
	}
}

// route answers a call by its path: dialog/oauth, oauth/access_token, debug_token, {app}/subscriptions, {page},
// {page}/{edge}, {person}, and what a user's token leads to.
func (g *Graph) route(r *http.Request, c *call) answer {
	switch {
	case c.isDialog():
		return g.dialog(c)
	case slices.Equal(c.path, []string{"oauth", "access_token"}):
		return g.accessToken(c)
	}
	if e := g.authenticate(c); e != nil {
		return e.answer()
	}
	if len(c.path) == 0 {
		return unsupported(c).answer()
	}
	node, edge := c.path[0], strings.Join(c.path[1:], "/")
	switch {
	case node == "debug_token" && edge == "":
		return g.debugToken(c)
	case edge == "subscriptions":
		return g.subscriptions(r.Context(), c, node)
	case c.as.page == nil && c.as.user != nil:
		return g.withUserToken(c, node, edge)
	case c.as.page == nil:
		return g.withAppToken(c, node, edge)
	case node == "me" || node == c.as.page.ID:
		return g.pageEdge(r, c, c.as.page, edge)
	case edge == "":
		return g.profile(c, c.as.page, node)
	}
	return unsupported(c).answer()
}

// withAppToken answers what an app's own token may ask for: the app itself, and one thing of a page.
func (g *Graph) withAppToken(c *call, node, edge string) answer {
	g.mu.Lock()
	page, app := g.pages[node], object{"id": c.as.app.ID, "name": c.as.app.Name}
	g.mu.Unlock()
	switch {
	case node == c.as.app.ID && edge == "" && c.method == http.MethodGet:
		return choose(c, "Application", app, "name")
	case edge != "subscribed_apps":
		return (&graphError{code: 210, message: "(#210) A page access token is required to request this resource."}).answer()
	case page == nil:
		return unsupported(c).answer()
	}
	return g.subscribedApps(c, page)
}

func (g *Graph) pageEdge(r *http.Request, c *call, page *Page, edge string) answer {
	if e := g.permitted(c, edge); e != nil {
		return e.answer()
	}
	switch c.method + " " + edge {
	case "GET ":
		return g.pageNode(c, page, c.token)
	case "GET picture":
		return answer{body: object{"data": pagePicture(c, page.ID)}}
	case "POST messages":
		return g.send(r.Context(), c, page)
	case "GET thread_owner":
		return g.threadOwner(c, page)
	case "GET subscribed_apps", "POST subscribed_apps", "DELETE subscribed_apps":
		return g.subscribedApps(c, page)
	}
	return unsupported(c).answer()
}

// permitted checks what the login behind a page's token may do (permissions and subscribed_apps references, Oct 2026).
func (g *Graph) permitted(c *call, edge string) *graphError {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch c.method + " " + edge {
	case "POST messages":
		switch {
		case !c.as.grants("pages_messaging"):
			return &graphError{code: 230, message: "(#230) Requires pages_messaging permission to manage the object"}
		case !c.as.tasked("MESSAGING"):
			return &graphError{code: 200, message: "(#200) The person lacks the task MESSAGING on the page"}
		}
	case "POST subscribed_apps", "DELETE subscribed_apps":
		switch {
		case !c.as.grants("pages_manage_metadata"):
			return &graphError{code: 200, message: "(#200) Requires pages_manage_metadata permission to manage the object"}
		case c.method == http.MethodPost && !c.as.grants("pages_messaging"):
			return &graphError{code: 200, message: "(#200) To subscribe to the messages field, one of these permissions is " +
				"needed: pages_messaging"}
		case !c.as.tasked("MODERATE", "CREATE_CONTENT"):
			return &graphError{code: 200, message: "(#200) The person lacks the task MODERATE on the page"}
		}
	}
	return nil
}

// authenticate finds out whom the token stands for and checks the proof that its holder knows the app secret.
func (g *Graph) authenticate(c *call) *graphError {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.token == "" {
		return &graphError{code: 104, message: "An access token is required to request this resource."}
	}
	c.as = g.tokens[c.token]
	if e := g.alive(c.as); e != nil {
		return e
	}
	switch proof := c.params["appsecret_proof"]; {
	case proof == "" && c.as.app.RequireProof && (c.as.page != nil || c.as.user != nil): // an app's own token has the secret in it
		return &graphError{code: 100, kind: "GraphMethodException",
			message: "API calls from the server require an appsecret_proof argument"}
	case proof != "" && proof != messenger.AppSecretProof(c.as.app.Secret, c.token):
		return &graphError{code: 100, kind: "GraphMethodException",
			message: "Invalid appsecret_proof provided in the API argument"}
	}
	return nil
}

func unsupported(c *call) *graphError {
	node := strings.Join(c.path[:min(1, len(c.path))], "")
	return &graphError{code: 100, subcode: 33, kind: "GraphMethodException", message: "Unsupported " +
		strings.ToLower(c.method) + " request. Object with ID '" + node + "' does not exist, cannot be loaded due to " +
		"missing permissions, or does not support this operation"}
}
