package messenger

import (
	"bytes"
	"encoding/json"
)

// Kinds of webhook items. Except for the last three they are the name of the member that makes an item what it is.
const (
	KindMessage        = "message"
	KindEcho           = "echo" // a message somebody sent in the page's name: an app, the page inbox, or we
	KindDelivery       = "delivery"
	KindRead           = "read"
	KindReaction       = "reaction"
	KindEdit           = "message_edit"
	KindPostback       = "postback"
	KindReferral       = "referral"
	KindOptin          = "optin"
	KindAccountLinking = "account_linking"
	KindPolicy         = "policy_enforcement"
	KindPassThread     = "pass_thread_control"
	KindTakeThread     = "take_thread_control"
	KindRequestThread  = "request_thread_control"
	KindAppRoles       = "app_roles"
	KindChange         = "change"    // an element of "changes": feed, inbox_labels, …
	KindUnknown        = "unknown"   // well-formed, but nothing that this package knows
	KindMalformed      = "malformed" // not what a webhook may be; kept all the same
)

// Item is one element of a webhook post as a post of its own.
type Item struct {
	Object string
	Page   string // "" unless the item is of a page
	// Person is the party that is not the page, by page-scoped id; "user_ref:…" for somebody who so far only ticked a
	// plug-in and has no page-scoped id; "" for events of the page itself.
	Person  string
	Kind    string
	Standby bool // another app has the thread, we only look on

	whole   []byte // a post of its own; nil if it is an element of:
	entry   *entry
	array   []byte // its name, with its quotes
	element []byte
}

// Body is the post with everything but this element cut away, the element's own bytes unchanged.
func (item Item) Body() []byte {
	if item.entry == nil {
		return item.whole
	}
	return wrap(item.entry.head, item.array, ":[", item.element, "]}]}")
}

// Split cuts a webhook post into its items. It runs inside the webhook request and therefore decodes next to nothing.
// Nothing is dropped: what is no batch of events comes back as one item of kind unknown or malformed.
func Split(body []byte) []Item {
	var items []Item
	split(body, func(item Item) { items = append(items, item) })
	return items
}

type emitter func(Item)

func split(body []byte, emit emitter) {
	if !json.Valid(body) || !isObject(body) {
		emit(Item{Kind: KindMalformed, whole: body})
		return
	}
	p, none := readPost(body), true
	for _, entries := range p.entries {
		if !isArray(entries) {
			emit(p.item(KindMalformed, ":", entries, "}"))
			none = false
		}
		for raw := range elements(entries) {
			p.splitEntry(raw, emit)
			none = false
		}
	}
	if none {
		emit(Item{Object: p.object, Kind: KindUnknown, whole: body})
	}
}

// post is the outer object of a webhook: its members apart from "entry" go along with every item.
type post struct {
	object  string
	head    []byte // `{` and the members apart from "entry", each followed by a comma
	entries [][]byte
}

func readPost(body []byte) post {
	p := post{head: []byte{'{'}}
	for name, value := range fields(body) {
		switch string(name) {
		case `"entry"`:
			p.entries = append(p.entries, value)
			continue
		case `"object"`:
			p.object = scalar(value)
		}
		p.head = appendMember(p.head, name, value)
	}
	return p
}

func (p post) item(kind, before string, value []byte, after string) Item {
	return Item{Object: p.object, Kind: kind, whole: wrap(p.head, []byte(`"entry"`), before, value, after)}
}

// splitEntry emits the items of one entry. Entries of other objects than pages (permissions, …) stay whole: their id
// is not a page, and their members are not ours to take apart.
func (p post) splitEntry(raw []byte, emit emitter) {
	switch {
	case !isObject(raw):
		emit(p.item(KindMalformed, ":[", raw, "]}"))
	case p.object != "page":
		emit(p.item(KindUnknown, ":[", raw, "]}"))
	default:
		e := readEntry(p, raw)
		if !e.emit(emit) {
			item := p.item(KindUnknown, ":[", raw, "]}")
			item.Page = e.page
			emit(item)
		}
	}
}

// entry is one element of "entry": its members apart from the arrays of events go along with every item.
type entry struct {
	object, page string
	head, time   []byte
	arrays       []array
}

type array struct{ name, value []byte }

func readEntry(p post, raw []byte) *entry {
	e := &entry{object: p.object, head: append(p.head[:len(p.head):len(p.head)], `"entry":[{`...)}
	for name, value := range fields(raw) {
		switch string(name) {
		case `"messaging"`, `"standby"`, `"changes"`:
			if string(value) != "null" {
				e.arrays = append(e.arrays, array{name, value})
			}
			continue
		case `"id"`:
			e.page = scalar(value)
		case `"time"`:
			e.time = value
		}
		e.head = appendMember(e.head, name, value)
	}
	return e
}

// emit reports whether the entry had any item.
func (e *entry) emit(emit emitter) (any bool) {
	for _, a := range e.arrays {
		if !isArray(a.value) {
			body := wrap(e.head, a.name, ":", a.value, "}]}")
			emit(Item{Object: e.object, Page: e.page, Kind: KindMalformed, whole: body})
			any = true
		}
		for raw := range elements(a.value) {
			item := Item{Object: e.object, Page: e.page, entry: e, array: a.name, element: raw}
			item.describe(raw, string(a.name))
			emit(item)
			any = true
		}
	}
	return any
}

func appendMember(to, name, value []byte) []byte {
	to = append(append(to, name...), ':')
	return append(append(to, value...), ',')
}

func wrap(head, name []byte, before string, value []byte, after string) []byte {
	b := make([]byte, 0, len(head)+len(name)+len(before)+len(value)+len(after))
	b = append(append(append(b, head...), name...), before...)
	return append(append(b, value...), after...)
}

func isObject(raw []byte) bool { return startsWith(bytes.TrimLeft(raw, " \n\t\r"), '{') }
func isArray(raw []byte) bool  { return startsWith(bytes.TrimLeft(raw, " \n\t\r"), '[') }
