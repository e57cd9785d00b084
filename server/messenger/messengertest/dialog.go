package messengertest

import (
	"bytes"
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// code is what a login comes back with. It works once.
type code struct {
	app                          *App
	user                         *User
	redirect, challenge, hashing string
	system, used                 bool
	expires                      time.Time
}

// dialog is a request for a login, read.
type dialog struct {
	app                       *App
	redirect                  *url.URL
	state, challenge, hashing string
	scopes                    []string
	system, again             bool
}

func (c *call) isDialog() bool { return slices.Equal(c.path, []string{"dialog", "oauth"}) }

// readDialog reads a request for a login (login guide, Oct 2026). What may not be returned to is shown to the person,
// like everything that is wrong before it is known where to return to.
func (g *Graph) readDialog(c *call) (dialog, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	app := g.apps[c.params["client_id"]]
	if app == nil {
		return dialog{}, errors.New("invalid App ID: the provided app ID does not look like a valid app ID")
	}
	redirect, err := url.Parse(c.params["redirect_uri"])
	if err != nil || redirect.Host == "" || len(app.RedirectURIs) > 0 && !slices.Contains(app.RedirectURIs, c.params["redirect_uri"]) {
		return dialog{}, errors.New("URL blocked: this redirect failed because the redirect URI is not whitelisted in the app’s Client OAuth Settings")
	}
	d := dialog{app: app, redirect: redirect, state: c.params["state"], challenge: c.params["code_challenge"],
		hashing: cmp.Or(c.params["code_challenge_method"], "plain"), again: c.params["auth_type"] == "rerequest",
		scopes: strings.FieldsFunc(c.params["scope"], func(r rune) bool { return r == ',' || r == ' ' })}
	if cmp.Or(c.params["response_type"], "code") != "code" {
		return d, errors.New("the simulator knows no response_type but code")
	}
	return d, d.configure(c.params["config_id"], c.params["override_default_response_type"] == "true")
}

// configure has a configuration of Login for Business say what is asked for.
func (d *dialog) configure(id string, override bool) error {
	if id == "" {
		return nil
	}
	config, known := d.app.Configs[id]
	switch {
	case !known:
		return errors.New("the app has no such configuration")
	case config.SystemUser && !override:
		return errors.New("a configuration of system users needs override_default_response_type")
	}
	d.scopes, d.system = config.Permissions, config.SystemUser
	return nil
}

// dialog shows the consent page, and acts on what was chosen there.
func (g *Graph) dialog(c *call) answer {
	d, err := g.readDialog(c)
	if err != nil {
		return shownPage(http.StatusBadRequest, "error", err.Error())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.method != http.MethodPost {
		return shownPage(http.StatusOK, "consent", d.consent(g))
	}
	u := g.users[c.form.Get("user")]
	switch {
	case c.form.Get("act") != "continue", u == nil, d.app.Development && !slices.Contains(d.app.Roles, u.ID):
		// Facebook answers a stranger to an app in development as it does somebody who cancels (observed).
		return d.back(url.Values{"error": {"access_denied"}, "error_code": {"200"},
			"error_description": {"Permissions error"}, "error_reason": {"user_denied"}})
	}
	return d.back(url.Values{"code": {g.consented(d, u, c.form)}})
}

// refuseDialog is a fault of the dialog, in the form that it comes back in.
func (g *Graph) refuseDialog(c *call, f *Fault) answer {
	d, err := g.readDialog(c)
	if err != nil {
		return shownPage(http.StatusBadRequest, "error", err.Error())
	}
	return d.back(url.Values{"error_code": {strconv.Itoa(f.Code)}, "error_message": {f.words()}})
}

// back sends the browser to where the login came from.
func (d dialog) back(with url.Values) answer {
	to := *d.redirect
	query := to.Query()
	for name, values := range with {
		query[name] = values
	}
	if d.state != "" {
		query.Set("state", d.state)
	}
	to.RawQuery, to.Fragment = query.Encode(), "_=_"
	return answer{status: http.StatusFound, header: http.Header{"Location": {to.String()}}, body: []byte{}}
}

// consented writes down what a user allows an app, and makes a code of it. The caller holds the lock.
func (g *Graph) consented(d dialog, u *User, form url.Values) string {
	l := u.logins[d.app.ID]
	if l == nil {
		l = &login{permissions: map[string]string{}}
		u.logins[d.app.ID] = l
	}
	l.at, l.all, l.pages = g.clock.Now(), slices.Contains(form["page"], "all"), nil
	for _, r := range u.roles {
		if l.all || slices.Contains(form["page"], r.page.ID) {
			l.pages = append(l.pages, r.page)
		}
	}
	for _, name := range d.scopes {
		switch before := l.permissions[name]; {
		case slices.Contains(form["decline"], name):
			g.permit(d.app, u, name, "declined")
		case before != "declined" || d.again:
			g.permit(d.app, u, name, "granted")
		}
	}
	value := "AQ" + g.mark + g.newMID()[2:]
	g.codes[value] = &code{app: d.app, user: u, redirect: form.Get("redirect_uri"), challenge: d.challenge, hashing: d.hashing,
		system: d.system, expires: g.clock.Now().Add(codeLasts)}
	return value
}

// Choice is what a user ticks in the dialog.
type Choice struct {
	Pages    []*Page
	All      bool     // pages, also those to come
	Declined []string // permissions
}

// Continues has the user go through the dialog at an address. It gives where their browser is sent then.
func (u *User) Continues(loginURL string, choice Choice) (string, error) {
	form := url.Values{"act": {"continue"}, "decline": choice.Declined}
	for _, p := range choice.Pages {
		form.Add("page", p.ID)
	}
	if choice.All {
		form.Add("page", "all")
	}
	return u.answers(loginURL, form)
}

// Cancels has the user leave the dialog at an address. It gives where their browser is sent then.
func (u *User) Cancels(loginURL string) (string, error) {
	return u.answers(loginURL, url.Values{"act": {"cancel"}})
}

func (u *User) answers(loginURL string, form url.Values) (string, error) {
	form.Set("user", u.ID)
	req, err := http.NewRequest(http.MethodPost, loginURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c, err := parse(req)
	if err != nil {
		return "", err
	}
	a := u.graph.respond(req, c)
	u.graph.logRequest(req, c, a)
	if to := a.header.Get("Location"); to != "" {
		return to, nil
	}
	shown, _ := a.body.([]byte)
	return "", errors.New("messengertest: the dialog goes nowhere: " + string(shown))
}

// consent is what the consent page shows. The caller holds the lock.
func (d dialog) consent(g *Graph) any {
	type choice struct {
		ID, Name string
		Ticked   bool
	}
	type person struct {
		ID, Name string
		Pages    []choice
		Asked    []string
	}
	shown := struct {
		App    string
		People []person
	}{App: cmp.Or(d.app.Name, d.app.ID)}
	ids := keys(g.users)
	slices.Sort(ids)
	for _, id := range ids {
		u := g.users[id]
		l := u.logins[d.app.ID]
		p := person{ID: u.ID, Name: u.Name}
		for _, r := range u.roles {
			p.Pages = append(p.Pages, choice{r.page.ID, r.page.Name, l == nil || l.has(r.page)})
		}
		for _, name := range d.scopes {
			if l == nil || l.permissions[name] != "declined" || d.again {
				p.Asked = append(p.Asked, name)
			}
		}
		shown.People = append(shown.People, p)
	}
	return shown
}

func shownPage(status int, name string, shown any) answer {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, shown); err != nil {
		panic("messengertest: " + err.Error())
	}
	return answer{status: status, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, body: b.Bytes()}
}

// pages are the dialog's, for browsers and for scripts: the form is posted to the address it was shown at, with user,
// page (ids, or "all"), decline (names of permissions) and act ("continue" or "cancel").
var pages = template.Must(template.New("").Parse(`
{{- define "head"}}<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in to the simulated Facebook</title>
<style>body{font:16px/1.5 sans-serif;max-width:32em;margin:2em auto;padding:0 1em}label{display:block}
form{border:1px solid #ccd;border-radius:8px;padding:1em;margin:1em 0}button{font:inherit;padding:.3em 1em}</style>{{end}}
{{- define "error"}}{{template "head"}}<h1>Sorry, something went wrong</h1><p role="alert">{{.}}</p>{{end}}
{{- define "consent"}}{{template "head"}}<h1>Log in with the simulated Facebook</h1>
<p>{{.App}} wants to manage pages. What pages do you want to use with it?</p>
{{range .People}}<form method="post" aria-label="{{.Name}}"><input type="hidden" name="user" value="{{.ID}}">
<fieldset><legend>{{.Name}}</legend>
{{range .Pages}}<label><input type="checkbox" name="page" value="{{.ID}}"{{if .Ticked}} checked{{end}}> {{.Name}}</label>
{{end}}<label><input type="checkbox" name="page" value="all"> All current and future pages</label></fieldset>
<details><summary>What is allowed</summary>
{{range .Asked}}<label><input type="checkbox" name="decline" value="{{.}}"> not {{.}}</label>
{{end}}</details>
<p><button name="act" value="continue">Continue</button> <button name="act" value="cancel">Cancel</button></p></form>
{{else}}<p role="alert">The simulator has no users.</p>{{end}}{{end}}`))
