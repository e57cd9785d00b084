package settings

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"

	"parley/server/weburl"
)

// Code names a setting.
type Code string

// The settings.
const (
	IdentityServerURL          Code = "IdentityServerUrl"
	IdentityServerClientID     Code = "IdentityServerClientId"
	IdentityServerClientSecret Code = "IdentityServerClientSecret"
	IdentityServerAudience     Code = "IdentityServerAudience"
	IdentityServerClaim        Code = "IdentityServerOperatorClaim"

	FacebookAppID              Code = "FacebookAppId"
	FacebookAppSecret          Code = "FacebookAppSecret"
	FacebookWebhookVerifyToken Code = "FacebookWebhookVerifyToken"
	FacebookLoginConfiguration Code = "FacebookLoginConfigurationId"

	SimultaneousChats Code = "SimultaneousChats"
	DefaultLanguage   Code = "DefaultLanguage"
	SupportContact    Code = "SupportContact"
)

// Kind is what a setting's value is.
type Kind string

// The kinds.
const (
	Text   Kind = "TEXT"
	URL    Kind = "URL"
	Number Kind = "NUMBER" // a whole one
	Secret Kind = "SECRET" // a text that is given and never shown
)

// Definition is what a setting may be.
type Definition struct {
	Code        Code
	Kind        Kind
	Description string
	Default     string // its value while it has none

	// check gives the value its form, or says what it must be.
	check func(string) (string, error)
}

// All defines every setting, in the order in which they are shown.
var All = []Definition{
	{IdentityServerURL, URL, "The OpenID provider that signs people and machines in. At first it is this installation's own.", "", issuer},
	{IdentityServerClientID, Text, "The client id under which this installation asks the identity server for a token.", "", text},
	{IdentityServerClientSecret, Secret, "The secret that goes with IdentityServerClientId.", "", text},
	{IdentityServerAudience, Text, "The audience that tokens of an outside identity server are for; empty is IdentityServerClientId or the public URL.", "", text},
	{IdentityServerClaim, Text, "The claim in a person's token that is an operator's e-mail. email must not be called unverified.", "email", text},
	{FacebookAppID, Text, "The id of the Facebook app, from its dashboard.", "", digits},
	{FacebookAppSecret, Secret, "The secret of the Facebook app, from its dashboard.", "", text},
	{FacebookWebhookVerifyToken, Secret, "The word that Facebook repeats when it checks the webhook: any, the same here and in the app's dashboard.", "", text},
	{FacebookLoginConfiguration, Text, "The configuration of Facebook Login for Business; without one, the login asks for the permissions itself.", "", digits},
	{SimultaneousChats, Number, "How many chats in progress one operator may have.", "5", between(1, 100)},
	{DefaultLanguage, Text, "The language of prepared texts where neither the contact's nor the channel's is known or served, BCP 47.", "en", languageTag},
	{SupportContact, Text, "Whom to ask about the set-up: a name, an e-mail address, a telephone number.", "", text},
}

// trust says whether a setting tells whose tokens are accepted: who changes it can
// be anybody, an administrator too.
func (d Definition) trust() bool { return strings.HasPrefix(string(d.Code), "IdentityServer") }

var definitions = func() map[Code]Definition {
	m := make(map[Code]Definition, len(All))
	for _, d := range All {
		m[d.Code] = d
	}
	return m
}()

// longest is how long a value may be, in bytes.
const longest = 2000

// issuer is compared with what the identity server calls itself, to the last
// slash: it stays as it is.
func issuer(s string) (string, error) {
	s = strings.TrimSpace(s)
	_, err := weburl.Parse(s)
	return s, err
}

func text(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > longest || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return "", errors.New("must be one line of text of at most 2000 bytes")
	}
	return s, nil
}

func digits(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 50 || strings.Trim(s, "0123456789") != "" {
		return "", errors.New("must be digits")
	}
	return s, nil
}

func languageTag(s string) (string, error) {
	tag, err := language.Parse(strings.TrimSpace(s))
	if err != nil || tag.IsRoot() || len(tag.String()) > 35 {
		return "", errors.New("must be a language tag such as de or pt-BR")
	}
	return tag.String(), nil
}

func between(least, most int) func(string) (string, error) {
	return func(s string) (string, error) {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < least || n > most {
			return "", errors.New("must be a whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most))
		}
		return strconv.Itoa(n), nil
	}
}
