package desk

import (
	"strings"

	"golang.org/x/text/language"

	"parley/ent"
	"parley/server/fault"
)

// LanguageRule says why a text is in its language.
type LanguageRule string

// The rules, in the order in which they are tried.
const (
	ByContact LanguageRule = "CONTACT" // the contact's locale
	ByChannel LanguageRule = "CHANNEL" // the channel's language
	ByDefault LanguageRule = "DEFAULT" // the setting
	ByNone    LanguageRule = "ANY"     // no text fits any of them
)

// wish is a language that somebody wants, and why.
type wish struct {
	rule     LanguageRule
	language string
}

// choose gives the first text that serves the first wish for which there is one,
// or else the first text there is.
func choose(texts []*ent.QuickReplyText, wishes []wish) (*ent.QuickReplyText, LanguageRule) {
	serving := served(texts)
	for _, w := range wishes {
		if found := serving(w.language); found != nil {
			return found, w.rule
		}
	}
	return texts[0], ByNone
}

// served tells which text serves those who want a language, nil if none does: one
// in the language itself before others that its speakers read, such as de for
// de-AT. What is only better than nothing, such as simplified characters for
// Taiwan, does not.
func served(texts []*ent.QuickReplyText) func(wanted string) *ent.QuickReplyText {
	tags := make([]language.Tag, len(texts))
	for i, t := range texts {
		tags[i] = language.Make(t.Language)
	}
	matcher := language.NewMatcher(tags)
	return func(wanted string) *ent.QuickReplyText {
		want, err := language.Parse(wanted)
		if err != nil || want.IsRoot() {
			return nil
		}
		if _, i, confidence := matcher.Match(want); confidence >= language.High {
			return texts[i]
		}
		return nil
	}
}

// canonicalLanguage gives a language tag its one form.
func canonicalLanguage(field, text string) (string, error) {
	tag, err := language.Parse(strings.TrimSpace(text))
	if err != nil || tag.IsRoot() || len(tag.String()) > 35 {
		return "", fault.New(fault.Invalid, field, "this is not a language tag such as de or pt-BR")
	}
	return tag.String(), nil
}
