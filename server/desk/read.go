package desk

import (
	"context"
	"database/sql"
	"errors"
	"runtime"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/chatread"
	"parley/ent/contact"
	"parley/ent/delivery"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/predicate"
	"parley/ent/queue"
	"parley/ent/queuemember"
	"parley/ent/quickreply"
	"parley/server/globalid"
	"parley/server/paging"
)

// ChatFilter narrows a list of chats; what is empty does not.
type ChatFilter struct {
	Status                      []chat.Status
	Queues, Channels, Operators []globalid.ID
	Contact                     *globalid.ID
}

// ChatPage is a page of chats, or some. Where they come with what they point at,
// contact, channel, queue and operator, Unread has what Desk.Unread would say;
// else it is nil.
type ChatPage struct {
	paging.List[*ent.Chat]
	Unread map[uuid.UUID]int
}

// readsAtOnce is how many pages of chats, contacts and messages are read at once.
// More make none sooner but all of them late, as the database and this process
// have their hands full: measured with both on two cores and eight clients, an
// inbox's p99 is 0.7 of what it is without turns, at the same rate.
func readsAtOnce() int { return runtime.GOMAXPROCS(0) + 1 }

// inTurn runs one of these reads when fewer are running. Changes, what the feed
// shows and single things never wait here.
func (d *Desk) inTurn(ctx context.Context, read func() error) error {
	if err := d.reads.Acquire(ctx, 1); err != nil {
		return err
	}
	defer d.reads.Release(1)
	return read()
}

// lastMinute is the column of chats that lists go by; the database makes it.
const lastMinute = "last_minute"

// Chats lists what the viewer may see, newest message first.
func (d *Desk) Chats(ctx context.Context, v Viewer, p paging.Args, f ChatFilter) (ChatPage, error) {
	s, err := p.Check(paging.ByTime)
	if err != nil || !v.seesChats() {
		return ChatPage{}, err
	}
	s = s.ByMinute(lastMinute)
	var rows []*ent.Chat
	var unread map[uuid.UUID]int
	err = d.inTurn(ctx, func() error {
		if f.isInbox() {
			rows, unread, err = (&inbox{statement{store: d.store}, v, f, s}).read(ctx)
		} else {
			rows, err = d.store.Client().Chat.Query().Where(v.visible(), f.where(), s.Where(chat.FieldLastMessageAt, true)).All(ctx)
		}
		return err
	})
	return ChatPage{paging.Of(s, rows, func(c *ent.Chat) paging.Place { return paging.Place{By: c.LastMessageAt, ID: c.ID} }), unread}, err
}

func (f ChatFilter) where() predicate.Chat {
	var all []predicate.Chat
	if f.Status != nil {
		all = append(all, chat.StatusIn(f.Status...))
	}
	if f.Queues != nil {
		all = append(all, chat.QueueIDIn(uuids(f.Queues)...))
	}
	if f.Channels != nil {
		all = append(all, chat.ChannelIDIn(uuids(f.Channels)...))
	}
	if f.Operators != nil {
		all = append(all, chat.OperatorIDIn(uuids(f.Operators)...))
	}
	if f.Contact != nil {
		all = append(all, chat.ContactID(f.Contact.UUID))
	}
	return func(s *entsql.Selector) {
		for _, one := range all {
			one(s)
		}
	}
}

// Contacts lists those with a chat that the viewer may see, newest first.
func (d *Desk) Contacts(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Contact], error) {
	s, err := p.Check(paging.ByTime)
	if err != nil {
		return paging.List[*ent.Contact]{}, err
	}
	var rows []*ent.Contact
	err = d.inTurn(ctx, func() error {
		rows, err = d.store.Client().Contact.Query().Where(v.visibleContact(), s.Where(contact.FieldCreatedAt, true)).All(ctx)
		return err
	})
	return paging.Of(s, rows, func(c *ent.Contact) paging.Place { return paging.Place{By: c.CreatedAt, ID: c.ID} }), err
}

func (v Viewer) visibleContact() predicate.Contact {
	if v.SeesAll() {
		return func(*entsql.Selector) {}
	}
	return withChats(v.visible(), chat.FieldContactID)
}

// withChats holds for rows that a visible chat points at.
func withChats(visible predicate.Chat, column string) func(*entsql.Selector) {
	return func(s *entsql.Selector) {
		chats := entsql.Dialect(s.Dialect()).Select(column).From(entsql.Table(chat.Table))
		visible(chats)
		s.Where(entsql.In(s.C("id"), chats))
	}
}

// Channels lists those that are archived or those that are not; to an operator,
// those that feed their queues.
func (d *Desk) Channels(ctx context.Context, v Viewer, p paging.Args, archived bool) (paging.List[*ent.Channel], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.Channel]{}, err
	}
	rows, err := d.store.Client().Channel.Query().Where(isArchived(archived), v.visibleChannel(), s.Where(channel.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(c *ent.Channel) paging.Place { return paging.Place{By: c.Name, ID: c.ID} }), err
}

func isArchived(archived bool) predicate.Channel {
	if archived {
		return channel.ArchivedAtNotNil()
	}
	return channel.ArchivedAtIsNil()
}

