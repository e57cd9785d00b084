package desk

import (
	"context"
	"database/sql"
	"slices"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/server/globalid"
	"parley/server/paging"
)

// inbox is the list of chats that front ends ask for most, all or some queues'
// in all or some statuses, as one statement with what a line of it shows. Lanes
// are index scans that each stop at the page's size, one for each queue and
// status, so that it costs the same however many chats there are.
//
// What it lets through must be what visible does; a test compares them.
type inbox struct {
	statement
	viewer Viewer
	filter ChatFilter
	slice  paging.Slice
}

// isInbox holds for filters that lanes can answer.
func (f ChatFilter) isInbox() bool {
	return f.Channels == nil && f.Operators == nil && f.Contact == nil
}

// allStatuses are lanes when none are asked for.
var allStatuses = []chat.Status{chat.StatusBot, chat.StatusElsewhere, chat.StatusWaiting, chat.StatusInProgress, chat.StatusCompleted}

// read gives the page's chats with their edges, and how many messages of each
// the viewer has not read.
func (in *inbox) read(ctx context.Context) ([]*ent.Chat, map[uuid.UUID]int, error) {
	found := in.lanes()
	if !in.viewer.SeesAll() && !in.ownQueues() {
		found += " UNION " + in.held()
	}
	page := "SELECT * FROM (" + found + ") AS found" + in.order("") + in.slice.LimitSQL()
	return in.chats(ctx, page, in.viewer, in.order("c."))
}

func (in *inbox) order(prefix string) string {
	return in.slice.OrderSQL(prefix, chat.FieldLastMessageAt, true)
}

// chats reads the chats that a SELECT gives, with what they point at and how
// many messages of each the viewer has not read.
func (s *statement) chats(ctx context.Context, from string, v Viewer, order string) ([]*ent.Chat, map[uuid.UUID]int, error) {
	text := "SELECT " + chatColumns + edgeColumns + " FROM (" + from + ") AS c" +
		" JOIN contacts ON contacts.id = c.contact_id JOIN channels ON channels.id = c.channel_id" +
		" LEFT JOIN queues ON queues.id = c.queue_id LEFT JOIN operators ON operators.id = c.operator_id" +
		" LEFT JOIN chat_reads ON chat_reads.chat_id = c.id AND chat_reads.operator_id = " + s.arg(v.id()) + order
	var chats []*ent.Chat
	unread := map[uuid.UUID]int{}
	err := s.rows(ctx, text, func(rows *sql.Rows) error {
		c, read, err := scanChatWithEdges(rows)
		chats, unread[c.ID] = append(chats, c), max(0, int(c.InboundCount-read))
		return err
	})
	return chats, unread, err
}

// lanes are chats by queue and status; for who sees all queues, by status alone.
func (in *inbox) lanes() string {
	statuses := once(in.filter.Status)
	if in.viewer.SeesAll() && in.filter.Queues == nil {
		if in.filter.Status == nil {
			return "SELECT * FROM (SELECT * FROM chats WHERE true" + in.page() + ") AS c"
		}
		return "SELECT c.* FROM " + in.each(list(&in.statement, statuses), "text", "s") + in.first("chats", "c", "status = s.value"+in.page())
	}
	if in.filter.Status == nil {
		statuses = allStatuses
	}
	return "SELECT c.* FROM " + in.each(list(&in.statement, in.queues()), "uuid", "q") +
		" CROSS JOIN " + in.each(list(&in.statement, statuses), "text", "s") +
		in.first("chats", "c", "queue_id = q.value AND status = s.value"+in.page())
}

// held are chats that the viewer holds or held, of whatever queue.
func (in *inbox) held() string {
	where := "id IN (" + heldSQL(in.arg(in.viewer.id())) + ")"
	if in.filter.Status != nil {
		where += " AND status" + in.in(list(&in.statement, in.filter.Status), "text")
	}
	if in.filter.Queues != nil {
		where += " AND queue_id" + in.in(list(&in.statement, uuids(in.filter.Queues)), "uuid")
	}
	return "SELECT * FROM (SELECT * FROM chats WHERE " + where + in.page() + ") AS held"
}

// queues are those asked for, or the viewer's, that are the viewer's.
func (in *inbox) queues() []uuid.UUID {
	if in.filter.Queues == nil {
		return in.viewer.Queues
	}
	asked := once(uuids(in.filter.Queues))
	if in.viewer.SeesAll() {
		return asked
	}
	return slices.DeleteFunc(asked, func(q uuid.UUID) bool { return !slices.Contains(in.viewer.Queues, q) })
}

// ownQueues says that only the viewer's queues are asked for: then all chats of
// them are the viewer's, and what they held elsewhere is not looked for.
func (in *inbox) ownQueues() bool {
	return in.filter.Queues != nil && !slices.ContainsFunc(in.filter.Queues, func(q globalid.ID) bool {
		return !slices.Contains(in.viewer.Queues, q.UUID)
	})
}

func (in *inbox) page() string { return in.slice.SQL(chat.FieldLastMessageAt, true, in.arg) }

// once leaves out what a list has again: a lane for it would give its chats
// again.
func once[T comparable](list []T) []T {
	var kept []T
	for _, v := range list {
		if !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}
