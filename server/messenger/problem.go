package messenger

import (
	"errors"
	"strings"
)

// Problem is what exactly is wrong, of the things that people can do something about.
type Problem string

// The problems of tokens. All are of ClassToken.
const (
	ProblemAppRemoved      Problem = "app_removed"      // the user, or the page, threw the app out
	ProblemCheckpoint      Problem = "checkpoint"       // Facebook wants to see the user first
	ProblemPasswordChanged Problem = "password_changed" // or Facebook ended the session for safety
	ProblemExpired         Problem = "expired"
	ProblemUnconfirmed     Problem = "unconfirmed" // the user's account is not confirmed
	ProblemLoggedOut       Problem = "logged_out"
	ProblemUnused          Problem = "unused" // for too long
	ProblemRoleLost        Problem = "role_lost"
	ProblemPageNotChosen   Problem = "page_not_chosen" // a later login left the page or its permissions out
)

// The problems of a login's code and of the app's settings. All are of ClassInvalid.
const (
	ProblemCodeUsed        Problem = "code_used"
	ProblemCodeExpired     Problem = "code_expired"
	ProblemCodeInvalid     Problem = "code_invalid"
	ProblemRedirectDiffers Problem = "redirect_differs" // from the one of the dialog
	ProblemRedirectRefused Problem = "redirect_refused" // it is not among those that the app allows
	ProblemAppID           Problem = "app_id"
	ProblemAppSecret       Problem = "app_secret"
	ProblemAppRefused      Problem = "app_refused" // id and secret are of no app together
	ProblemNoApp           Problem = "no_app"      // none is set here
	ProblemCallback        Problem = "callback"    // it did not answer Facebook's challenge
)

// ProblemDevelopment is of ClassPermission: the app is not live, and the person has no role on it.
const ProblemDevelopment Problem = "development"

var reasons = map[Problem]string{
	ProblemAppRemoved:      "The app was removed from Facebook by the person who connected the page; connect the page again.",
	ProblemCheckpoint:      "Facebook asks the person who connected the page to log in to facebook.com and to follow its instructions; then connect the page again.",
	ProblemPasswordChanged: "The person who connected the page changed their Facebook password, or Facebook ended their session for safety; connect the page again.",
	ProblemExpired:         "The Facebook login has expired; connect the page again.",
	ProblemUnconfirmed:     "The Facebook account of the person who connected the page is not confirmed; they must confirm it at facebook.com, then connect the page again.",
	ProblemLoggedOut:       "The person who connected the page has logged out of Facebook; connect the page again.",
	ProblemUnused:          "The Facebook login was not used for too long; connect the page again.",
	ProblemRoleLost:        "The person who connected the page has no sufficient role on it any more; somebody who has one must connect it again.",
	ProblemPageNotChosen:   "A later Facebook login left this page or its permissions out; log in again and choose all pages.",

	ProblemCodeUsed:        "This Facebook login was used already; start a new one.",
	ProblemCodeExpired:     "This Facebook login took too long; start a new one.",
	ProblemCodeInvalid:     "Facebook does not know this login; start a new one.",
	ProblemRedirectDiffers: "The address that Facebook returned to is not the one that the login began with; check the server's public URL.",
	ProblemRedirectRefused: "The Facebook app does not allow this server's address; add it to the app's valid OAuth redirect URIs.",
	ProblemAppID:           "Facebook knows no app with this app id; check it in the settings.",
	ProblemAppSecret:       "The app secret is not that of the Facebook app; check it in the settings.",
	ProblemAppRefused:      "Facebook does not accept the app id and the app secret together; check both in the settings.",
	ProblemNoApp:           "No Facebook app is set; enter its app id and app secret in the settings.",
	ProblemDevelopment:     "The Facebook app is in development mode, or was not granted pages_messaging: only people with a role on the app can write and be answered; make it live in its dashboard.",

	ProblemCallback: "Facebook could not verify this server's webhook; check that it can be reached from the internet by https, and its verify token.",
}

// Reason is the problem in words for administrators; "" for no problem.
func (p Problem) Reason() string { return reasons[p] }

// ProblemOf gives the problem of an error of a Client; "" if there is none that people can do something about.
func ProblemOf(err error) Problem {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem
	}
	return ""
}

// problemOfSubcode knows the subcodes of code 190 (error guide, Jun 2026; 492 by observation) and of oauth/access_token
// (login guide, Oct 2026; 36007 by observation).
var problemOfSubcode = map[int]Problem{
	458: ProblemAppRemoved, 459: ProblemCheckpoint, 460: ProblemPasswordChanged, 463: ProblemExpired,
	464: ProblemUnconfirmed, 467: ProblemLoggedOut, 468: ProblemUnused, 492: ProblemRoleLost,
	2018028: ProblemDevelopment, // error table, Jun 2026
	36007:   ProblemCodeExpired, 36008: ProblemRedirectDiffers, 36009: ProblemCodeUsed,
}

// problemOfText knows errors that have no subcode of their own by how their text begins or goes on. The last is told
// of a page that a later login left out (observed Jun 2026).
var problemOfText = []struct {
	code    int
	text    string
	problem Problem
}{
	{100, "authorization code has been used", ProblemCodeUsed},
	{100, "authorization code has expired", ProblemCodeExpired},
	{100, "verification code format", ProblemCodeInvalid},
	{100, "redirect_uri is identical", ProblemRedirectDiffers},
	{1, "validating client secret", ProblemAppSecret},
	{190, "before impersonating a user's page", ProblemPageNotChosen},
}

// judge finds out what an error means for the request it answers.
func (e *Error) judge(r request) {
	e.Problem = problem(e.Code, e.Subcode, e.Message)
	switch {
	case e.Code == 101:
		e.Problem = ProblemAppID
	case r.login && e.Code == 191:
		e.Problem = ProblemRedirectRefused
	case r.byApp && e.Class == ClassToken: // nobody can log in again for the app
		e.Class, e.Problem = ClassInvalid, ProblemAppRefused
	case e.Code == 2200:
		e.Problem = ProblemCallback
	case e.Problem == ProblemAppSecret:
		e.Class = ClassInvalid // code 1 is transient otherwise
	}
}

func problem(code, subcode int, message string) Problem {
	if p := problemOfSubcode[subcode]; p != "" {
		return p
	}
	for _, known := range problemOfText {
		if code == known.code && strings.Contains(message, known.text) {
			return known.problem
		}
	}
	return problemOfSubcode[code]
}
