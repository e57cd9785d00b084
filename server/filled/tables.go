package filled

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
)

func (s Size) tables() []table {
	return []table{
		{"queues", "id name created_at", each(s.Queues, func(n int) []any {
			return []any{Row(n), fmt.Sprint("Queue ", n), start}
		})},
		{"operators", "id email name password_hash role state created_at", each(s.Operators, func(n int) []any {
			return []any{Row(n), fmt.Sprintf("operator-%d@filled.example", n), fmt.Sprint("Operator ", n), "none", "OPERATOR", "ONLINE", start}
		})},
		{"queue_members", "queue_id operator_id", each(s.Queues*s.Operators, func(n int) []any {
			return []any{Row(n % s.Queues), Row(n / s.Queues)}
		})},
		{"channels", "id provider external_id name state active token created_at queue_id", each(s.Channels, func(n int) []any {
			return []any{Row(n), "FACEBOOK_MESSENGER", fmt.Sprint(9_000_000 + n), fmt.Sprint("Page ", n), "CONNECTED", true, []byte("none"), start, Row(n % s.Queues)}
		})},
		{"contacts", "id name picture_url locale created_at", each(s.Chats, func(n int) []any {
			return []any{Row(n), fmt.Sprint("Customer ", n), fmt.Sprintf("https://cdn.example/%d.jpg", n), "en_GB", start}
		})},
		{"identities", "id external_id created_at channel_id contact_id", each(s.Chats, func(n int) []any {
			return []any{Row(n), fmt.Sprint("person-", n), start, Row(n % s.Channels), Row(n)}
		})},
		{"chats", "id status holders last_message_id last_message_at opened_at waiting_since completed_at last_inbound_at inbound_count delivered_until created_at channel_id identity_id contact_id queue_id operator_id",
			each(s.Chats, s.chat)},
		{"segments", "id holder queue_id operator_id cause started_at ended_at chat_id", s.segments()},
		{"messages", "id channel_id external_id direction author_kind author_id content_kind text state provider_at sent_at created_at chat_id",
			each(s.Chats*s.Messages, s.message)},
		{"deliveries", "id channel_id position text external_id state provider_at message_id", s.deliveries()},
	}
}

func each(count int, row func(int) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n := range count {
			if !yield(row(n)) {
				return
			}
		}
	}
}

// Of every so many chats of a queue one is open, of every four open ones one is
// waiting.
func (s Size) openEvery() int          { return max(1, s.Chats/s.Queues/max(1, s.Open)) }
func (s Size) isOpen(chat int) bool    { return chat/s.Queues%s.openEvery() == 0 }
func (s Size) isWaiting(chat int) bool { return s.isOpen(chat) && chat/s.Queues/s.openEvery()%4 == 0 }

func (s Size) operator(chat int) *uuid.UUID {
	if s.isWaiting(chat) {
		return nil
	}
	id := Row(chat % s.Operators)
	return &id
}

// sentAt is when the n-th message of a chat is sent: chats take turns, so that
// the messages of one lie apart, as in life.
func (s Size) sentAt(chat, n int) time.Time {
	return start.Add(time.Duration(n*s.Chats+chat) * time.Second)
}

func (s Size) isAnswer(chat, n int) bool { return n%3 == 2 && !s.isWaiting(chat) }

func (s Size) chat(n int) []any {
	first, last := s.sentAt(n, 0), s.sentAt(n, s.Messages-1)
	status, holders := "IN_PROGRESS", fmt.Sprintf("[%q]", Row(n%s.Operators))
	var waiting, completed, delivered *time.Time
	switch {
	case s.isWaiting(n):
		status, holders, waiting = "WAITING", "null", &first
	case !s.isOpen(n):
		status, completed = "COMPLETED", &last
	}
	answers := 0
	for i := range s.Messages {
		if s.isAnswer(n, i) {
			answers++
			delivered = pointer(s.sentAt(n, i))
		}
	}
	return []any{Row(n), status, holders, ID(last, (s.Messages-1)*s.Chats+n), last, first, waiting, completed, last, s.Messages - answers, delivered, first,
		Row(n % s.Channels), Row(n), Row(n), Row(n % s.Queues), s.operator(n)}
}

// segments are a chat's time in the queue and, if it was accepted, with its
// operator.
func (s Size) segments() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n := range s.Chats {
			began, accepted := s.sentAt(n, 0), s.sentAt(n, min(1, s.Messages-1))
			queue, operator := Row(n%s.Queues), s.operator(n)
			waited := []any{Row(2 * n), "QUEUE", queue, nil, "customer_writes", began, nil, Row(n)}
			if operator != nil {
				waited[6] = accepted
			}
			if !yield(waited) {
				return
			}
			var ended *time.Time
			if !s.isOpen(n) {
				ended = pointer(s.sentAt(n, s.Messages-1))
			}
			if operator != nil && !yield([]any{Row(2*n + 1), "OPERATOR", queue, operator, "accepted", accepted, ended, Row(n)}) {
				return
			}
		}
	}
}

var words = strings.Fields("hello thank you for the parcel which has not come yet could somebody look where it is now please")

// text is a sentence of one to forty words.
func text(n int) string {
	var b strings.Builder
	for i := range 1 + n*7919%40 {
		b.WriteString(words[(n+i*i)%len(words)])
		b.WriteByte(' ')
	}
	return b.String()
}

// message is the n-th of all.
func (s Size) message(n int) []any {
	chat, at := n%s.Chats, start.Add(time.Duration(n)*time.Second)
	if s.isAnswer(chat, n/s.Chats) {
		return []any{ID(at, n), Row(chat % s.Channels), nil, "OUTBOUND", "OPERATOR", s.operator(chat), "TEXT", text(n), "SENT", at, at, at, Row(chat)}
	}
	return []any{ID(at, n), Row(chat % s.Channels), fmt.Sprint("m_filled_", n), "INBOUND", "CONTACT", Row(chat), "TEXT", text(n), nil, nil, at, at, Row(chat)}
}

// deliveries are how answers went out.
func (s Size) deliveries() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n := range s.Chats * s.Messages {
			chat, at := n%s.Chats, start.Add(time.Duration(n)*time.Second)
			if s.isAnswer(chat, n/s.Chats) &&
				!yield([]any{ID(at, n), Row(chat % s.Channels), 0, text(n), fmt.Sprint("m_filled_", n), "SENT", at, ID(at, n)}) {
				return
			}
		}
	}
}

func pointer[T any](v T) *T { return &v }
