package graph

import (
	"context"
	"time"

	"parley/ent"
	"parley/ent/event"
	"parley/graph/model"
	"parley/server/desk"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/settings"
)

// End is how a stream ended: with an error, or by itself.
type End struct{ Err error }

type endKey struct{}

// WithEnd lets a stream say why it ended, which gqlgen's channels cannot.
func WithEnd(ctx context.Context) (context.Context, *End) {
	end := &End{}
	return context.WithValue(ctx, endKey{}, end), end
}

// subscribe opens a feed and streams its steps, as show makes them, until the
// context ends, or a step cannot be shown, which the End then says. With a
// Driver it is the driver that does.
func subscribe[T any](ctx context.Context, r *Resolver, after *string, f desk.EventFilter, show func(desk.Update) ([]T, error)) (<-chan T, error) {
	if d, ok := ctx.Value(driverKey{}).(*Driver); ok {
		return drive(ctx, r, d, after, f, show)
	}
	feed, err := r.Desk.Feed(ctx, viewer(ctx), after, f)
	if err != nil {
		return nil, err
	}
	out := make(chan T)
	go func() {
		defer close(out)
		err := r.stream(ctx, feed, func(u desk.Update) error {
			steps, err := show(u)
			for _, step := range steps {
				select {
				case out <- step:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return err
		})
		if end, ok := ctx.Value(endKey{}).(*End); ok {
			end.Err = err
		}
	}()
	return out, nil
}

// stream shows a feed's steps until that fails. What cannot be read now is read
// a second later; that somebody may see nothing any more is final.
func (r *Resolver) stream(ctx context.Context, feed *desk.Feed, show func(desk.Update) error) (err error) {
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			err = r.Recover(ctx, value)
		}
	}()
	for {
		update, err := feed.Next(ctx)
		if err == nil && update.Resync == desk.RightsChanged {
			err = r.look(ctx) // before what hangs on events is read with the old rights
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case fault.CodeOf(err) != "":
			return err
		case err != nil && update.Resync == "":
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		case err != nil:
			return err
		}
		if err := show(update); err != nil {
			return err
		}
	}
}

// toStep is a feed's step as chatEvents gives it.
func toStep(u desk.Update) ([]model.ChatEventMessage, error) {
	switch {
	case u.Resync != "":
		return []model.ChatEventMessage{&model.StreamResync{Reason: u.Resync, Cursor: u.Cursor}}, nil
	case u.CaughtUp:
		return []model.ChatEventMessage{&model.StreamCaughtUp{Cursor: u.Cursor}}, nil
	}
	return []model.ChatEventMessage{&model.ChatEventBatch{Events: toEvents(u.Events), Cursor: u.Cursor}}, nil
}

// toAdded is a feed's step as messageAdded gives it.
func toAdded(u desk.Update) ([]*model.MessageAdded, error) {
	if u.Resync != "" {
		return nil, fault.New("RESYNC", "", "messages may be missing (%s): read your lists again, then subscribe without a cursor", u.Resync)
	}
	var added []*model.MessageAdded
	for _, e := range u.Events {
		if m, ok := toEvent(e).(*model.MessageAdded); ok {
			added = append(added, m)
		}
	}
	return added, nil
}

func toPage(u desk.Update, err error) (*model.EventPage, error) {
	page := &model.EventPage{Events: toEvents(u.Events), Cursor: u.Cursor, CaughtUp: u.CaughtUp}
	if u.Resync != "" {
		page.Resync = &model.StreamResync{Reason: u.Resync, Cursor: u.Cursor}
	}
	return page, err
}

func toEvents(events []desk.Event) []model.ChatEvent {
	list := make([]model.ChatEvent, len(events))
	for i, e := range events {
		list[i] = toEvent(e)
	}
	return list
}

func toEvent(e desk.Event) model.ChatEvent {
	switch {
	case e.Removed:
		return &model.ChatRemoved{Cursor: e.Cursor, At: e.At, ChatID: (&ent.Chat{ID: *e.ChatID}).GlobalID()}
	case e.Kind == event.KindMessageAdded:
		return &model.MessageAdded{Cursor: e.Cursor, At: e.At, Message: e.Message}
	case e.Kind == event.KindMessageUpdated:
		return &model.MessageUpdated{Cursor: e.Cursor, At: e.At, Message: e.Message}
	case e.Kind == event.KindChatOpened:
		return &model.ChatOpened{Cursor: e.Cursor, At: e.At, Chat: e.Chat}
	case e.Kind == event.KindOperatorUpdated:
		return &model.OperatorUpdated{Cursor: e.Cursor, At: e.At, Operator: e.Operator}
	case e.Kind == event.KindChannelUpdated && e.Channel == nil:
		return &model.ChannelRemoved{Cursor: e.Cursor, At: e.At, ChannelID: (&ent.Channel{ID: *e.ChannelID}).GlobalID()}
	case e.Kind == event.KindChannelUpdated:
		return &model.ChannelUpdated{Cursor: e.Cursor, At: e.At, Channel: e.Channel}
	case e.Kind == event.KindSettingsUpdated:
		return &model.SystemSettingsUpdated{Cursor: e.Cursor, At: e.At, Codes: settings.Codes(e.Event)}
	}
	return &model.ChatUpdated{Cursor: e.Cursor, At: e.At, Chat: e.Chat}
}

func eventFilter(f *model.ChatEventFilter) desk.EventFilter {
	if f == nil {
		return desk.EventFilter{}
	}
	return desk.EventFilter{Chats: ids(f.ChatIds), Queues: ids(f.QueueIds), Channels: ids(f.ChannelIds)}
}

// ids keeps the difference between none and not given.
func ids(pointers []*globalid.ID) []globalid.ID {
	if pointers == nil {
		return nil
	}
	list := make([]globalid.ID, len(pointers))
	for i, p := range pointers {
		list[i] = *p
	}
	return list
}
