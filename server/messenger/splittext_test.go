package messenger

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

func TestLongTextsAreCutBetweenWords(t *testing.T) {
	word := strings.Repeat("x", 999)
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"short":                {" Hello\n", []string{" Hello\n"}},
		"blank":                {" \n ", nil},
		"empty":                {"", nil},
		"just fits":            {strings.Repeat("x", 2000), []string{strings.Repeat("x", 2000)}},
		"two words and more":   {word + " " + word + "\n " + word, []string{word + " " + word, word}},
		"space at the limit":   {strings.Repeat("x", 2000) + " y", []string{strings.Repeat("x", 2000), "y"}},
		"no spaces":            {strings.Repeat("x", 2001), []string{strings.Repeat("x", 2000), "x"}},
		"surrogate pairs":      {"x" + strings.Repeat("😀", 1000), []string{"x" + strings.Repeat("😀", 999), "😀"}},
		"joined emoji":         {strings.Repeat("x", 1998) + "👩‍🚀", []string{strings.Repeat("x", 1998), "👩‍🚀"}},
		"an accent of its own": {strings.Repeat("x", 1999) + "e\u0301", []string{strings.Repeat("x", 1999), "e\u0301"}},
		"a flag":               {strings.Repeat("x", 1998) + "🇺🇦", []string{strings.Repeat("x", 1998), "🇺🇦"}},
		"spaces without end":   {"x" + strings.Repeat(" ", 5000) + "y", []string{"x", "y"}},
		"spaces at the end":    {strings.Repeat("x", 2000) + "  ", []string{strings.Repeat("x", 2000)}},
	} {
		got := SplitText(c.in)
		if strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
			t.Errorf("%s: %d parts %q", name, len(got), got)
		}
	}
}

func FuzzSplitText(f *testing.F) {
	f.Add("a b", 1500)
	f.Add("😀\u200d👩🏽 ", 700)
	f.Add("e\u0301\u00a0", 1999)
	f.Fuzz(func(t *testing.T, piece string, times int) {
		if len(piece) > 100 || !utf8.ValidString(piece) {
			return // halves of a character could meet again in the test's own join
		}
		in := strings.Repeat(piece, max(0, times%3000))
		parts := SplitText(in)
		for _, part := range parts {
			if strings.TrimSpace(part) == "" || len(utf16.Encode([]rune(part))) > MaxTextUnits {
				t.Fatalf("a part of %d bytes: %q", len(part), part)
			}
		}
		if withoutSpace(strings.Join(parts, "")) != withoutSpace(in) {
			t.Fatal("more than whitespace is lost")
		}
	})
}

func withoutSpace(s string) string {
	return strings.Join(strings.FieldsFunc(s, unicode.IsSpace), "")
}
