package messengertest

import (
	"encoding/json"
	"slices"
	"unicode/utf16"

	"parley/server/messenger"
)

// draft is a request of the Send API, read.
type draft struct {
	recipient struct {
		ID json.RawMessage `json:"id"`
	}
	message struct {
		Text         *string           `json:"text"`
		Attachment   json.RawMessage   `json:"attachment"`
		Attachments  []json.RawMessage `json:"attachments"`
		QuickReplies []json.RawMessage `json:"quick_replies"`
		Metadata     string            `json:"metadata"`
		Template     json.RawMessage   `json:"template"`
		ReplyTo      json.RawMessage   `json:"reply_to"`
	}
	kind, tag, action string
	hasMessage        bool
}

func readDraft(c *call) (draft, *graphError) {
	d := draft{kind: c.params["messaging_type"], tag: c.params["tag"], action: c.params["sender_action"],
		hasMessage: c.params["message"] != ""}
	switch {
	case c.params["recipient"] == "" || !c.object("recipient", &d.recipient) || len(d.recipient.ID) == 0:
		return d, invalid("Param recipient must be non-empty.")
	case !c.object("message", &d.message):
		return d, invalid("Param message must be an object.")
	}
	return d, d.check()
}

func invalid(message string) *graphError { return &graphError{code: 100, message: "(#100) " + message} }

// check applies the rules that need no more than the request (send reference, Oct 2026).
func (d *draft) check() *graphError {
	m := d.message
	attached := len(m.Attachment) > 0 || len(m.Attachments) > 0 || len(m.Template) > 0
	switch {
	case d.hasMessage && d.action != "":
		return &graphError{code: 100, subcode: 2018014, message: "(#100) Message and sender action cannot be sent together."}
	case d.action != "":
		if !slices.Contains([]string{"typing_on", "typing_off", "mark_seen", "react", "unreact"}, d.action) {
			return invalid("Param sender_action must be one of {TYPING_ON, TYPING_OFF, MARK_SEEN, REACT, UNREACT}")
		}
		return nil
	case m.Text == nil && !attached, m.Text != nil && *m.Text == "" && !attached:
		return invalid("Message cannot be empty, must provide valid attachment or text")
	case m.Text != nil && attached:
		return invalid("Message cannot have both text and attachment.")
	case m.Text != nil && len(utf16.Encode([]rune(*m.Text))) > messenger.MaxTextUnits:
		return invalid("Length of param message[text] must be less than or equal to 2000")
	case len([]rune(m.Metadata)) > messenger.MaxMetadataLength:
		return invalid("Length of param message[metadata] must be less than or equal to 1000")
	case len(m.QuickReplies) > 13:
		return invalid("Param message[quick_replies] must have at most 13 elements")
	}
	return d.checkTag()
}

// checkTag knows the tags as of 27 Apr 2026, when three of them were removed.
func (d *draft) checkTag() *graphError {
	switch d.kind {
	case "", "RESPONSE", "UPDATE":
		if d.tag != "" {
			return &graphError{code: 100, subcode: 2018320, message: "(#100) Param tag needs messaging_type MESSAGE_TAG."}
		}
	case "UTILITY":
		if len(d.message.Template) == 0 {
			return invalid("Param message[template] is needed for messaging_type UTILITY.")
		}
	case "MESSAGE_TAG":
		switch d.tag {
		case "HUMAN_AGENT", "CUSTOMER_FEEDBACK", "NON_PROMOTIONAL_SUBSCRIPTION":
		case "CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE":
			return invalid("Message tag " + d.tag + " is no longer supported.")
		default:
			return &graphError{code: 100, subcode: 2018320, message: "(#100) Param tag must be one of {HUMAN_AGENT, CUSTOMER_FEEDBACK}"}
		}
	default:
		return invalid("Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG, UTILITY}")
	}
	return nil
}
