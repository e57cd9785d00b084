package messenger

import (
	"bytes"
	"encoding/json"
	"iter"
)

// The functions of this file walk JSON that json.Valid has accepted, without decoding or copying it. encoding/json
// reads each nested RawMessage again at every level and forgets a repeated key; here a post is walked once and
// nothing of it is forgotten.

// fields yields the members of an object, names with their quotes; nothing if raw is no object.
func fields(raw []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(raw, 0)
		if !startsWith(raw[i:], '{') {
			return
		}
		for i = skipSpace(raw, i+1); raw[i] != '}'; i = skipSeparator(raw, i) {
			nameEnd := valueEnd(raw, i)
			start := skipSpace(raw, skipSpace(raw, nameEnd)+1) // over the colon
			end := valueEnd(raw, start)
			if !yield(plainName(raw[i:nameEnd]), raw[start:end]) {
				return
			}
			i = end
		}
	}
}

// elements yields the elements of an array; nothing if raw is no array.
func elements(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := skipSpace(raw, 0)
		if !startsWith(raw[i:], '[') {
			return
		}
		for i = skipSpace(raw, i+1); raw[i] != ']'; i = skipSeparator(raw, i) {
			end := valueEnd(raw, i)
			if !yield(raw[i:end]) {
				return
			}
			i = end
		}
	}
}

func startsWith(raw []byte, c byte) bool { return len(raw) > 0 && raw[0] == c }

// plainName undoes escapes in a member's name ("\u006did" is "mid"), which are legal and never seen.
func plainName(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	var s string
	if json.Unmarshal(name, &s) != nil {
		return name
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return name
	}
	return plain
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// skipSeparator goes from the end of a value to the next value or to the closing bracket.
func skipSeparator(raw []byte, i int) int {
	if i = skipSpace(raw, i); raw[i] == ',' {
		i = skipSpace(raw, i+1)
	}
	return i
}

// valueEnd gives the index behind the value that starts at i.
func valueEnd(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i = plainEnd(raw, i)
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// stringEnd looks for the next quote that no odd number of backslashes stands before.
func stringEnd(raw []byte, i int) int {
	for {
		i += 1 + bytes.IndexByte(raw[i+1:], '"')
		start := i
		for raw[start-1] == '\\' {
			start--
		}
		if (i-start)%2 == 0 {
			return i + 1
		}
	}
}

// plainEnd goes over a number or word, or over one character of punctuation between values.
func plainEnd(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case ',', ']', '}', '"', '{', '[', ':', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return i
}
