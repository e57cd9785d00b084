package messengertest

import (
	"fmt"
	"slices"
	"time"
)

// App is a Facebook app. Its fields are read only once it is added; Configure changes them.
type App struct {
	ID           string `json:"id"`     // "": one is made
	Secret       string `json:"secret"` // "": one is made
	Name         string `json:"name"`
	RequireProof bool   `json:"require_proof"`  // the console's "Require App Secret"
	NoHumanAgent bool   `json:"no_human_agent"` // it was not granted the Human Agent feature
	Workers      int    `json:"workers"`        // posts at the same time; 0 means 1. More than one gives up the order.

	RedirectURIs   []string               `json:"redirect_uris"`   // where logins may return to, to the byte; none: anywhere
	Configs        map[string]LoginConfig `json:"configs"`         // of Login for Business, by id
	Development    bool                   `json:"development"`     // it is not live: only people with a role can log in
	Roles          []string               `json:"roles"`           // ids of users who have one on the app
	DeauthorizeURL string                 `json:"deauthorize_url"` // told of users who remove the app
	DeletionURL    string                 `json:"deletion_url"`    // told of users who want their data deleted

	subscriptions map[string]*subscription // by object
	queue         []queued
}

// LoginConfig is a configuration of Facebook Login for Business.
type LoginConfig struct {
	Permissions []string `json:"permissions"`
	SystemUser  bool     `json:"system_user"` // its tokens are a system user's and do not expire
}

// subscription is an app's one callback for an object, and the fields it wants there.
type subscription struct {
	callback, verifyToken string
	fields                []string
}

// Page is a Facebook page. Its fields are read only once it is added.
type Page struct {
	ID       string `json:"id"` // "": one is made
	Name     string `json:"name"`
	Category string `json:"category"`
	AppID    string `json:"app_id"` // the app that Token is of; "": the one with the smallest id
	Token    string `json:"token"`  // "": one is made

	graph      *Graph
	subscribed map[string][]string // app id → fields
	people     map[string]*Person
	restricted bool
}

// Person is somebody who talks to one page. Its fields are read only once it is added.
type Person struct {
	ID        string        `json:"id"` // page-scoped; "": one is made
	FirstName string        `json:"first_name"`
	LastName  string        `json:"last_name"`
	Locale    string        `json:"locale"`
	Profile   ProfileAccess `json:"profile"`
	AppRole   bool          `json:"app_role"` // they have a role on the apps, and can use those that are not live

	page      *Page
	lastWrote time.Time // the start of the reply window
	blocked   bool
	received  int    // messages to this person
	heldBy    string // id of the app that holds the thread; "": nobody
	heldUntil time.Time
}

// ProfileAccess is how much of a person's profile apps may read.
type ProfileAccess string

// The zero value gives all of it.
const (
	ProfileFull    ProfileAccess = ""
	ProfilePartial ProfileAccess = "partial" // the id alone
	ProfileNone    ProfileAccess = "none"    // 100/2018218: there is none
	ProfileDenied  ProfileAccess = "denied"  // 100/2018247: the app may not
)

// token is what an access token stands for. An app's own has neither page nor user; a page's has a user if it was made
// by a login and not by the simulator's owner.
type token struct {
	app     *App
	page    *Page
	user    *User
	from    *token           // of a page's: the user's token that it was read with
	pages   map[*Page]string // of a user's: the page tokens read with it
	lasting bool             // a user's: page tokens read with it do not expire
	system  bool             // the user is a system user
	issued  time.Time
	expires time.Time // zero: never
	subcode int       // of code 190, once it is dead
	dead    bool
}

// AddApp adds an app, or gives the one that has this id already, and starts its deliveries.
func (g *Graph) AddApp(a App) *App {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.apps[a.ID]; known != nil {
		return known
	}
	app := &a
	app.subscriptions = map[string]*subscription{}
	if app.ID == "" {
		app.ID = g.newID()
	}
	if app.Secret == "" {
		app.Secret = g.newMID()[2:34]
	}
	g.apps[app.ID] = app
	g.tokens[app.ID+"|"+app.Secret] = &token{app: app, issued: g.clock.Now()}
	for range max(app.Workers, 1) {
		g.work.Go(func() { g.deliver(app) })
	}
	return app
}

