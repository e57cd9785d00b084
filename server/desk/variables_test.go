package desk

import (
	"fmt"
	"strings"
	"testing"
)

var everyValue = map[string]string{contactName: "Ada", operatorName: "{ann}", channelName: `\{`, queueName: "{contact.name}"}

func TestVariablesAreFilledAndABraceIsWrittenWithABackslash(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 " []",
		"Hello {contact.name}!":            "Hello Ada! []",
		"{contact.name}{contact.name}":     "AdaAda []",
		"{operator.name} {channel.name}":   `{ann} \{ []`,
		"{queue.name}":                     "{contact.name} []", // values are not read again
		`\{contact.name} \{} \\{ \n } }}`:  `{contact.name} {} \{ \n } }} []`,
		"Grüße, {contact.name} \U0001F44B": "Grüße, Ada \U0001F44B []",
	} {
		filled, missing := fill(text, everyValue)
		if got := fmt.Sprint(filled, " ", missing); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAVariableWithoutAValueStaysVisibleAndIsListedOnce(t *testing.T) {
	filled, missing := fill(`{queue.name}: {contact.name}, {operator.name}, {queue.name} \{`, map[string]string{contactName: "Ada"})
	if filled != "{queue.name}: Ada, {operator.name}, {queue.name} {" || fmt.Sprint(missing) != "[queue.name operator.name]" {
		t.Error(filled, missing)
	}
}

func TestAnUnknownVariableIsNamed(t *testing.T) {
	for text, named := range map[string]string{
		"Hi {contact.nmae}":           "{contact.nmae};",
		"{{contact.name}}":            "{{contact.name};",
		"{ contact.name }":            "{ contact.name };",
		"{Contact.Name}":              "{Contact.Name};",
		"{}":                          "{};",
		"never closed {":              "{};",
		"{" + strings.Repeat("x", 99): "{" + strings.Repeat("x", 40) + "};",
	} {
		if _, err := pieces(text); err == nil || !strings.Contains(err.Error(), "no variable "+named) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzVariables: any text can be written so that it comes out as it is; and what
// is taken has every variable filled, or visible and listed.
func FuzzVariables(f *testing.F) {
	for _, seed := range []string{"", "Hello {contact.name}", `\{`, `\\{`, "{{contact.name}}", "{queue.name}}", "{", "}{", "{\xff}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if filled, missing := fill(strings.ReplaceAll(text, "{", `\{`), everyValue); filled != text || len(missing) > 0 {
			t.Fatalf("%q becomes %q, without %v", text, filled, missing)
		}
		all, err := pieces(text)
		if err != nil {
			return
		}
		var written string
		for _, p := range all {
			if p.isVariable {
				p.text = "{" + p.text + "}"
			} else {
				p.text = strings.ReplaceAll(p.text, "{", `\{`)
			}
			written += p.text
		}
		if written != text {
			t.Fatalf("%q is read as %q", text, written)
		}
		filled, missing := fill(text, nil)
		for _, name := range missing {
			if !strings.Contains(filled, "{"+name+"}") {
				t.Fatalf("%q becomes %q, and {%s} is not to be seen", text, filled, name)
			}
		}
		if strings.ReplaceAll(text, `\{`, "{") != filled {
			t.Fatalf("%q becomes %q", text, filled)
		}
	})
}
