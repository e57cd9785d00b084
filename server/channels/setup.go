package channels

import (
	"context"
	"strings"

	"parley/server/auth"
	"parley/server/fault"
	"parley/server/messenger"
	"parley/server/settings"
)

// Precondition is something that must hold before a channel can be added.
type Precondition struct {
	Code     PreconditionCode
	Status   SetupStatus
	Reason   string          // what is wrong and what to do; empty if nothing is
	Settings []settings.Code // that it is about, those that are missing first
}

// SetupStatus is how a precondition stands.
type SetupStatus string

// The statuses. One that is unknown holds nothing up by itself.
const (
	SetupDone    SetupStatus = "DONE"
	SetupOpen    SetupStatus = "OPEN"
	SetupUnknown SetupStatus = "UNKNOWN"
)

// PreconditionCode names a precondition.
type PreconditionCode string

// The preconditions, in the order in which they are best met.
const (
	IdentityServerSet     PreconditionCode = "IDENTITY_SERVER_SET"
	IdentityServerAnswers PreconditionCode = "IDENTITY_SERVER_ANSWERS"
	FacebookAppSet        PreconditionCode = "FACEBOOK_APP_SET"
	FacebookAppAnswers    PreconditionCode = "FACEBOOK_APP_ANSWERS"
)

// Setup is the check list for adding a channel of Facebook.
type Setup struct {
	Preconditions []*Precondition
	// SupportContact is whom to ask, if that is set.
	SupportContact string
}

// Ready says that nothing holds it up.
func (s *Setup) Ready() bool { return len(s.open()) == 0 }

func (s *Setup) open() (open []*Precondition) {
	for _, p := range s.Preconditions {
		if p.Status == SetupOpen {
			open = append(open, p)
		}
	}
	return open
}

var (
	identitySettings = []settings.Code{settings.IdentityServerURL, settings.IdentityServerClientID, settings.IdentityServerClientSecret}
	facebookSettings = []settings.Code{settings.FacebookAppID, settings.FacebookAppSecret, settings.FacebookWebhookVerifyToken}
)

// Setup goes through the check list. It asks the identity server for a token,
// and Facebook for the app.
func (c *Channels) Setup(ctx context.Context) (*Setup, error) {
	now := c.options.Settings.Current()
	s := &Setup{SupportContact: now.Text(settings.SupportContact)}
	identity := set(now, IdentityServerSet, identitySettings)
	answers := &Precondition{Code: IdentityServerAnswers, Status: SetupUnknown, Settings: identitySettings}
	if identity.Status == SetupDone {
		failure, err := c.TestIdentityServer(ctx)
		if err != nil {
			return nil, err
		}
		if answers.Status = SetupDone; failure != nil {
			answers.Status, answers.Reason = SetupOpen, failure.Reason
		}
	}
	app := set(now, FacebookAppSet, facebookSettings)
	known := &Precondition{Code: FacebookAppAnswers, Status: SetupUnknown, Settings: facebookSettings[:2]}
	if app.Status == SetupDone {
		_, err := c.client.ReadApp(ctx)
		switch messenger.ClassOf(err) {
		case "":
			known.Status = SetupDone
		case messenger.ClassInvalid:
			known.Status, known.Reason = SetupOpen, reasonOf(err)
		default:
			known.Reason = reasonOf(err)
		}
	}
	s.Preconditions = []*Precondition{identity, answers, app, known}
	return s, nil
}

// TestIdentityServer tests the identity server that the settings name.
func (c *Channels) TestIdentityServer(ctx context.Context) (*auth.IdentityFailure, error) {
	now := c.options.Settings.Current()
	return c.options.TestIdentityServer(ctx, auth.IdentityServer{
		URL: now.Text(settings.IdentityServerURL), ClientID: now.Text(settings.IdentityServerClientID), ClientSecret: now.Text(settings.IdentityServerClientSecret),
	})
}

// set is the precondition that settings have values.
func set(now *settings.Values, code PreconditionCode, of []settings.Code) *Precondition {
	p := &Precondition{Code: code, Status: SetupDone}
	var there []settings.Code
	for _, c := range of {
		if now.Text(c) == "" {
			p.Settings = append(p.Settings, c)
		} else {
			there = append(there, c)
		}
	}
	if len(p.Settings) > 0 {
		p.Status, p.Reason = SetupOpen, "Set "+joined(p.Settings)+"."
	}
	p.Settings = append(p.Settings, there...)
	return p
}

func joined(codes []settings.Code) string {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = string(c)
	}
	return strings.Join(words, ", ")
}

// checkSetup refuses to add a channel while the check list is not done, and says
// what is missing and whom to ask.
func (c *Channels) checkSetup(ctx context.Context) error {
	s, err := c.Setup(ctx)
	if err != nil || s.Ready() {
		return err
	}
	var missing []string
	for _, p := range s.open() {
		missing = append(missing, p.Reason)
	}
	if s.SupportContact != "" {
		missing = append(missing, "Ask "+s.SupportContact+".")
	}
	return fault.New(fault.SetupIncomplete, "", "The set-up is not complete. %s", strings.Join(missing, " "))
}
