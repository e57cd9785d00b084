package desk

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/event"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/eventlog"
	"parley/server/globalid"
)

// Event is an entry of the stream as one viewer sees it. Removed says that they
// may no longer see the chat.
type Event struct {
	*ent.Event
	Cursor   string
	Removed  bool
	Chat     *ent.Chat
	Message  *ent.Message
	Operator *ent.Operator
	Channel  *ent.Channel
}

// subject is what an entry of the log is about, shared by all viewers.
type subject struct {
	chat     *ent.Chat
	message  *ent.Message
	operator *ent.Operator
	channel  *ent.Channel
}

// EventFilter narrows a stream; what is nil does not.
type EventFilter struct {
	Chats, Queues, Channels []globalid.ID
}

// ResyncReason is why events may be missing.
type ResyncReason string

// The reasons.
const (
	HistoryTrimmed ResyncReason = "HISTORY_TRIMMED"
	UnknownCursor  ResyncReason = "UNKNOWN_CURSOR"
	RightsChanged  ResyncReason = "RIGHTS_CHANGED"
)

// Update is one step of a stream: events, or that it has caught up with now, or
// that events may be missing. Cursor is where to resume after it.
type Update struct {
	Events   []Event
	CaughtUp bool
	Resync   ResyncReason
	Cursor   string
}

const (
	feedBatch = 100
	// quietBatch: after so many events that were not for the viewer their cursor
	// is moved on, so that it does not age out of the kept history.
	quietBatch = 10_000
)

// Cursor is where the event stream is now.
func (d *Desk) Cursor() string { return d.events.Cursor(d.events.Head()) }

// Feed is one viewer's stream from a cursor on. Its memory is its position.
type Feed struct {
	desk     *Desk
	viewer   Viewer
	filter   EventFilter
	position int64
	pending  ResyncReason // to be said first
	caughtUp bool
	quiet    int
}

// Feed opens a stream after a cursor; nil is now.
func (d *Desk) Feed(ctx context.Context, v Viewer, after *string, f EventFilter) (*Feed, error) {
	feed := &Feed{desk: d, viewer: v, filter: f}
	if after == nil {
		return feed, feed.toHead(ctx)
	}
	position, err := d.events.Position(ctx, *after)
	switch {
	case errors.Is(err, eventlog.ErrUnknown):
		feed.pending = UnknownCursor
		return feed, feed.toHead(ctx)
	case err != nil:
		return nil, err
	}
	feed.position = position
	return feed, nil
}

// toHead passes over what is there, where the viewer's rights may have changed.
func (f *Feed) toHead(ctx context.Context) error {
	head := f.desk.events.Head()
	viewer, err := f.desk.Viewer(ctx, f.viewer.id())
	if err == nil {
		f.viewer, f.position = viewer, head
	}
	return err
}

// Next waits for the stream's next step. Its error is the context's, or one of
// reading, after which Next can be called again.
func (f *Feed) Next(ctx context.Context) (Update, error) {
	for {
		update, n, err := f.read(ctx, feedBatch)
		switch {
		case err != nil || update.Resync != "" || len(update.Events) > 0:
			return update, err
		case n > 0:
			if f.quiet += n; f.quiet >= quietBatch {
				f.quiet = 0
				return update, nil
			}
		case !f.caughtUp:
			f.caughtUp = true
			return Update{CaughtUp: true, Cursor: f.cursor()}, nil
		default:
			if err := f.desk.events.Wait(ctx, f.position); err != nil {
				return Update{}, err
			}
		}
	}
}

// Page reads what is there without waiting, looking at up to limit entries.
func (f *Feed) Page(ctx context.Context, limit int) (Update, error) {
	update, _, err := f.read(ctx, limit)
	update.CaughtUp = err == nil && update.Resync == "" && f.position >= f.desk.events.Head()
	update.Cursor = f.cursor()
	return update, err
}

// read takes up to limit entries and says how many it moved over.
func (f *Feed) read(ctx context.Context, limit int) (Update, int, error) {
	if reason := f.pending; reason != "" {
		f.pending = ""
		return Update{Resync: reason, Cursor: f.cursor()}, 0, nil
	}
	entries, err := f.desk.events.Read(ctx, f.position, limit)
	if errors.Is(err, eventlog.ErrTrimmed) {
		if err := f.toHead(ctx); err != nil {
			return Update{}, 0, err
		}
		return Update{Resync: HistoryTrimmed, Cursor: f.cursor()}, 0, nil
	}
	if err != nil {
		return Update{}, 0, err
	}
	update, err := f.take(ctx, entries)
	return update, len(entries), err
}

// take moves the position over entries and keeps those that the viewer may see,
// up to a change of the viewer's rights, which is a step of its own.
func (f *Feed) take(ctx context.Context, entries []eventlog.Entry) (Update, error) {
	var update Update
	for _, entry := range entries {
		if entry.Kind == event.KindRightsChanged && *entry.OperatorID == f.viewer.id() {
			if len(update.Events) > 0 {
				break
			}
			viewer, err := f.desk.Viewer(ctx, f.viewer.id())
			if err != nil {
				return Update{}, err
			}
			f.viewer, f.position = viewer, entry.ID
			return Update{Resync: RightsChanged, Cursor: f.cursor()}, nil
		}
		f.position = entry.ID
		if e, ok := f.show(entry); ok {
			update.Events = append(update.Events, e)
		}
	}
	if len(update.Events) > 0 {
		f.quiet = 0
	}
	update.Cursor = f.cursor()
	return update, nil
}

