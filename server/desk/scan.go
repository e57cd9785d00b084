package desk

import (
	"database/sql"
	"encoding/json"

	"github.com/google/uuid"

	"parley/ent"
)

// Rows of statements by hand, scanned into ent's structs: without the values
// between that ent scans into, and without secrets. They carry no client, so
// they are for reading. Each list of columns belongs to the function below it.

// id is scanned from text where it lies; uuid.UUID copies it first.
type id uuid.UUID

func (u *id) Scan(from any) (err error) {
	text, ok := from.([]byte)
	if !ok {
		return (*uuid.UUID)(u).Scan(from)
	}
	*(*uuid.UUID)(u), err = uuid.ParseBytes(text)
	return err
}

const messageColumns = `m.id, m.chat_id, m.channel_id, m.external_id, m.direction, m.author_kind, m.author_id, m.app_id,
	m.content_kind, m.text, m.attachments, m.reply_to, m.state, m.provider_at, m.sent_at, m.created_at, m.version`

func scanMessage(rows *sql.Rows) (*ent.Message, error) {
	m := &ent.Message{}
	var attachments []byte
	err := rows.Scan((*id)(&m.ID), (*id)(&m.ChatID), (*id)(&m.ChannelID), &m.ExternalID, (*string)(&m.Direction), (*string)(&m.AuthorKind), &m.AuthorID, &m.AppID,
		(*string)(&m.ContentKind), &m.Text, &attachments, &m.ReplyTo, &m.State, &m.ProviderAt, &m.SentAt, &m.CreatedAt, &m.Version)
	if err == nil && attachments != nil {
		err = json.Unmarshal(attachments, &m.Attachments)
	}
	return m, err
}

const chatColumns = `c.id, c.channel_id, c.identity_id, c.contact_id, c.queue_id, c.operator_id, c.previous_id, c.status, c.holders,
	c.last_message_id, c.last_message_at, c.opened_at, c.waiting_since, c.completed_at, c.last_inbound_at, c.inbound_count,
	c.delivered_until, c.read_until, c.created_at, c.version`

// edgeColumns are what a chat points at, and the viewer's read mark.
const edgeColumns = `, contacts.name, contacts.picture_url, contacts.locale, contacts.created_at, contacts.version,
	channels.provider, channels.external_id, channels.name, channels.picture_url, channels.state, channels.state_reason,
	channels.active, channels.queue_id, channels.language, channels.archived_at, channels.created_at, channels.version,
	COALESCE(queues.name, ''), COALESCE(queues.rule, ''), queues.created_at, COALESCE(queues.version, 0),
	COALESCE(operators.email, ''), COALESCE(operators.name, ''), COALESCE(operators.role, ''), COALESCE(operators.state, ''),
	COALESCE(operators.pause_reason, ''), operators.created_at, COALESCE(operators.version, 0),
	COALESCE(chat_reads.inbound_count, 0)`

// chatRow is a chat and all that it points at, in one allocation.
type chatRow struct {
	chat     ent.Chat
	contact  ent.Contact
	channel  ent.Channel
	queue    ent.Queue
	operator ent.Operator

	holders             []byte
	queueAt, operatorAt sql.NullTime
	read                int64
}

func (r *chatRow) columns() []any {
	c := &r.chat
	return []any{(*id)(&c.ID), (*id)(&c.ChannelID), (*id)(&c.IdentityID), (*id)(&c.ContactID), &c.QueueID, &c.OperatorID, &c.PreviousID, (*string)(&c.Status), &r.holders,
		&c.LastMessageID, &c.LastMessageAt, &c.OpenedAt, &c.WaitingSince, &c.CompletedAt, &c.LastInboundAt, &c.InboundCount,
		&c.DeliveredUntil, &c.ReadUntil, &c.CreatedAt, &c.Version}
}

func (r *chatRow) edges() []any {
	contact, channel, queue, operator := &r.contact, &r.channel, &r.queue, &r.operator
	return []any{&contact.Name, &contact.PictureURL, &contact.Locale, &contact.CreatedAt, &contact.Version,
		(*string)(&channel.Provider), &channel.ExternalID, &channel.Name, &channel.PictureURL, (*string)(&channel.State), &channel.StateReason,
		&channel.Active, &channel.QueueID, &channel.Language, &channel.ArchivedAt, &channel.CreatedAt, &channel.Version,
		&queue.Name, (*string)(&queue.Rule), &r.queueAt, &queue.Version,
		&operator.Email, &operator.Name, (*string)(&operator.Role), (*string)(&operator.State),
		&operator.PauseReason, &r.operatorAt, &operator.Version, &r.read}
}

func scanChat(rows *sql.Rows) (*ent.Chat, error) {
	r := &chatRow{}
	return &r.chat, r.scan(rows, r.columns())
}

// openColumns are what an intake needs of an open chat, after the number of its
// customer in a list.
const openColumns = `of.n, c.id, c.identity_id, c.contact_id, c.queue_id, c.operator_id, c.previous_id, c.status, c.holders,
	c.last_message_id, c.last_message_at, c.opened_at, c.last_inbound_at, c.inbound_count, c.delivered_until, c.read_until, c.version`

func scanOpenChat(rows *sql.Rows) (n int, c *ent.Chat, err error) {
	c = &ent.Chat{}
	var holders []byte
	err = rows.Scan(&n, (*id)(&c.ID), (*id)(&c.IdentityID), (*id)(&c.ContactID), &c.QueueID, &c.OperatorID, &c.PreviousID, (*string)(&c.Status), &holders,
		&c.LastMessageID, &c.LastMessageAt, &c.OpenedAt, &c.LastInboundAt, &c.InboundCount, &c.DeliveredUntil, &c.ReadUntil, &c.Version)
	if err == nil && holders != nil {
		err = json.Unmarshal(holders, &c.Holders)
	}
	return n, c, err
}

func scanChatWithEdges(rows *sql.Rows) (c *ent.Chat, read int64, err error) {
	r := &chatRow{}
	err = r.scan(rows, append(r.columns(), r.edges()...))
	c = &r.chat
	r.contact.ID, r.channel.ID = c.ContactID, c.ChannelID
	c.Edges.Contact, c.Edges.Channel = &r.contact, &r.channel
	if c.QueueID != nil {
		r.queue.ID, r.queue.CreatedAt, c.Edges.Queue = *c.QueueID, r.queueAt.Time, &r.queue
	}
	if c.OperatorID != nil {
		r.operator.ID, r.operator.CreatedAt, c.Edges.Operator = *c.OperatorID, r.operatorAt.Time, &r.operator
	}
	return c, r.read, err
}

func (r *chatRow) scan(rows *sql.Rows, into []any) error {
	err := rows.Scan(into...)
	if err == nil && r.holders != nil {
		err = json.Unmarshal(r.holders, &r.chat.Holders)
	}
	return err
}

const viewerColumns = `operators.id, operators.email, operators.name, operators.role, operators.state, operators.pause_reason,
	operators.created_at, operators.version, queue_members.queue_id`

func scanViewer(rows *sql.Rows) (o *ent.Operator, queue *uuid.UUID, err error) {
	o = &ent.Operator{}
	err = rows.Scan(&o.ID, &o.Email, &o.Name, (*string)(&o.Role), (*string)(&o.State), &o.PauseReason, &o.CreatedAt, &o.Version, &queue)
	return o, queue, err
}
