package messenger

import (
	"strings"
	"unicode"
)

// SplitText cuts a text into parts that Messenger takes, each at most MaxTextUnits long, between words where there are
// any. Only whitespace at the cuts is lost, no part is blank, and no visible character is cut in two unless it is
// itself longer than a part. A blank text has no parts.
func SplitText(s string) []string {
	var parts []string
	for {
		cut := cutAt(s, MaxTextUnits)
		part := s[:cut]
		if cut < len(s) {
			part = strings.TrimRightFunc(part, unicode.IsSpace)
		}
		if strings.TrimSpace(part) != "" {
			parts = append(parts, part)
		}
		if cut == len(s) {
			return parts
		}
		if s = strings.TrimLeftFunc(s[cut:], unicode.IsSpace); s == "" {
			return parts
		}
	}
}

// cutAt gives the byte index of the best cut within limit UTF-16 units: the last space, else the last place between
// two visible characters, else between two runes.
func cutAt(s string, limit int) int {
	units, space, whole := 0, 0, 0
	var before rune
	for i, r := range s {
		if unicode.IsSpace(r) {
			space = i
		}
		if i > 0 && !joined(before, r) {
			whole = i
		}
		if units += unitsOf(r); units > limit {
			return firstPositive(space, whole, i)
		}
		before = r
	}
	return len(s)
}

func firstPositive(indexes ...int) int {
	for _, i := range indexes {
		if i > 0 {
			return i
		}
	}
	return 0
}

func unitsOf(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// joined tells whether two runes are shown as one character: combining marks, variation selectors, emoji joined by
// U+200D or coloured by a skin tone, and the two letters of a flag.
func joined(before, r rune) bool {
	const zeroWidthJoiner = 0x200d
	return r == zeroWidthJoiner || before == zeroWidthJoiner || unicode.Is(unicode.M, r) ||
		0x1f3fb <= r && r <= 0x1f3ff || isFlagLetter(before) && isFlagLetter(r)
}

func isFlagLetter(r rune) bool { return 0x1f1e6 <= r && r <= 0x1f1ff }
