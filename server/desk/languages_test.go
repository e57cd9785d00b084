package desk

import (
	"fmt"
	"testing"

	"parley/ent"
	"parley/server/fault"
)

func textsIn(languages ...string) (texts []*ent.QuickReplyText) {
	for _, l := range languages {
		texts = append(texts, &ent.QuickReplyText{Language: l, Text: "in " + l})
	}
	return texts
}

func TestATextServesThoseWhoReadItsLanguage(t *testing.T) {
	for _, c := range []struct {
		texts        []*ent.QuickReplyText
		wanted, want string
	}{
		{textsIn("en", "de"), "de", "de"},
		{textsIn("en", "de"), "de-AT", "de"},
		{textsIn("de", "de-AT"), "de-AT", "de-AT"},
		{textsIn("de-AT", "de"), "de", "de"},
		{textsIn("en", "de-AT"), "de", "de-AT"},
		{textsIn("en", "pt"), "pt_BR", "pt"}, // as Facebook writes locales
		{textsIn("en", "es"), "es_LA", "es"},
		{textsIn("en", "nb"), "no", "nb"},
		{textsIn("zh", "zh-TW"), "zh-HK", "zh-TW"},
		{textsIn("zh"), "zh-TW", "none"},
		{textsIn("ru"), "uk", "none"},
		{textsIn("en"), "de", "none"},
		{textsIn("en"), "", "none"},
		{textsIn("en"), "und", "none"},
		{textsIn("en"), "no language", "none"},
		{nil, "de", "none"},
	} {
		got := "none"
		if found := served(c.texts)(c.wanted); found != nil {
			got = found.Language
		}
		if got != c.want {
			t.Errorf("%s gets %s of %v, not %s", c.wanted, got, c.texts, c.want)
		}
	}
}

func TestTheFirstRuleThatHasATextChooses(t *testing.T) {
	for _, c := range []struct {
		texts                     []*ent.QuickReplyText
		contact, channel, general string
		want                      string
	}{
		{textsIn("en", "de", "fr"), "de_DE", "fr", "en", "de CONTACT"},
		{textsIn("en", "de", "fr"), "it_IT", "fr", "en", "fr CHANNEL"},
		{textsIn("en", "de", "fr"), "", "fr-CA", "en", "fr CHANNEL"},
		{textsIn("de", "en"), "", "", "en", "en DEFAULT"},
		{textsIn("de", "fr"), "it_IT", "es", "en", "de ANY"},
	} {
		text, rule := choose(c.texts, []wish{{ByContact, c.contact}, {ByChannel, c.channel}, {ByDefault, c.general}})
		if got := fmt.Sprint(text.Language, " ", rule); got != c.want {
			t.Errorf("%q, %q, %q: %s, not %s", c.contact, c.channel, c.general, got, c.want)
		}
	}
}

func TestALanguageTagHasOneForm(t *testing.T) {
	for given, want := range map[string]string{"DE": "de", " pt_br ": "pt-BR", "iw": "he", "zh-hant-tw": "zh-Hant-TW"} {
		if got, err := canonicalLanguage("language", given); err != nil || got != want {
			t.Errorf("%q becomes %q, %v", given, got, err)
		}
	}
	for _, wrong := range []string{"", "und", "german", "xx", "de DE", "x-" + "a-very-long-private-tag-of-somebodys", "\xff"} {
		if got, err := canonicalLanguage("language", wrong); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q becomes %q", wrong, got)
		}
	}
}