func (v Viewer) visibleChannel() predicate.Channel {
	if v.readsSettings() {
		return func(*entsql.Selector) {}
	}
	return channel.Or(channel.QueueIDIn(v.Queues...), withChats(v.visible(), chat.FieldChannelID))
}

// Queues lists, to an operator, their own.
func (d *Desk) Queues(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Queue], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.Queue]{}, err
	}
	rows, err := d.store.Client().Queue.Query().Where(v.visibleQueue(), s.Where(queue.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(q *ent.Queue) paging.Place { return paging.Place{By: q.Name, ID: q.ID} }), err
}

func (v Viewer) visibleQueue() predicate.Queue {
	if v.readsSettings() {
		return func(*entsql.Selector) {}
	}
	return queue.IDIn(v.Queues...)
}

// Operators lists, to an operator, those who share a queue with them.
func (d *Desk) Operators(ctx context.Context, v Viewer, p paging.Args) (paging.List[*ent.Operator], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.Operator]{}, err
	}
	rows, err := d.store.Client().Operator.Query().Where(v.visibleOperator(), s.Where(operator.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(o *ent.Operator) paging.Place { return paging.Place{By: o.Name, ID: o.ID} }), err
}

func (v Viewer) visibleOperator() predicate.Operator {
	if v.readsSettings() {
		return func(*entsql.Selector) {}
	}
	return operator.Or(operator.ID(v.id()), func(s *entsql.Selector) {
		colleagues := entsql.Dialect(s.Dialect()).Select(queuemember.FieldOperatorID).From(entsql.Table(queuemember.Table))
		queuemember.QueueIDIn(v.Queues...)(colleagues)
		s.Where(entsql.In(s.C(operator.FieldID), colleagues))
	})
}

// APIClients lists them all: who asks is an administrator.
func (d *Desk) APIClients(ctx context.Context, p paging.Args) (paging.List[*ent.APIClient], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.APIClient]{}, err
	}
	rows, err := d.store.Client().APIClient.Query().Where(s.Where(apiclient.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(c *ent.APIClient) paging.Place { return paging.Place{By: c.Name, ID: c.ID} }), err
}

// visibleAPIClient holds, but for administrators, for the viewer itself: whoever
// has not to give access need not know who has it.
func (v Viewer) visibleAPIClient() predicate.APIClient {
	if v.Role() == operator.RoleAdmin {
		return func(*entsql.Selector) {}
	}
	return apiclient.ID(v.id())
}

// Messages lists the same page of several chats, oldest message first: without
// arguments the last ones. The caller has seen that the chats are visible.
func (d *Desk) Messages(ctx context.Context, chats []uuid.UUID, p paging.Args) (map[uuid.UUID]paging.List[*ent.Message], error) {
	if p.First == nil && p.Last == nil && p.After == nil {
		p.Last = pointer(25)
	}
	s, err := p.Check(paging.ByTime)
	if err != nil {
		return nil, err
	}
	st := &statement{store: d.store}
	of := make(map[uuid.UUID][]*ent.Message, len(chats))
	err = d.inTurn(ctx, func() error {
		return st.rows(ctx, st.messages(chats, s), func(rows *sql.Rows) error {
			m, err := scanMessage(rows)
			of[m.ChatID] = append(of[m.ChatID], m)
			return err
		})
	})
	lists := make(map[uuid.UUID]paging.List[*ent.Message], len(chats))
	for _, id := range chats {
		lists[id] = paging.Of(s, of[id], func(m *ent.Message) paging.Place { return paging.Place{By: m.SentAt, ID: m.ID} })
	}
	return lists, err
}

func (s *statement) messages(chats []uuid.UUID, slice paging.Slice) string {
	return "SELECT " + messageColumns + " FROM " + s.each(list(s, chats), "uuid", "chat") +
		s.first("messages", "m", "chat_id = chat.value"+slice.SQL(message.FieldSentAt, false, s.arg)) +
		slice.OrderSQL("m.", message.FieldSentAt, false)
}

