package desk

import (
	"context"
	"database/sql"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/eventlog"
)

// subject is what an entry of the log is about, shared by all viewers.
type subject struct {
	chat     *ent.Chat
	audience schema.Audience // of the chat as it is now
	message  *ent.Message
	operator *ent.Operator
	channel  *ent.Channel
}

// hydrate loads what entries are about, once for all viewers of this replica,
// with what most front ends ask for beside it.
func (d *Desk) hydrate(ctx context.Context, entries []eventlog.Entry) error {
	var chats, messages, operators, channels []uuid.UUID
	seen := map[uuid.UUID]bool{}
	collect := func(list *[]uuid.UUID, id *uuid.UUID) {
		if id != nil && !seen[*id] {
			seen[*id] = true
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
		st := &statement{store: d.store}
		rows, _, err := st.chats(ctx, st.withEdges("SELECT * FROM chats WHERE id"+st.in(list(st, ids), "uuid"), Viewer{}))
		return rows, err
	}, func(c *ent.Chat) uuid.UUID { return c.ID })
	if err != nil {
		return err
	}
	messageByID, err := byID(messages, func(ids []uuid.UUID) (found []*ent.Message, err error) {
		st := &statement{store: d.store}
		text := "SELECT " + messageColumns + " FROM messages m WHERE m.id" + st.in(list(st, ids), "uuid")
		err = st.rows(ctx, text, func(rows *sql.Rows) error {
			m, err := scanMessage(rows)
			found = append(found, m)
			return err
		})
		return found, err
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
		about := &subject{
			chat: at(chatByID, e.ChatID), message: at(messageByID, e.MessageID),
			operator: at(operatorByID, e.OperatorID), channel: at(channelByID, e.ChannelID),
		}
		if about.chat != nil {
			about.audience = audienceOf(about.chat)
		}
		e.Subject = about
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
