package desk

import (
	"context"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/predicate"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/store"
)

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
	return found, nil
}

// flush writes the batch, each kind of row with one statement, and records what
// happened.
func (in *intake) flush(ctx context.Context) error {
	for _, step := range []func(context.Context) error{in.writeContacts, in.writeIdentities, in.writeChats, in.writeMessages} {
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
		"delivered_until timestamptz", "read_until timestamptz", "version bigint")
	segmentTable = store.NewTable("segments", "id uuid", "chat_id uuid", "holder text", "queue_id uuid", "cause text", "started_at timestamptz")
	messageTable = store.NewTable("messages",
		"id uuid", "chat_id uuid", "channel_id uuid", "external_id text", "direction text", "author_kind text", "author_id uuid",
		"app_id text", "content_kind text", "text text", "attachments jsonb", "reply_to text", "state text",
		"provider_at timestamptz", "sent_at timestamptz", "created_at timestamptz")
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
	for _, c := range in.touched {
		if !in.fresh[c.ID] {
			known.Add(c.ID, c.LastMessageID, c.LastMessageAt, c.LastInboundAt, c.InboundCount, c.DeliveredUntil, c.ReadUntil, c.Version)
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
	for _, m := range in.newMessages {
		rows.Add(m.ID, m.ChatID, m.ChannelID, m.ExternalID, m.Direction, m.AuthorKind, m.AuthorID,
			m.AppID, m.ContentKind, m.Text, store.JSON(m.Attachments), m.ReplyTo, m.State,
			m.ProviderAt, m.SentAt, m.CreatedAt)
	}
	return in.Insert(ctx, messageTable, rows)
}
