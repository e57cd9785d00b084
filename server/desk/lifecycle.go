package desk

import (
	entsql "entgo.io/ent/dialect/sql"

	"parley/ent/chat"
	"parley/ent/predicate"
	"parley/ent/segment"
)

// cause is why a chat changes hands; it is kept in the segment that begins.
type cause string

const (
	customerWrites cause = "customer_writes"
	accepted       cause = "accepted"
	completed      cause = "completed"

	// routedByActivation moves a waiting chat into the queue of its channel, which
	// went live.
	routedByActivation cause = "channel_live"
)

// lifecycle is the whole life of a chat: what may follow what, and why. A
// status of "" is a chat that is not there yet.
var lifecycle = map[cause]struct {
	from []chat.Status
	to   chat.Status
}{
	customerWrites: {from: []chat.Status{""}, to: chat.StatusWaiting},
	accepted:       {from: []chat.Status{chat.StatusWaiting}, to: chat.StatusInProgress},
	completed:      {from: []chat.Status{chat.StatusWaiting, chat.StatusInProgress}, to: chat.StatusCompleted},

	routedByActivation: {from: []chat.Status{chat.StatusWaiting}, to: chat.StatusWaiting},
}

// next is the status that a cause leads to, and whether it may happen now.
func next(from chat.Status, why cause) (chat.Status, bool) {
	rule := lifecycle[why]
	for _, status := range rule.from {
		if status == from {
			return rule.to, true
		}
	}
	return "", false
}

// holderOf says whose hands a status means; a completed chat is in nobody's.
func holderOf(status chat.Status) segment.Holder {
	return map[chat.Status]segment.Holder{
		chat.StatusBot:        segment.HolderBot,
		chat.StatusElsewhere:  segment.HolderElsewhere,
		chat.StatusWaiting:    segment.HolderQueue,
		chat.StatusInProgress: segment.HolderOperator,
	}[status]
}

// These have no parameters, or a prepared plan could not use the indexes on what
// is open, completed, in progress, or waits without a queue.
var (
	isOpen       = literally("status <> 'COMPLETED'")
	isCompleted  = literally("status = 'COMPLETED'")
	isInProgress = literally("status = 'IN_PROGRESS'")
	isUnrouted   = literally("queue_id IS NULL AND status = 'WAITING'")
)

// literally holds for chats of which a condition of an index holds.
func literally(condition string) predicate.Chat {
	return func(s *entsql.Selector) { s.Where(entsql.ExprP(condition)) }
}
