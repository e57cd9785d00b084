package messengertest

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"parley/server/messenger"
)

// Sent is a message that the Send API accepted.
type Sent struct {
	MID           string          `json:"mid"`
	AppID         string          `json:"app_id"`
	PageID        string          `json:"page_id"`
	PSID          string          `json:"psid"`
	Text          string          `json:"text"`
	Metadata      string          `json:"metadata"`
	MessagingType string          `json:"messaging_type"`
	Tag           string          `json:"tag"`
	Message       json.RawMessage `json:"message"` // as it came
	At            time.Time       `json:"at"`
}

// Sent gives the accepted messages so far.
func (g *Graph) Sent() []Sent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sent)
}

// send carries out a call of the Send API.
func (g *Graph) send(ctx context.Context, c *call, page *Page) answer {
	d, e := readDraft(c)
	if e != nil {
		return e.answer()
	}
	g.mu.Lock()
	person := page.people[textOf(d.recipient.ID)]
	if e := g.reachable(c.as.app, page, person, d); e != nil {
		g.mu.Unlock()
		return e.answer()
	}
	if d.action != "" {
		g.mu.Unlock()
		return answer{body: object{"recipient_id": person.ID}}
	}
	s := g.accept(c, person, d)
	first := g.behaviour.EchoFirst
	g.pending++ // from here on something is on its way, also for those who see the answer before it is queued
	g.mu.Unlock()

	a := answer{body: object{"recipient_id": person.ID, "message_id": s.MID}, after: func() { g.confirm(person, s) }}
	if first {
		a.finish()
		a.after = nil
		_ = g.Settle(ctx) // a caller that gives up gets its answer without waiting
	}
	return a
}

// reachable applies the rules about the person (policy overview, Oct 2026). The caller holds the lock.
func (g *Graph) reachable(app *App, p *Page, w *Person, d draft) *graphError {
	switch {
	case p.restricted:
		return &graphError{code: 10, subcode: 2018336, message: messages[2018336]}
	case w == nil:
		return &graphError{code: 100, subcode: 2018001, message: messages[2018001]}
	case w.blocked:
		return &graphError{code: 551, subcode: 1545041, message: messages[551]}
	case w.holder() != "" && w.holder() != app.ID:
		return &graphError{code: 10, subcode: 2018300, message: messages[2018300]}
	case app.Development && !w.AppRole:
		return &graphError{code: 200, subcode: 2018028, message: messages[2018028]}
	case d.kind == "UTILITY":
		return nil
	}
	window := messenger.StandardWindow
	if d.kind == messenger.TypeMessageTag && d.tag == messenger.TagHumanAgent {
		if app.NoHumanAgent {
			return &graphError{code: 10, message: "(#10) This message requires the Human Agent permission."}
		}
		window = messenger.HumanAgentWindow
	}
	if w.lastWrote.IsZero() || g.clock.Now().Sub(w.lastWrote) > window {
		return &graphError{code: 10, subcode: 2018278, message: messages[2018278]}
	}
	return nil
}

// accept gives a message its id and keeps it. The caller holds the lock.
func (g *Graph) accept(c *call, w *Person, d draft) Sent {
	s := Sent{MID: g.newMID(), AppID: c.as.app.ID, PageID: w.page.ID, PSID: w.ID, Metadata: d.message.Metadata,
		MessagingType: d.kind, Tag: d.tag, Message: json.RawMessage(c.params["message"]), At: g.clock.Now()}
	if d.message.Text != nil {
		s.Text = *d.message.Text
	}
	w.received++
	g.sent = keepLast(g.sent, s, g.keep)
	g.touch()
	return s
}

// confirm publishes what follows from a message that was accepted: its echo, that it arrived, that it was read.
func (g *Graph) confirm(w *Person, s Sent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.publish(echo(w, s.At, s.echo()))
	if !g.behaviour.NoReceipts {
		w.does("message_deliveries", messenger.KindDelivery,
			object{"mids": []string{s.MID}, "watermark": s.At.UnixMilli()}, false)
	}
	if g.behaviour.AutoRead {
		w.reads()
	}
	g.pending--
	g.touch()
}

// echo is the message as the page's apps see it.
func (s Sent) echo() object {
	var sent struct {
		Attachment  map[string]any   `json:"attachment"`
		Attachments []map[string]any `json:"attachments"`
		ReplyTo     any              `json:"reply_to"`
	}
	_ = json.Unmarshal(s.Message, &sent) // it was read before
	m := object{"is_echo": true, "app_id": number(s.AppID), "mid": s.MID}
	if s.Metadata != "" {
		m["metadata"] = s.Metadata
	}
	if s.Text != "" {
		m["text"] = s.Text
	}
	if sent.Attachment != nil {
		sent.Attachments = append(sent.Attachments, sent.Attachment)
	}
	if sent.Attachments != nil {
		m["attachments"] = sent.Attachments
	}
	if sent.ReplyTo != nil {
		m["reply_to"] = sent.ReplyTo
	}
	return m
}

// number is an id as a JSON number, as app ids are in echoes; an id that is none stays a string.
func number(id string) any {
	if n := json.Number(id); json.Valid([]byte(n)) {
		return n
	}
	return id
}
