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
	return in.chats(ctx, in.sql())
}

func (in *inbox) sql() string {
	found := in.lanes()
	if !in.viewer.SeesAll() && !in.ownQueues() {
		found += " UNION " + in.held()
	}
	page := "SELECT * FROM (" + found + ") AS found" + in.order("") + in.slice.LimitSQL()
	return in.withEdges(page, in.viewer) + in.order("c.")
}

func (in *inbox) order(prefix string) string {
	return in.slice.OrderSQL(prefix, chat.FieldLastMessageAt, true)
}

// withEdges joins, to the chats that a SELECT gives, what they point at and the
// viewer's read marks.
func (s *statement) withEdges(from string, v Viewer) string {
	return "SELECT " + chatColumns + edgeColumns + " FROM (" + from + ") AS c" +
		" JOIN contacts ON contacts.id = c.contact_id JOIN channels ON channels.id = c.channel_id" +
		" LEFT JOIN queues ON queues.id = c.queue_id LEFT JOIN operators ON operators.id = c.operator_id" +
		" LEFT JOIN chat_reads ON chat_reads.chat_id = c.id AND chat_reads.operator_id = " + s.arg(v.id())
}

// chats reads what withEdges asks for, and counts what is not read.
func (s *statement) chats(ctx context.Context, text string) ([]*ent.Chat, map[uuid.UUID]int, error) {
	var chats []*ent.Chat
	unread := map[uuid.UUID]int{}
	err := s.rows(ctx, text, func(rows *sql.Rows) error {
		c, read, err := scanChatWithEdges(rows)
		chats, unread[c.ID] = append(chats, c), max(0, int(c.InboundCount-read))
		return err
	})
	return chats, unread, err
}

// lanes are chats by queue and status.
func (in *inbox) lanes() string {
	if in.viewer.SeesAll() && in.filter.Queues == nil {
		return in.ofAllQueues()
	}
	return "SELECT c.* FROM " + in.each(list(&in.statement, in.queues()), "uuid", "q") +
		" CROSS JOIN " + in.each(list(&in.statement, in.statuses()), "text", "s") +
		in.first("chats", "c", "queue_id = q.value AND status = s.value"+in.page())
}

// ofAllQueues has, where statuses are asked for, a lane for each queue there is,
// and one for what has none: an index by status alone would be one more to write
// with each message.
func (in *inbox) ofAllQueues() string {
	if in.filter.Status == nil {
		return "SELECT * FROM (SELECT * FROM chats WHERE true" + in.page() + ") AS c"
	}
	statuses := list(&in.statement, in.statuses())
	return "SELECT c.* FROM queues AS q CROSS JOIN " + in.each(statuses, "text", "s") +
		in.first("chats", "c", "queue_id = q.id AND status = s.value"+in.page()) +
		" UNION ALL SELECT c.* FROM " + in.each(statuses, "text", "s") +
		in.first("chats", "c", "queue_id IS NULL AND status = s.value"+in.page())
}

// statuses are those asked for, or all, each once.
func (in *inbox) statuses() []chat.Status {
	var asked []chat.Status
	for _, status := range allStatuses {
		if in.filter.Status == nil || slices.Contains(in.filter.Status, status) {
			asked = append(asked, status)
		}
	}
	return asked
}

// held are chats that the viewer holds or held, of whatever queue. They are
// found before they are sorted: who held few would else have all chats read in
// order to find them.
func (in *inbox) held() string {
	where := "id IN (" + heldSQL(in.arg(in.viewer.id())) + ")"
	if in.filter.Status != nil {
		where += " AND status" + in.in(list(&in.statement, in.filter.Status), "text")
	}
	if in.filter.Queues != nil {
		where += " AND queue_id" + in.in(list(&in.statement, uuids(in.filter.Queues)), "uuid")
	}
	return "SELECT * FROM (WITH held AS MATERIALIZED (SELECT * FROM chats WHERE " + where + ") SELECT * FROM held WHERE true" + in.page() + ") AS held"
}

// queues are those asked for, or the viewer's, that are the viewer's.
func (in *inbox) queues() []uuid.UUID {
	if in.filter.Queues == nil {
		return in.viewer.Queues
	}
	var asked []uuid.UUID // each once: a lane for it would give its chats again
	for _, q := range in.filter.Queues {
		if !slices.Contains(asked, q.UUID) {
			asked = append(asked, q.UUID)
		}
	}
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
