package channels

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"parley/ent"
	"parley/ent/facebooklogin"
)

// Callback is where Facebook sends the browser after a login, at CallbackPath.
// Nobody is signed in there: the state says whose login it is, and the browser
// is shown nothing but how it went.
func (c *Channels) Callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	// A browser that goes away meanwhile must not cost the login, which works once.
	login, err := c.finishLogin(context.WithoutCancel(r.Context()), returned{query.Get("state"), query.Get("code"), problemOf(query)})
	switch {
	case errors.Is(err, errState):
		c.show(w, http.StatusBadRequest, outcome{"The login did not work", "This login is not known here: it was used already, took longer than ten minutes, or began elsewhere. Start a new one."})
	case err != nil:
		c.log.Error("a login to Facebook cannot be finished", "error", err)
		c.show(w, http.StatusServiceUnavailable, outcome{"The login did not work", "The server could not finish it. Start a new one."})
	case login.ReturnTo != "":
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, returnAddress(login), http.StatusSeeOther)
	case login.Status == facebooklogin.StatusFailed:
		c.show(w, http.StatusOK, outcome{"The login did not work", login.Reason})
	default:
		c.show(w, http.StatusOK, outcome{"You are logged in to Facebook", "Close this window and choose your pages in the window you came from."})
	}
}

// problemOf is why Facebook sent no code, in plain words. What it says itself
// may be anything, as anybody can come by with it, and is not repeated.
func problemOf(query url.Values) string {
	switch {
	case query.Get("error_reason") == "user_denied" || query.Get("error") == "access_denied":
		// Facebook answers the same where the app is in development and the person has no role in it.
		return "The login was cancelled at Facebook. If you did not cancel it, the Facebook app may be in development mode, where only people with a role in it can log in."
	case query.Get("error_code") != "" || query.Get("error") != "":
		return "Facebook refused the login. Check in the app's dashboard that the app is live and that this server's address is among its valid OAuth redirect URIs."
	}
	return "Facebook sent neither a code nor an error. Start a new login."
}

// returnAddress tells the front end which login ended and how.
func returnAddress(login *ent.FacebookLogin) string {
	u, err := url.Parse(login.ReturnTo)
	if err != nil { // it was checked when the login began
		return "/"
	}
	query := u.Query()
	query.Set("facebookLogin", login.GlobalID().String())
	query.Set("status", string(login.Status))
	u.RawQuery = query.Encode()
	return u.String()
}

type outcome struct{ Title, Text string }

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
`))

func (c *Channels) show(w http.ResponseWriter, status int, o outcome) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := page.Execute(w, o); err != nil {
		c.log.Debug("a page could not be sent", "error", err)
	}
}
