package messenger

import (
	"encoding/json"
	"strings"
)

// describe fills in what can be told of an element without decoding it: its kind, its standing and its person.
func (item *Item) describe(element []byte, array string) {
	if !isObject(element) {
		item.Kind = KindMalformed
		return
	}
	if array == `"changes"` {
		item.Kind = KindChange
		return
	}
	item.Standby = array == `"standby"`
	item.Kind = KindUnknown
	var from, to string
	for name, value := range fields(element) {
		switch string(name) {
		case `"sender"`:
			from = party(value)
		case `"recipient"`:
			to = party(value)
		default:
			if item.Kind == KindUnknown || string(name) == `"message"` {
				item.Kind = kindOf(name, value, item.Kind)
			}
		}
	}
	item.setParties(from, to)
}

// kindOf gives the kind that a member makes of its item; otherwise if it makes none. A member without an object in it
// says nothing: the console's test call has "message":"TEST_MESSAGE" (webhooks guide, Oct 2026).
func kindOf(name, value []byte, otherwise string) string {
	if !isObject(value) {
		return otherwise
	}
	switch kind := string(name[1 : len(name)-1]); kind {
	case KindMessage:
		if isEcho(value) {
			return KindEcho
		}
		return kind
	case "policy-enforcement": // its spelling in old payloads
		return KindPolicy
	case KindDelivery, KindRead, KindReaction, KindEdit, KindPostback, KindReferral, KindOptin, KindAccountLinking,
		KindPolicy, KindPassThread, KindTakeThread, KindRequestThread, KindAppRoles:
		return kind
	}
	return otherwise
}

func isEcho(message []byte) bool {
	for name, value := range fields(message) {
		if string(name) == `"is_echo"` {
			return string(value) == "true"
		}
	}
	return false
}

// setParties tells person from page. Echoes have them the other way round, and some documented examples print a person
// where the page belongs, so the rule is: the expected side, unless that is the page itself.
func (item *Item) setParties(from, to string) {
	person, other := from, to
	if item.Kind == KindEcho {
		person, other = to, from
	}
	if item.Page == "" {
		item.Page = other
	}
	if item.Kind == KindPolicy || item.Kind == KindAppRoles {
		return // events of the page, whatever ids they carry
	}
	if person == item.Page {
		person = other
	}
	if person != item.Page {
		item.Person = person
	}
}

// party reads {"id":…} or, for people who came by a plug-in, {"user_ref":…}.
func party(raw []byte) string {
	ref := ""
	for name, value := range fields(raw) {
		switch string(name) {
		case `"id"`:
			if id := scalar(value); id != "" {
				return id
			}
		case `"user_ref"`:
			if id := scalar(value); id != "" {
				ref = "user_ref:" + id
			}
		}
	}
	return ref
}

// scalar gives a string's content, or a number as it is written: ids come as either, and a float would bend them.
// NUL goes (PostgreSQL takes none in text), and what is no valid UTF-8 becomes U+FFFD. Anything else is "".
func scalar(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		return clean(raw)
	case c == '-' || '0' <= c && c <= '9':
		return string(raw)
	}
	return ""
}

func clean(quoted []byte) string {
	if inner := quoted[1 : len(quoted)-1]; isPlain(inner) {
		return string(inner)
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return strings.ReplaceAll(s, "\x00", "")
}

func isPlain(inner []byte) bool {
	for _, c := range inner {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}