// Configure changes what the console calls settings of an app. Its id, secret and workers stay.
func (g *Graph) Configure(appID string, change func(*App)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	app := g.apps[appID]
	if app == nil {
		return
	}
	to := *app
	change(&to)
	app.Name, app.RequireProof, app.NoHumanAgent = to.Name, to.RequireProof, to.NoHumanAgent
	app.RedirectURIs, app.Configs, app.Development, app.Roles = to.RedirectURIs, to.Configs, to.Development, to.Roles
	app.DeauthorizeURL, app.DeletionURL = to.DeauthorizeURL, to.DeletionURL
}

// AddPage adds a page, or gives the one that has this id already. An app must have been added before.
func (g *Graph) AddPage(p Page) *Page {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.pages[p.ID]; known != nil {
		return known
	}
	page := &p
	page.graph, page.subscribed, page.people = g, map[string][]string{}, map[string]*Person{}
	if page.ID == "" {
		page.ID = g.newID()
	}
	if page.Name == "" {
		page.Name = "Page " + page.ID
	}
	if page.Category == "" {
		page.Category = "Brand"
	}
	g.pages[page.ID] = page
	page.AppID, page.Token = g.grant(page, page.AppID, page.Token)
	return page
}

// grant makes a token of an app for a page. The caller holds the lock.
func (g *Graph) grant(p *Page, appID, value string) (app, secret string) {
	if appID == "" && len(g.apps) > 0 {
		appID = slices.Min(keys(g.apps))
	}
	if g.apps[appID] == nil {
		panic(fmt.Sprintf("messengertest: page %s needs an app first", p.ID))
	}
	if value == "" {
		value = g.newToken()
	}
	g.tokens[value] = &token{app: g.apps[appID], page: p, issued: g.clock.Now()}
	return appID, value
}

// NewToken logs an app in to the page once more and gives its new token; older ones stay good.
func (p *Page) NewToken(appID string) string {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	_, value := p.graph.grant(p, appID, "")
	return value
}

// Subscribe has an app get these fields of the page, as POST subscribed_apps does.
func (p *Page) Subscribe(appID string, fields ...string) {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	p.subscribed[appID] = slices.Clone(fields)
	p.graph.touch()
}

// Subscribed gives the fields an app gets of the page, and whether it is subscribed at all.
func (p *Page) Subscribed(appID string) ([]string, bool) {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	fields, ok := p.subscribed[appID]
	return slices.Clone(fields), ok
}

// AddPerson adds somebody who has not written yet, or gives whoever has this id already.
func (p *Page) AddPerson(who Person) *Person {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	if known := p.people[who.ID]; known != nil {
		return known
	}
	person := &who
	person.page = p
	if person.ID == "" {
		person.ID = p.graph.newID()
	}
	if person.FirstName == "" && person.LastName == "" {
		person.FirstName, person.LastName = "Ann", "Lee"
	}
	p.people[person.ID] = person
	return person
}

// Page gives the page a person talks to.
func (w *Person) Page() *Page { return w.page }

// Restrict has Facebook forbid the page to send, or allow it again. Its apps are told.
func (p *Page) Restrict(restricted bool) {
	g := p.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	p.restricted = restricted
	now := g.clock.Now()
	policy := object{"action": "unblock"}
	if restricted {
		policy = object{"action": "block", "reason": "The page does not follow the platform's policies."}
	}
	g.publish(event{page: p, field: "messaging_policy_enforcement", at: now, raw: plainJSON(object{
		"recipient": object{"id": p.ID}, "timestamp": now.UnixMilli(), "policy_enforcement": policy})})
}

// Rename gives the page another name.
func (p *Page) Rename(name string) {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	p.Name = name
}

// Unsubscribe ends an app's webhooks of the page, as Facebook does when one was not answered for an hour.
func (p *Page) Unsubscribe(appID string) {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	delete(p.subscribed, appID)
	p.graph.touch()
}

// KillToken makes a token, and the page tokens read with it, answer 190 with a subcode (458 app removed, 460 password
// changed, 463 expired, 467 logged out, …; 0: none) from now on.
func (g *Graph) KillToken(value string, subcode int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.tokens[value]; t != nil {
		t.dead, t.subcode = true, subcode
	}
}

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for key := range m {
		all = append(all, key)
	}
	return all
}
