package desk

import (
	"bytes"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/delivery"
	"parley/ent/predicate"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/store"
)

// readPeople loads who they are and their open chats. Without locks writing
// fails for a chat that another transaction has changed since; and that a person
// has one open chat is held by a key.
func (in *intake) readPeople(ctx context.Context, people []person) error {
	st := &statement{store: in.Tx}
	text, ofOpen := "SELECT "+openColumns+st.people(people), "c.identity_id = i.id AND c.status <> 'COMPLETED'"
	if in.careful && in.Postgres() {
		text += " JOIN chats c ON " + ofOpen + " ORDER BY c.id FOR UPDATE OF c"
	} else {
		text += st.lookup("chats", "c", ofOpen)
	}
	err := st.rows(ctx, text, func(rows *sql.Rows) error {
		n, c, err := scanOpenChat(rows)
		if err != nil {
			return err
		}
		who := people[n-1]
		c.ChannelID = who.channel
		in.identities[who] = &ent.Identity{ID: c.IdentityID, ChannelID: who.channel, ExternalID: who.id, ContactID: c.ContactID}
		in.open[c.IdentityID], in.was[c.ID] = c, c.Version
		return nil
	})
	people = slices.DeleteFunc(people, func(who person) bool { return in.identities[who] != nil })
	if err != nil || len(people) == 0 {
		return err
	}
	st = &statement{store: in.Tx}
	return st.rows(ctx, "SELECT of.n, i.id, i.contact_id"+st.people(people), func(rows *sql.Rows) error {
		i, n := &ent.Identity{}, 0
		if err := rows.Scan(&n, (*id)(&i.ID), (*id)(&i.ContactID)); err != nil {
			return err
		}
		who := people[n-1]
		i.ChannelID, i.ExternalID = who.channel, who.id
		in.identities[who] = i
		return nil
	})
}

// readKnown finds which of the messages are stored already.
func (in *intake) readKnown(ctx context.Context, messages []person) error {
	if len(messages) == 0 {
		return nil
	}
	channels, ids := map[uuid.UUID]bool{}, map[string]bool{}
	for _, m := range messages {
		channels[m.channel], ids[m.id] = true, true
	}
	st := &statement{store: in.Tx}
	text := "SELECT m.channel_id, m.external_id" + st.provided(keys(channels), keys(ids))
	return st.rows(ctx, text, func(rows *sql.Rows) error {
		var key person
		err := rows.Scan(&key.channel, &key.id)
		in.known[key] = true
		return err
	})
}

// load reads and locks the newest chat that fits, or nil. What the batch has
// changed already is given as changed.
func (in *intake) load(ctx context.Context, where ...predicate.Chat) (*ent.Chat, error) {
	query := in.Chat.Query().Where(where...).Order(ent.Desc(chat.FieldOpenedAt)).Limit(1)
	if in.Postgres() {
		query.ForUpdate()
	}
	found, err := query.First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if changed := in.touched[found.ID]; changed != nil {
		return changed, nil
	}
	in.was[found.ID] = found.Version
	return found, nil
}

// flush writes the batch, each kind of row with one statement, and records what
// happened.
func (in *intake) flush(ctx context.Context) error {
	for _, step := range []func(context.Context) error{in.writeContacts, in.writeIdentities, in.writeChats, in.writeMessages, in.writeGreetings} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, h := range in.happened {
		in.chatEvent(h.kind, h.chat, h.message, nil, nil)
	}
	return nil
}

