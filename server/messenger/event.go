package messenger

import (
	"encoding/json"
	"time"
)

// Event is one webhook item, decoded. Of the pointers at most the one that belongs to Kind is set (messages and echoes
// share Message, the three thread control kinds share Control); none for kinds change and unknown.
// All strings are valid UTF-8 without NUL.
type Event struct {
	Object, Page, Person, Kind string // as in Item
	Standby                    bool
	At                         time.Time // of the item, else of its entry; zero if neither has one

	Message  *Message
	Delivery *Delivery
	Read     *Read
	Reaction *Reaction
	Edit     *Edit
	Postback *Postback
	Referral *Referral
	Optin    *Optin
	Linking  *AccountLinking
	Policy   *Policy
	Control  *ThreadControl
	Roles    map[string][]string // app id → roles
	Granted  []PermissionChange  // of ObjectPermissions
}

// Message is what a person wrote, or, as an echo, what was sent to them in the page's name.
type Message struct {
	MID, Text         string
	Echo              bool
	AppID             string // who sent an echo; "" for some messages of the page inbox
	Metadata          string // what the sender of an echo put there
	Attachments       []Attachment
	QuickReplyPayload string
	ReplyTo           string // mid
	Referral          *Referral
	Deleted           bool // the person unsent it: its content must go
	Unsupported       bool // Messenger does not tell what it was
}

// Attachment is one attachment of a message. Type is Facebook's word (image, video, audio, file, sticker, reel, post,
// fallback, location, template, …), also where it is one we do not know.
type Attachment struct {
	Type, URL, Title string
	ID               string // of the reel, post or reusable attachment, if it has one
	StickerID        string
	Place            *Place          // of a location
	Template         *Template       // of a template
	Payload          json.RawMessage // as it came (not cleaned), for types that have more to tell
}

// Place is a point on earth.
type Place struct{ Latitude, Longitude float64 }

// Template is the readable part of a structured message.
type Template struct {
	Type, Text string
	Elements   []TemplateElement
	Buttons    []string // titles
}

// TemplateElement is one card of a template.
type TemplateElement struct{ Title, Subtitle, ImageURL string }

// Delivery says that everything sent until Watermark, and these mids if given, reached the person.
type Delivery struct {
	MIDs      []string
	Watermark time.Time
}

// Read says that everything sent until Watermark was read.
type Read struct{ Watermark time.Time }

// Reaction is put on a message, or taken away; Reaction and Emoji may then be empty.
type Reaction struct {
	MID, Reaction, Emoji string
	Removed              bool
}

// Edit is a message's new text.
type Edit struct {
	MID, Text string
	Number    int // 1 for the first edit, up to 5
}

// Postback is a tap on a button. In standby the payload is withheld; old ones have no MID.
type Postback struct {
	MID, Title, Payload string
	Referral            *Referral
}

// Referral says where somebody came from: an m.me link, an advertisement, a shop.
type Referral struct {
	Ref, Source, Type, AdID, AdTitle, RefererURI, ProductID string
}

// Optin is a plug-in tick or a subscription to a topic.
type Optin struct {
	Type, Ref, UserRef, Payload, Title, Token, Status string
}

// AccountLinking tells that a person linked or unlinked an account of theirs.
type AccountLinking struct {
	Linked            bool
	AuthorizationCode string
}

// Policy is a warning about, a block of, or an unblocking of the page.
type Policy struct{ Action, Reason string }

// ThreadControl moves a thread, or asks for it. An owner is "" where Facebook leaves it out or the thread was idle.
type ThreadControl struct{ PreviousOwner, NewOwner, RequestedOwner, Metadata string }
