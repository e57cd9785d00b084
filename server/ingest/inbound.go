package ingest

import (
	"time"

	"parley/ent/schema"
	"parley/server/desk"
	"parley/server/messenger"
)

// inbound turns a stored event into the desk's terms. What this version does
// not act on, such as what happens while another app has the thread, is Other.
func inbound(id int64, received time.Time, e messenger.Event, err error) desk.Inbound {
	in := desk.Inbound{ID: id, Err: err, Page: e.Page, Person: e.Person, At: e.At.UTC().Truncate(time.Microsecond)}
	if e.At.IsZero() {
		in.At = received
	}
	switch {
	case err != nil || e.Standby:
		return in
	case len(e.Granted) > 0:
		in.Kind, in.Grant = desk.Granted, &desk.Grant{}
		for _, g := range e.Granted {
			in.Grant.User = g.UserID
			in.Grant.Pages = append(in.Grant.Pages, g.Targets...)
		}
		return in
	case e.Object != "page":
		return in
	}
	switch e.Kind {
	case messenger.KindPolicy:
		if e.Policy.Action != "warning" {
			in.Kind, in.Policy = desk.Policed, &desk.Policy{Restricted: e.Policy.Action == "block", Reason: e.Policy.Reason}
		}
	case messenger.KindMessage:
		if !e.Message.Deleted {
			in.Kind, in.Message = desk.Wrote, inboundMessage(e.Message)
		}
	case messenger.KindEcho:
		if !e.Message.Deleted {
			in.Kind, in.Message = desk.Echoed, inboundMessage(e.Message)
		}
	case messenger.KindDelivery:
		in.Kind, in.Until = desk.Delivered, e.Delivery.Watermark.UTC()
	case messenger.KindRead:
		in.Kind, in.Until = desk.Read, e.Read.Watermark.UTC()
	}
	return in
}

func inboundMessage(m *messenger.Message) desk.InboundMessage {
	in := desk.InboundMessage{
		ExternalID: m.MID, Text: m.Text, ReplyTo: m.ReplyTo, AppID: m.AppID, Reference: m.Metadata,
		Unsupported: m.Unsupported || m.Text == "" && len(m.Attachments) == 0,
	}
	for _, a := range m.Attachments {
		in.Attachments = append(in.Attachments, schema.Attachment{Kind: a.Type, URL: a.URL, Title: a.Title})
	}
	return in
}