// Nodes are things of any kind by their ids, one statement for each kind; what
// is not there, or not the viewer's to see, is left out. Chats come with what
// they point at if that will be asked for.
func (d *Desk) Nodes(ctx context.Context, v Viewer, ids []globalid.ID, edges bool) (map[globalid.ID]ent.Noder, error) {
	asked := map[string][]uuid.UUID{}
	for _, id := range ids {
		asked[id.Kind] = append(asked[id.Kind], id.UUID)
	}
	client, found := d.store.Client(), make(map[globalid.ID]ent.Noder, len(ids))
	var all []error
	for kind, ids := range asked {
		var err error
		switch kind {
		case "chat":
			page, failed := d.VisibleChats(ctx, v, ids, edges)
			err = keep[*ent.Chat](found)(page.Nodes, failed)
		case "message":
			err = keep[*ent.Message](found)(client.Message.Query().Where(message.IDIn(ids...), message.HasChatWith(v.visible())).All(ctx))
		case "delivery":
			err = keep[*ent.Delivery](found)(client.Delivery.Query().Where(delivery.IDIn(ids...),
				delivery.HasMessageWith(message.HasChatWith(v.visible()))).All(ctx))
		case "contact":
			err = keep[*ent.Contact](found)(client.Contact.Query().Where(contact.IDIn(ids...), v.visibleContact()).All(ctx))
		case "channel":
			err = keep[*ent.Channel](found)(client.Channel.Query().Where(channel.IDIn(ids...), v.visibleChannel()).All(ctx))
		case "queue":
			err = keep[*ent.Queue](found)(client.Queue.Query().Where(queue.IDIn(ids...), v.visibleQueue()).All(ctx))
		case "operator":
			err = keep[*ent.Operator](found)(client.Operator.Query().Where(operator.IDIn(ids...), v.visibleOperator()).All(ctx))
		case "quickreply":
			err = keep[*ent.QuickReply](found)(whole(client.QuickReply.Query()).Where(quickreply.IDIn(ids...), v.visibleQuickReply()).All(ctx))
		case "apiclient":
			err = keep[*ent.APIClient](found)(client.APIClient.Query().Where(apiclient.IDIn(ids...), v.visibleAPIClient()).All(ctx))
		}
		all = append(all, err)
	}
	return found, errors.Join(all...)
}

// node is a row with an id of the API.
type node interface {
	ent.Noder
	GlobalID() globalid.ID
}

func keep[T node](found map[globalid.ID]ent.Noder) func([]T, error) error {
	return func(rows []T, err error) error {
		for _, row := range rows {
			found[row.GlobalID()] = row
		}
		return err
	}
}

// VisibleChats are those of the chats that the viewer may see; with what they
// point at and the unread counts, if that will be asked for.
func (d *Desk) VisibleChats(ctx context.Context, v Viewer, ids []uuid.UUID, edges bool) (ChatPage, error) {
	if !v.seesChats() {
		return ChatPage{}, nil
	}
	var page ChatPage
	var err error
	st := &statement{store: d.store}
	where := "id" + st.in(list(st, ids), "uuid") + v.visibleSQL(st)
	if edges {
		page.Nodes, page.Unread, err = st.chats(ctx, st.withEdges("SELECT * FROM chats WHERE "+where, v))
		return page, err
	}
	err = st.rows(ctx, "SELECT "+chatColumns+" FROM chats AS c WHERE "+where, func(rows *sql.Rows) error {
		c, err := scanChat(rows)
		page.Nodes = append(page.Nodes, c)
		return err
	})
	return page, err
}

// Unread counts, for each chat, the customer's messages that the viewer has not
// read; a machine never reads any.
func (d *Desk) Unread(ctx context.Context, v Viewer, chats []*ent.Chat) (map[uuid.UUID]int, error) {
	ids, unread := make([]uuid.UUID, len(chats)), map[uuid.UUID]int{}
	for i, c := range chats {
		ids[i], unread[c.ID] = c.ID, int(c.InboundCount)
	}
	marks, err := d.store.Client().ChatRead.Query().Where(chatread.OperatorID(v.id()), chatread.ChatIDIn(ids...)).All(ctx)
	for _, mark := range marks {
		unread[mark.ChatID] = max(0, unread[mark.ChatID]-int(mark.InboundCount))
	}
	return unread, err
}

// RepliedTo finds what messages answer, by the provider's ids, where it is stored
// and of the same chat: the customer's, or parts of ours.
func (d *Desk) RepliedTo(ctx context.Context, answers []*ent.Message) (map[*ent.Message]*ent.Message, error) {
	type place struct {
		chat uuid.UUID
		id   string
	}
	asked, channels := map[string]bool{}, map[uuid.UUID]bool{}
	for _, m := range answers {
		asked[m.ReplyTo], channels[m.ChannelID] = true, true
	}
	stored := map[place]*ent.Message{}
	st := &statement{store: d.store}
	theirs := "SELECT " + messageColumns + st.provided(keys(channels), keys(asked))
	err := st.rows(ctx, theirs, func(rows *sql.Rows) error {
		m, err := scanMessage(rows)
		if err == nil {
			stored[place{m.ChatID, *m.ExternalID}] = m
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ours, err := d.store.Client().Delivery.Query().
		Where(delivery.ChannelIDIn(keys(channels)...), delivery.ExternalIDIn(keys(asked)...)).WithMessage().All(ctx)
	if err != nil {
		return nil, err
	}
	for _, part := range ours {
		stored[place{part.Edges.Message.ChatID, *part.ExternalID}] = part.Edges.Message
	}
	of := map[*ent.Message]*ent.Message{}
	for _, m := range answers {
		if found := stored[place{m.ChatID, m.ReplyTo}]; found != nil {
			of[m] = found
		}
	}
	return of, nil
}

// Client reads rows by id for who has seen that they are visible.
func (d *Desk) Client() *ent.Client { return d.store.Client() }

func uuids(ids []globalid.ID) []uuid.UUID {
	list := make([]uuid.UUID, len(ids))
	for i, id := range ids {
		list[i] = id.UUID
	}
	return list
}