// show is an entry as the viewer sees it, and whether they do.
func (f *Feed) show(entry eventlog.Entry) (Event, bool) {
	about := entry.Subject.(*subject)
	e := Event{
		Event: entry.Event, Cursor: f.desk.events.Cursor(entry.ID),
		Chat: about.chat, Message: about.message, Operator: about.operator, Channel: about.channel,
	}
	now := f.viewer.in(entry.Audience)
	before := entry.AudienceBefore != nil && f.viewer.in(*entry.AudienceBefore)
	switch {
	case entry.Kind == event.KindRightsChanged || !f.filter.passes(entry):
		return e, false
	case now && about.chat != nil && !f.viewer.in(audienceOf(about.chat)):
		return e, false // it would be shown as it is now, when it is theirs no more; its removal follows
	case entry.Kind == event.KindChannelUpdated && f.viewer.Role() == operator.RoleIntegrator,
		entry.Kind == event.KindOperatorUpdated && f.viewer.Role() == operator.RoleIntegrator:
		return e, true
	case now && entry.Kind == event.KindChatUpdated && entry.AudienceBefore != nil && !before:
		opened := *entry.Event
		opened.Kind = event.KindChatOpened // it came into their view
		e.Event = &opened
		return e, true
	case now:
		return e, true
	}
	e.Removed = before
	return e, before
}

// passes holds for what the filter does not sort out.
func (f EventFilter) passes(entry eventlog.Entry) bool {
	has := func(ids []globalid.ID, id *uuid.UUID) bool {
		return ids == nil || id != nil && slices.ContainsFunc(ids, func(g globalid.ID) bool { return g.UUID == *id })
	}
	if !has(f.Chats, entry.ChatID) || !has(f.Channels, entry.ChannelID) {
		return false
	}
	if f.Queues == nil {
		return true
	}
	inOne := func(a schema.Audience) bool {
		return slices.ContainsFunc(a.Queues, func(q uuid.UUID) bool { return has(f.Queues, &q) })
	}
	return entry.ChatID != nil && (inOne(entry.Audience) || entry.AudienceBefore != nil && inOne(*entry.AudienceBefore))
}

func (f *Feed) cursor() string { return f.desk.events.Cursor(f.position) }

// hydrate loads what entries are about, once for all viewers of this replica,
// with what most front ends ask for beside it.
func (d *Desk) hydrate(ctx context.Context, entries []eventlog.Entry) error {
	var chats, messages, operators, channels []uuid.UUID
	collect := func(list *[]uuid.UUID, id *uuid.UUID) {
		if id != nil && !slices.Contains(*list, *id) {
			*list = append(*list, *id)
		}
	}
	for _, e := range entries {
		collect(&chats, e.ChatID)
		collect(&messages, e.MessageID)
		collect(&operators, e.OperatorID)
		if e.ChatID == nil {
			collect(&channels, e.ChannelID)
		}
	}
	client := d.store.Client()
	chatByID, err := byID(chats, func(ids []uuid.UUID) ([]*ent.Chat, error) {
		return client.Chat.Query().Where(chat.IDIn(ids...)).WithContact().WithChannel().WithQueue().WithOperator().All(ctx)
	}, func(c *ent.Chat) uuid.UUID { return c.ID })
	if err != nil {
		return err
	}
	messageByID, err := byID(messages, func(ids []uuid.UUID) ([]*ent.Message, error) {
		return client.Message.Query().Where(message.IDIn(ids...)).All(ctx)
	}, func(m *ent.Message) uuid.UUID { return m.ID })
	if err != nil {
		return err
	}
	operatorByID, err := byID(operators, func(ids []uuid.UUID) ([]*ent.Operator, error) {
		return client.Operator.Query().Where(operator.IDIn(ids...)).All(ctx)
	}, func(o *ent.Operator) uuid.UUID { return o.ID })
	if err != nil {
		return err
	}
	channelByID, err := byID(channels, func(ids []uuid.UUID) ([]*ent.Channel, error) {
		return client.Channel.Query().Where(channel.IDIn(ids...)).All(ctx)
	}, func(c *ent.Channel) uuid.UUID { return c.ID })
	if err != nil {
		return err
	}
	for _, m := range messageByID {
		m.Edges.Chat = chatByID[m.ChatID]
	}
	for i := range entries {
		e := &entries[i]
		e.Subject = &subject{
			chat: at(chatByID, e.ChatID), message: at(messageByID, e.MessageID),
			operator: at(operatorByID, e.OperatorID), channel: at(channelByID, e.ChannelID),
		}
	}
	return nil
}

func byID[T any](ids []uuid.UUID, load func([]uuid.UUID) ([]T, error), id func(T) uuid.UUID) (map[uuid.UUID]T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := load(ids)
	m := make(map[uuid.UUID]T, len(rows))
	for _, row := range rows {
		m[id(row)] = row
	}
	return m, err
}

func at[T any](m map[uuid.UUID]*T, id *uuid.UUID) *T {
	if id == nil {
		return nil
	}
	return m[*id]
}
