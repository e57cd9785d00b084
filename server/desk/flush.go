package desk

import (
	"context"

	entsql "entgo.io/ent/dialect/sql"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/predicate"
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

func (in *intake) writeContacts(ctx context.Context) error {
	if len(in.newContacts) == 0 {
		return nil
	}
	return in.Contact.MapCreateBulk(in.newContacts, func(c *ent.ContactCreate, i int) {
		row := in.newContacts[i]
		c.SetID(row.ID).SetName(row.Name).SetCreatedAt(row.CreatedAt)
	}).Exec(ctx)
}

func (in *intake) writeIdentities(ctx context.Context) error {
	if len(in.wroteNow) == 0 {
		return nil
	}
	rows := make([]*ent.Identity, 0, len(in.wroteNow))
	for _, row := range in.wroteNow {
		rows = append(rows, row)
	}
	return in.Identity.MapCreateBulk(rows, func(c *ent.IdentityCreate, i int) {
		row := rows[i]
		c.SetID(row.ID).SetChannelID(row.ChannelID).SetExternalID(row.ExternalID).SetContactID(row.ContactID).
			SetNillableLastInboundAt(row.LastInboundAt).SetCreatedAt(row.CreatedAt)
	}).OnConflictColumns("id").Update(func(u *ent.IdentityUpsert) { u.UpdateLastInboundAt() }).Exec(ctx)
}

func (in *intake) writeChats(ctx context.Context) error {
	if len(in.touched) == 0 {
		return nil
	}
	rows := make([]*ent.Chat, 0, len(in.touched))
	for _, row := range in.touched {
		rows = append(rows, row)
	}
	err := in.Chat.MapCreateBulk(rows, func(c *ent.ChatCreate, i int) {
		row := rows[i]
		c.SetID(row.ID).SetChannelID(row.ChannelID).SetIdentityID(row.IdentityID).SetContactID(row.ContactID).
			SetNillableQueueID(row.QueueID).SetNillablePreviousID(row.PreviousID).SetStatus(row.Status).
			SetNillableLastMessageID(row.LastMessageID).SetLastMessageAt(row.LastMessageAt).SetOpenedAt(row.OpenedAt).
			SetNillableWaitingSince(row.WaitingSince).SetInboundCount(row.InboundCount).
			SetNillableDeliveredUntil(row.DeliveredUntil).SetNillableReadUntil(row.ReadUntil).
			SetCreatedAt(row.CreatedAt).SetVersion(row.Version)
	}).OnConflict(entsql.ConflictColumns("id"), entsql.ResolveWith(func(u *entsql.UpdateSet) {
		for _, column := range []string{
			chat.FieldLastMessageID, chat.FieldLastMessageAt, chat.FieldInboundCount,
			chat.FieldDeliveredUntil, chat.FieldReadUntil, chat.FieldVersion,
		} {
			u.SetExcluded(column)
		}
	})).Exec(ctx)
	if err != nil || len(in.newChats) == 0 {
		return err
	}
	return in.Segment.CreateBulk(in.segmentsOf()...).Exec(ctx)
}

func (in *intake) writeMessages(ctx context.Context) error {
	if len(in.newMessages) == 0 {
		return nil
	}
	return in.Message.MapCreateBulk(in.newMessages, func(c *ent.MessageCreate, i int) {
		row := in.newMessages[i]
		c.SetID(row.ID).SetChatID(row.ChatID).SetChannelID(row.ChannelID).SetNillableExternalID(row.ExternalID).
			SetDirection(row.Direction).SetAuthorKind(row.AuthorKind).SetNillableAuthorID(row.AuthorID).SetAppID(row.AppID).
			SetContentKind(row.ContentKind).SetText(row.Text).SetAttachments(row.Attachments).SetReplyTo(row.ReplyTo).
			SetNillableState(row.State).SetNillableProviderAt(row.ProviderAt).
			SetSentAt(row.SentAt).SetCreatedAt(row.CreatedAt)
	}).Exec(ctx)
}
