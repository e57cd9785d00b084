package desk

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/event"
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

// Events are the log that feeds read.
func (d *Desk) Events() *eventlog.Log { return d.events }

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
	viewer, err := f.desk.again(ctx, f.viewer)
	if err == nil {
		f.viewer, f.position = viewer, head
	}
	return err
}

// Next waits for the stream's next step. Its error is the context's, or one of
// reading, after which Next can be called again.
func (f *Feed) Next(ctx context.Context) (Update, error) {
	for {
		var s Step
		there, err := f.Step(ctx, &s)
		if err != nil || there {
			return s.Update(), err
		}
		if err := f.desk.events.Wait(ctx, f.position); err != nil {
			return Update{}, err
		}
	}
}

// Step takes the next step that is there, without waiting, and says whether
// there was one. After an error it can be called again.
func (f *Feed) Step(ctx context.Context, s *Step) (bool, error) {
	if f.hasPending(s) {
		return true, nil
	}
	for {
		entries, recent := f.desk.events.Stretch(f.position, feedBatch)
		var err error
		if !recent {
			entries, err = f.desk.events.Read(ctx, f.position, feedBatch)
		}
		there, err := f.take(ctx, s, entries, err)
		s.shared = there && recent && s.said == nil
		switch {
		case err != nil || there:
			return there, err
		case len(entries) > 0: // none was theirs
		case !f.caughtUp:
			f.caughtUp = true
			return s.say(Update{CaughtUp: true, Cursor: f.cursor()}), nil
		default:
			return false, nil
		}
	}
}

// Live is Step for who has caught up: it reads nothing from the database. Behind
// says that Step has to. The same Step, given to one feed after another, reads the
// log once for all that are at the same place, until it is renewed.
func (f *Feed) Live(s *Step) (there, behind bool) {
	if f.pending != "" || !f.caughtUp {
		return false, true
	}
	for {
		if !s.read || s.after != f.position {
			s.after = f.position
			s.stretch, s.read = f.desk.events.Stretch(f.position, feedBatch)
		}
		if !s.read {
			return false, true
		}
		if len(s.stretch) == 0 {
			return false, false
		}
		if f.look(s, s.stretch) < len(s.stretch) {
			return false, true
		}
		if f.move(s) {
			s.shared = true
			return true, false
		}
	}
}

// Position is where in the log the feed is.
func (f *Feed) Position() int64 { return f.position }

// Viewer is whose feed it is, with the rights they have at its place.
func (f *Feed) Viewer() Viewer { return f.viewer }

// Page reads what is there without waiting, looking at up to limit entries.
func (f *Feed) Page(ctx context.Context, limit int) (Update, error) {
	var s Step
	there := f.hasPending(&s)
	if !there {
		entries, err := f.desk.events.Read(ctx, f.position, limit)
		if there, err = f.take(ctx, &s, entries, err); err != nil {
			return Update{Cursor: f.cursor()}, err
		}
	}
	var u Update
	if there {
		u = s.Update()
	}
	u.CaughtUp, u.Cursor = u.Resync == "" && f.position >= f.desk.events.Head(), f.cursor()
	return u, nil
}

func (f *Feed) hasPending(s *Step) bool {
	reason := f.pending
	f.pending = ""
	return reason != "" && s.say(Update{Resync: reason, Cursor: f.cursor()})
}

// take moves over entries, or what reading them said, and says whether there is
// something to show. A change of the viewer's own rights is a step of its own.
func (f *Feed) take(ctx context.Context, s *Step, entries []eventlog.Entry, err error) (bool, error) {
	if errors.Is(err, eventlog.ErrTrimmed) {
		if err := f.toHead(ctx); err != nil {
			return false, err
		}
		return s.say(Update{Resync: HistoryTrimmed, Cursor: f.cursor()}), nil
	}
	if err != nil || len(entries) == 0 {
		return false, err
	}
	if f.look(s, entries) > 0 {
		return f.move(s), nil
	}
	viewer, err := f.desk.again(ctx, f.viewer)
	if err != nil {
		return false, err
	}
	f.viewer, f.position = viewer, entries[0].ID
	return s.say(Update{Resync: RightsChanged, Cursor: f.cursor()}), nil
}

// look fills a step with how the viewer sees entries, up to a change of their
// own rights, and says how many that are.
func (f *Feed) look(s *Step, entries []eventlog.Entry) int {
	s.said, s.any, s.desk = nil, false, f.desk
	s.key = binary.BigEndian.AppendUint64(s.key[:0], uint64(f.position))
	s.key = append(s.key, 0, 0, 0, 0, 0, 0, 0, 0)
	for i, entry := range entries {
		if entry.Kind == event.KindRightsChanged && *entry.OperatorID == f.viewer.id() {
			entries = entries[:i]
			break
		}
		seen := f.sees(entry)
		s.any = s.any || seen != hidden
		s.key = append(s.key, byte(seen))
	}
	if s.entries = entries; len(entries) > 0 {
		binary.BigEndian.PutUint64(s.key[8:], uint64(s.to()))
	}
	return len(entries)
}

// move takes a step that is filled, and says whether it has to be shown.
func (f *Feed) move(s *Step) bool {
	f.position = s.to()
	f.quiet += len(s.entries)
	if !s.any && f.quiet < quietBatch {
		return false
	}
	f.quiet = 0
	return true
}

// sees is how the viewer sees an entry.
func (f *Feed) sees(entry eventlog.Entry) sight {
	about := entry.Subject.(*subject)
	now := f.viewer.in(entry.Audience)
	before := entry.AudienceBefore != nil && f.viewer.in(*entry.AudienceBefore)
	switch {
	case entry.Kind == event.KindRightsChanged || !f.filter.passes(entry):
		return hidden
	case now && about.chat != nil && !f.viewer.in(about.audience):
		return hidden // it would be shown as it is now, when it is theirs no more; its removal follows
	case isSetUp(entry.Kind) && f.viewer.Role() == operator.RoleIntegrator:
		return shown
	case now && entry.Kind == event.KindChatUpdated && entry.AudienceBefore != nil && !before:
		return opened // it came into their view
	case now:
		return shown
	case before:
		return removed
	}
	return hidden
}

// isSetUp holds for what who sets things up hears of, too.
func isSetUp(k event.Kind) bool {
	return k == event.KindChannelUpdated || k == event.KindOperatorUpdated || k == event.KindSettingsUpdated
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
