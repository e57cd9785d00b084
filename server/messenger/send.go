package messenger

import (
	"context"
	"net/http"
)

// Send is a call of the Send API. MessagingType and Tag are the caller's: they follow from the reply window.
type Send struct {
	PageID, PSID       string
	MessagingType, Tag string
	Message            any    // marshalled as "message": text, attachment, quick replies, …
	SenderAction       string // typing_on, mark_seen, …; instead of a message
}

// SendText is a plain message. Metadata comes back in its echo and nowhere else.
type SendText struct {
	PageID, PSID       string
	Text, Metadata     string
	MessagingType, Tag string
}

// SendResult is Facebook's receipt. A sender action has no MessageID.
type SendResult struct{ RecipientID, MessageID string }

// SendText sends a text of at most MaxTextUnits. See Send.
func (c *Client) SendText(ctx context.Context, token string, m SendText) (SendResult, error) {
	message := struct {
		Text     string `json:"text"`
		Metadata string `json:"metadata,omitempty"`
	}{m.Text, m.Metadata}
	return c.Send(ctx, token, Send{PageID: m.PageID, PSID: m.PSID, MessagingType: m.MessagingType, Tag: m.Tag, Message: message})
}

// Send makes one call. The Send API knows no idempotency key: after an error of ClassUnconfirmed the message may have
// gone out, and only its echo tells.
func (c *Client) Send(ctx context.Context, token string, s Send) (SendResult, error) {
	body := map[string]any{"recipient": map[string]string{"id": s.PSID}}
	if s.SenderAction != "" {
		body["sender_action"] = s.SenderAction
	} else {
		body["message"], body["messaging_type"] = s.Message, s.MessagingType
		if s.Tag != "" {
			body["tag"] = s.Tag
		}
	}
	var answer struct {
		Recipient text `json:"recipient_id"`
		Message   text `json:"message_id"`
	}
	r := request{method: http.MethodPost, path: edge(s.PageID, "messages"), token: token, body: body, once: true}
	if err := c.call(ctx, r, &answer); err != nil {
		return SendResult{}, err
	}
	if s.SenderAction == "" && answer.Message == "" {
		return SendResult{}, &Error{Class: ClassUnconfirmed, HTTPStatus: http.StatusOK, Message: "the answer names no message"}
	}
	return SendResult{string(answer.Recipient), string(answer.Message)}, nil
}
