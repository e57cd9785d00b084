package messengertest

import (
	"slices"
	"time"
)

// User is somebody who logs in to Facebook and manages pages. Its fields are read only once it is added. One id serves
// for all apps, which Facebook's own do not.
type User struct {
	ID   string `json:"id"` // "": one is made
	Name string `json:"name"`

	graph  *Graph
	roles  []*role
	logins map[string]*login // by app
}

// Role is what a user may do on a page, and how the page came to them.
type Role struct {
	Tasks     []string `json:"tasks"`     // nil: all that classic pages have
	Portfolio string   `json:"portfolio"` // id of the Business Portfolio the page is in; "": the page is the user's own
	Client    bool     `json:"client"`    // the portfolio only looks after the page
	Unlisted  bool     `json:"unlisted"`  // only the portfolio lists the page, me/accounts does not
	NoToken   bool     `json:"no_token"`  // Facebook lists the page without its token
}

type role struct {
	Role
	page *Page
}

// allTasks are those of a classic page's administrator (me/accounts reference, Oct 2026).
var allTasks = []string{"ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE"}

// login is what a user allows an app. All tokens of the two share it: a later login changes what earlier ones may do.
type login struct {
	all         bool // pages, also those to come
	pages       []*Page
	permissions map[string]string // → granted, declined
	at          time.Time
}

// How long things last (login guide, Oct 2026; it says one to two hours of a short-lived token, and does not tell of codes).
const (
	codeLasts       = 10 * time.Minute
	shortLasts      = 90 * time.Minute
	longLasts       = 5183944 * time.Second
	dataAccessLasts = 90 * 24 * time.Hour
)

// AddUser adds a user, or gives the one that has this id already.
func (g *Graph) AddUser(u User) *User {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.users[u.ID]; known != nil {
		return known
	}
	user := &u
	user.graph, user.logins = g, map[string]*login{}
	if user.ID == "" {
		user.ID = g.newID()
	}
	if user.Name == "" {
		user.Name = "User " + user.ID
	}
	g.users[user.ID] = user
	return user
}

// Manages gives the user a role on a page, in place of an earlier one.
func (u *User) Manages(p *Page, r Role) {
	u.graph.mu.Lock()
	defer u.graph.mu.Unlock()
	if r.Tasks == nil {
		r.Tasks = allTasks
	}
	if known := u.role(p); known != nil {
		known.Role = r
		return
	}
	u.roles = append(u.roles, &role{r, p})
}

// Leaves takes the user's role on a page away: the page's tokens that came by the user die (190/492).
func (u *User) Leaves(p *Page) {
	u.graph.mu.Lock()
	defer u.graph.mu.Unlock()
	u.roles = slices.DeleteFunc(u.roles, func(r *role) bool { return r.page == p })
}

// role gives the user's role on a page, nil for none. The caller holds the lock.
func (u *User) role(p *Page) *role {
	for _, r := range u.roles {
		if r.page == p {
			return r
		}
	}
	return nil
}

// EndSessions makes all tokens that the user gave, to whatever app, and the page tokens made of them, answer 190 with a
// subcode: 460 they changed their password, 459 Facebook wants to see them first, 467 they logged out, …
func (u *User) EndSessions(subcode int) {
	u.graph.mu.Lock()
	defer u.graph.mu.Unlock()
	u.kill(nil, subcode)
}

// kill ends the tokens for one app, or for all. The caller holds the lock.
func (u *User) kill(app *App, subcode int) {
	for _, t := range u.graph.tokens {
		if t.user == u && !t.dead && (app == nil || t.app == app) {
			t.dead, t.subcode = true, subcode
		}
	}
}

// may tells whether the user granted an app a permission. The caller holds the lock.
func (l *login) may(permission string) bool {
	return l != nil && l.permissions[permission] == "granted"
}

func (l *login) has(p *Page) bool { return l != nil && (l.all || slices.Contains(l.pages, p)) }

// pagePermissions are those that are granted page by page.
var pagePermissions = []string{"pages_show_list", "pages_messaging", "pages_manage_metadata", "pages_read_engagement"}

// scopes gives the granted permissions in the order of their names. The caller holds the lock.
func (l *login) scopes() []string {
	all := []string{}
	for name := range l.permissions {
		if l.may(name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// chosen gives the roles whose pages a login chose, in the order the user got them. The caller holds the lock.
func (u *User) chosen(l *login) []*role {
	var all []*role
	for _, r := range u.roles {
		if l.has(r.page) {
			all = append(all, r)
		}
	}
	return all
}

// alive tells why a token is of no use, nil if it is of use. The caller holds the lock.
func (g *Graph) alive(t *token) *graphError {
	switch {
	case t == nil:
		return &graphError{code: 190, message: "Invalid OAuth access token - Cannot parse access token"}
	case t.dead:
		return &graphError{code: 190, subcode: t.subcode, message: messages[t.subcode]}
	case !t.expires.IsZero() && !g.clock.Now().Before(t.expires):
		return &graphError{code: 190, subcode: 463, message: messages[463]}
	case t.user == nil || t.page == nil:
		return nil
	case t.from.dead:
		return &graphError{code: 190, subcode: t.from.subcode, message: messages[t.from.subcode]}
	case t.user.role(t.page) == nil:
		return &graphError{code: 190, subcode: 492, message: messages[492]}
	case !t.grants(pagePermissions...):
		return &graphError{code: 190, message: "Any of the pages_read_engagement, pages_manage_metadata, " +
			"pages_read_user_content, pages_manage_ads, pages_show_list or pages_messaging permission(s) must be granted " +
			"before impersonating a user's page."}
	}
	return nil
}

// grants tells whether the login behind a token still gives one of some permissions; for a page's token, for that page.
// A token that was made without a login may do anything. The caller holds the lock.
func (t *token) grants(permissions ...string) bool {
	if t.user == nil {
		return true
	}
	l := t.user.logins[t.app.ID]
	return (t.page == nil || l.has(t.page)) && slices.ContainsFunc(permissions, l.may)
}

// tasked tells whether the person behind a page's token has one of some tasks there, or all of them. The caller holds
// the lock.
func (t *token) tasked(enough ...string) bool {
	if t.user == nil {
		return true
	}
	r := t.user.role(t.page)
	return r != nil && slices.ContainsFunc(append(enough, "MANAGE", "PROFILE_PLUS_FULL_CONTROL", "PROFILE_PLUS_MANAGE"),
		func(task string) bool {
			return slices.Contains(r.Tasks, task) || slices.Contains(r.Tasks, "PROFILE_PLUS_"+task)
		})
}