// The columns that an intake writes; the others have their defaults.
var (
	contactTable  = store.NewTable("contacts", "id uuid", "name text", "created_at timestamptz")
	identityTable = store.NewTable("identities", "id uuid", "channel_id uuid", "external_id text", "contact_id uuid", "created_at timestamptz")
	chatTable     = store.NewTable("chats",
		"id uuid", "channel_id uuid", "identity_id uuid", "contact_id uuid", "queue_id uuid", "previous_id uuid", "status text",
		"opened_at timestamptz", "waiting_since timestamptz", "created_at timestamptz",
		"last_message_id uuid", "last_message_at timestamptz", "last_inbound_at timestamptz", "inbound_count bigint",
		"delivered_until timestamptz", "read_until timestamptz", "version bigint")
	activityTable = store.NewTable("chats", "id uuid",
		"last_message_id uuid", "last_message_at timestamptz", "last_inbound_at timestamptz", "inbound_count bigint",
		"delivered_until timestamptz", "read_until timestamptz", "version bigint").Guarded("version")
	segmentTable = store.NewTable("segments", "id uuid", "chat_id uuid", "holder text", "queue_id uuid", "cause text", "started_at timestamptz")
	messageTable = store.NewTable("messages",
		"id uuid", "chat_id uuid", "channel_id uuid", "external_id text", "direction text", "author_kind text", "author_id uuid",
		"app_id text", "content_kind text", "text text", "attachments jsonb", "reply_to text", "state text",
		"provider_at timestamptz", "sent_at timestamptz", "created_at timestamptz")
	deliveryTable = store.NewTable("deliveries", "id uuid", "message_id uuid", "channel_id uuid", "position bigint", "text text", "state text")
)

func (in *intake) writeContacts(ctx context.Context) error {
	var rows store.Rows
	for _, c := range in.newContacts {
		rows.Add(c.ID, c.Name, c.CreatedAt)
	}
	return in.Insert(ctx, contactTable, rows)
}

func (in *intake) writeIdentities(ctx context.Context) error {
	var rows store.Rows
	for _, i := range in.newPeople {
		rows.Add(i.ID, i.ChannelID, i.ExternalID, i.ContactID, i.CreatedAt)
	}
	return in.Insert(ctx, identityTable, rows)
}

func (in *intake) writeChats(ctx context.Context) error {
	var fresh, first, known store.Rows
	for _, id := range slices.SortedFunc(maps.Keys(in.touched), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		c := in.touched[id]
		if !in.fresh[c.ID] {
			known.Add(c.ID, c.LastMessageID, c.LastMessageAt, c.LastInboundAt, c.InboundCount, c.DeliveredUntil, c.ReadUntil, c.Version, in.was[c.ID])
			continue
		}
		fresh.Add(c.ID, c.ChannelID, c.IdentityID, c.ContactID, c.QueueID, c.PreviousID, c.Status,
			c.OpenedAt, c.WaitingSince, c.CreatedAt,
			c.LastMessageID, c.LastMessageAt, c.LastInboundAt, c.InboundCount, c.DeliveredUntil, c.ReadUntil, c.Version)
		first.Add(schema.NewID(), c.ID, segment.HolderQueue, c.QueueID, string(customerWrites), in.now)
	}
	if err := in.Insert(ctx, chatTable, fresh); err != nil {
		return err
	}
	if err := in.Insert(ctx, segmentTable, first); err != nil {
		return err
	}
	return in.Update(ctx, activityTable, known)
}

func (in *intake) writeMessages(ctx context.Context) error {
	var rows store.Rows
	rows.Grow(len(in.newMessages), 16)
	for _, m := range in.newMessages {
		rows.Add(m.ID, m.ChatID, m.ChannelID, m.ExternalID, m.Direction, m.AuthorKind, m.AuthorID,
			m.AppID, m.ContentKind, m.Text, store.JSON(m.Attachments), m.ReplyTo, m.State,
			m.ProviderAt, m.SentAt, m.CreatedAt)
	}
	return in.Insert(ctx, messageTable, rows)
}

// writeGreetings puts the parts of greetings into the lanes of their conversations.
func (in *intake) writeGreetings(ctx context.Context) error {
	var rows store.Rows
	for _, g := range in.greetings {
		for i, part := range in.d.limits.SplitText(g.message.Text) {
			id := schema.NewID()
			rows.Add(id, g.message.ID, g.chat.ChannelID, i, part, delivery.StatePending)
			in.addWork(WorkSend, Lane(g.chat.IdentityID), g.chat.ChannelID, id)
		}
	}
	return in.Insert(ctx, deliveryTable, rows)
}
