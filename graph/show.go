package graph

import (
	"context"
	"slices"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"parley/ent"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/graph/model"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/desk"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
	"parley/server/settings"
)

// author says who said a message.
func author(ctx context.Context, m *ent.Message) (*model.MessageAuthor, error) {
	a := &model.MessageAuthor{Kind: m.AuthorKind, AppID: given(m.AppID)}
	var err error
	switch {
	case m.AuthorID == nil:
	case m.AuthorKind == message.AuthorKindContact:
		a.Contact, err = get(ctx, &load(ctx).contact, contactOf(m), m.AuthorID)
		if a.Contact != nil {
			a.Name = &a.Contact.Name
		}
	case m.AuthorKind == message.AuthorKindOperator:
		a.Operator, err = get(ctx, &load(ctx).operator, nil, m.AuthorID)
		if a.Operator != nil {
			a.Name = &a.Operator.Name
		}
	case m.AuthorKind == message.AuthorKindSystem:
		client, failed := get(ctx, &load(ctx).apiClient, nil, m.AuthorID)
		if err = failed; client != nil {
			a.Name = &client.Name
		}
	}
	return a, err
}

// contactOf is the contact of a message's chat, if it is loaded and the author.
func contactOf(m *ent.Message) *ent.Contact {
	if c := m.Edges.Chat; c != nil && c.Edges.Contact != nil && c.Edges.Contact.ID == *m.AuthorID {
		return c.Edges.Contact
	}
	return nil
}

// answered is the message that another answers, or nil.
func answered(ctx context.Context, m *ent.Message) (*ent.Message, error) {
	if m.ReplyTo == "" {
		return nil, nil
	}
	return load(ctx).replied.get(ctx, m)
}

// delivered are the provider messages of a message; what the customer wrote has
// none.
func delivered(ctx context.Context, m *ent.Message) ([]*ent.Delivery, error) {
	if m.Direction == message.DirectionInbound {
		return nil, nil
	}
	return load(ctx).delivered.get(ctx, m.ID)
}

func content(m *ent.Message) model.MessageContent {
	switch m.ContentKind {
	case message.ContentKindAttachments:
		list := make([]*schema.Attachment, len(m.Attachments))
		for i := range m.Attachments {
			list[i] = &m.Attachments[i]
		}
		return &model.AttachmentsContent{Text: given(m.Text), Attachments: list}
	case message.ContentKindUnsupported:
		return &model.UnsupportedContent{Text: plain(m)}
	}
	return &model.TextContent{Text: m.Text}
}

// plain is any content as text.
func plain(m *ent.Message) string {
	switch {
	case m.Text != "":
		return m.Text
	case len(m.Attachments) > 0:
		return "[" + m.Attachments[0].Kind + "]"
	}
	return "[unsupported]"
}

// status is how far a message has come: delivered and read are the chat's
// watermarks, compared with when it left.
func status(ctx context.Context, m *ent.Message) (*model.MessageStatus, error) {
	if m.State == nil {
		return nil, nil
	}
	s := model.MessageStatus(*m.State)
	if *m.State != message.StateSent || m.ProviderAt == nil {
		return &s, nil
	}
	chat, err := get(ctx, &load(ctx).chat, m.Edges.Chat, &m.ChatID)
	if err != nil || chat == nil {
		return &s, err
	}
	before := func(mark *time.Time) bool { return mark != nil && !m.ProviderAt.After(*mark) }
	switch {
	case before(chat.ReadUntil):
		s = model.MessageStatusRead
	case before(chat.DeliveredUntil):
		s = model.MessageStatusDelivered
	}
	return &s, nil
}

func toFailure(d *ent.Delivery) *model.DeliveryFailure {
	if d.ErrorCode == "" {
		return nil
	}
	return &model.DeliveryFailure{Code: d.ErrorCode, Reason: d.ErrorReason, Retryable: d.Retryable}
}

func channelRef(in model.ChannelInput) desk.ChannelRef {
	return desk.ChannelRef{ID: in.ID, ExpectedVersion: number(in.ExpectedVersion)}
}

func channelChange(in model.UpdateChannelInput) desk.ChannelChange {
	u := desk.ChannelChange{
		ChannelRef: desk.ChannelRef{ID: in.ID, ExpectedVersion: number(in.ExpectedVersion)}, Active: in.Active, Language: in.Language, Greeting: in.Greeting,
	}
	if queue, given := in.QueueID.ValueOK(); given {
		u.Queue = &desk.Queued{ID: value(queue)}
	}
	return u
}

func changedChannel(channel *ent.Channel, err error) (*model.ChannelPayload, error) {
	userErrors, err := failures(err)
	return &model.ChannelPayload{Channel: unless(err, userErrors, channel), UserErrors: userErrors}, err
}

// connectedPages has each page's failures where they belong.
func connectedPages(pages []channels.Connected, err error) (*model.ConnectFacebookPagesPayload, error) {
	userErrors, err := failures(err)
	payload := &model.ConnectFacebookPagesPayload{Results: []*model.ConnectFacebookPageResult{}, UserErrors: userErrors}
	for _, p := range pages {
		ownErrors, _ := failures(p.Err)
		payload.Results = append(payload.Results, &model.ConnectFacebookPageResult{
			PageID: p.PageID, Channel: unless(nil, ownErrors, p.Channel), UserErrors: ownErrors,
		})
	}
	return payload, err
}

// orNull shows what is not there as null.
func orNull[T any](found *T, err error) (*T, error) {
	if fault.CodeOf(err) == fault.NotFound {
		return nil, nil
	}
	return found, err
}

func tested(failure *auth.IdentityFailure, err error) (*model.TestIdentityServerPayload, error) {
	userErrors, err := failures(err)
	payload := &model.TestIdentityServerPayload{Passed: failure == nil && err == nil && len(userErrors) == 0, UserErrors: userErrors}
	if failure != nil {
		payload.FailedStep, payload.Reason = &failure.Step, &failure.Reason
	}
	return payload, err
}

func settingsChange(ctx context.Context, in model.UpdateSystemSettingsInput) settings.Change {
	c := settings.Change{Restricted: viewer(ctx).Role() != operator.RoleAdmin, DryRun: in.DryRun, ExpectedVersion: number(in.ExpectedVersion)}
	for _, s := range in.Settings {
		c.Values = append(c.Values, settings.Value{Code: s.Code, Value: s.Value})
	}
	return c
}

func newQuickReply(in model.CreateQuickReplyInput) desk.NewQuickReply {
	return desk.NewQuickReply{
		Name: in.Name, Shortcut: in.Shortcut, Queues: ids(in.QueueIds), Texts: replyTexts(in.Texts), Key: value(in.IdempotencyKey),
	}
}

func quickReplyChange(in model.UpdateQuickReplyInput) desk.QuickReplyChange {
	c := desk.QuickReplyChange{
		QuickReplyRef: desk.QuickReplyRef{ID: in.ID, ExpectedVersion: number(in.ExpectedVersion)},
		Name:          in.Name, Queues: ids(in.QueueIds), Texts: replyTexts(in.Texts),
	}
	if shortcut, given := in.Shortcut.ValueOK(); given {
		c.Shortcut = &desk.Shortcut{Text: shortcut}
	}
	return c
}

func replyTexts(in []*desk.ReplyText) []desk.ReplyText {
	if in == nil {
		return nil
	}
	texts := make([]desk.ReplyText, len(in))
	for i, t := range in {
		texts[i] = *t
	}
	return texts
}

func chatFilter(f *model.ChatFilter) desk.ChatFilter {
	if f == nil {
		return desk.ChatFilter{}
	}
	return desk.ChatFilter{
		Status: f.Status, Queues: ids(f.QueueIds), Channels: ids(f.ChannelIds), Operators: ids(f.OperatorIds), Contact: f.ContactID,
	}
}

func ofChat(id *globalid.ID) desk.EventFilter {
	if id == nil {
		return desk.EventFilter{}
	}
	return desk.EventFilter{Chats: []globalid.ID{*id}}
}

// createOperator gives e-mail and password the form in which they are stored.
func (r *Resolver) createOperator(ctx context.Context, in model.CreateOperatorInput) (*ent.Operator, error) {
	email, err := auth.Email(in.Email)
	if err != nil {
		return nil, err
	}
	hash, err := auth.Hash(in.Password)
	if err != nil {
		return nil, err
	}
	return r.Desk.CreateOperator(ctx, viewer(ctx), desk.NewOperator{
		Email: email, Name: in.Name, PasswordHash: hash, Role: in.Role, Key: value(in.IdempotencyKey),
	})
}

// createClient makes an API client and its secret. Where the same was made before
// with the same key, the secret is not known any more.
func (r *Resolver) createClient(ctx context.Context, in model.CreateAPIClientInput) (*model.CreateAPIClientPayload, error) {
	secret := auth.NewSecret()
	client, made, err := r.Desk.CreateAPIClient(ctx, viewer(ctx), desk.NewAPIClient{
		Name: in.Name, Role: in.Role, Scopes: in.Scopes, SecretHash: auth.HashSecret(secret),
		ExternalID: in.ExternalClientID, Key: value(in.IdempotencyKey),
	})
	if !made || in.ExternalClientID != nil {
		secret = ""
	}
	userErrors, err := failures(err)
	return &model.CreateAPIClientPayload{APIClient: unless(err, userErrors, client), ClientSecret: given(secret), UserErrors: userErrors}, err
}

func (r *Resolver) rotateSecret(ctx context.Context, in model.RotateAPIClientSecretInput) (*model.RotateAPIClientSecretPayload, error) {
	secret := auth.NewSecret()
	client, err := r.Desk.RotateAPIClientSecret(ctx, actor(ctx), in.ID, auth.HashSecret(secret), number(in.ExpectedVersion))
	userErrors, err := failures(err)
	return &model.RotateAPIClientSecretPayload{
		APIClient: unless(err, userErrors, client), ClientSecret: unless(err, userErrors, &secret), UserErrors: userErrors,
	}, err
}

func (r *Resolver) signOut(ctx context.Context) error {
	p, _ := auth.From(ctx)
	return r.Auth.SignOut(ctx, p)
}

func signedIn(t auth.Tokens, err error) (*model.SignInPayload, error) {
	userErrors, err := failures(err)
	return &model.SignInPayload{
		AccessToken: given(t.AccessToken), RefreshToken: given(t.RefreshToken), ExpiresAt: given(t.ExpiresAt),
		Operator: t.Operator, UserErrors: userErrors,
	}, err
}

const maxNodes = 100

func (r *Resolver) nodes(ctx context.Context, ids []*globalid.ID) ([]ent.Noder, error) {
	if len(ids) > maxNodes {
		return nil, fault.New(fault.Invalid, "ids", "at most %d ids", maxNodes)
	}
	asked := make([]globalid.ID, len(ids))
	for i, id := range ids {
		asked[i] = *id
	}
	found, err := r.Desk.Nodes(ctx, viewer(ctx), asked, asksFor(ctx, "contact", "channel", "queue", "operator"))
	list := make([]ent.Noder, len(ids))
	for i, id := range asked {
		list[i] = found[id]
		load(ctx).sawNode(list[i])
	}
	return list, err
}

// asksFor says whether the field that is being resolved is asked for one of these
// of a chat.
func asksFor(ctx context.Context, names ...string) bool {
	return slices.ContainsFunc(graphql.CollectFieldsCtx(ctx, []string{"Chat", "Node"}), func(f graphql.CollectedField) bool {
		return slices.Contains(names, f.Name)
	})
}

func (r *Resolver) node(ctx context.Context, id globalid.ID) (ent.Noder, error) {
	found, err := r.nodes(ctx, []*globalid.ID{&id})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

const maxEvents = 100

func eventCount(first *int) int {
	if first == nil {
		return maxEvents
	}
	return *first
}

func (r *Resolver) events(ctx context.Context, after *string, first *int, f *model.ChatEventFilter) (*model.EventPage, error) {
	limit := eventCount(first)
	if limit < 1 || limit > maxEvents {
		return nil, fault.New(fault.Invalid, "first", "a page looks at 1 to %d events", maxEvents)
	}
	feed, err := r.Desk.Feed(ctx, viewer(ctx), after, eventFilter(f))
	if err != nil {
		return nil, err
	}
	page, err := toPage(feed.Page(ctx, limit))
	load(ctx).sawEvents(page.Events)
	return page, err
}

// unless gives what a mutation made, or nothing where it failed.
func unless[T any](err error, userErrors []*model.UserError, made *T) *T {
	if err != nil || len(userErrors) > 0 {
		return nil
	}
	return made
}

// list is a loaded page of messages.
func list(p *messagePage, err error) (paging.List[*ent.Message], error) {
	if p == nil {
		p = &messagePage{}
	}
	return *p, err
}

// listed makes none an empty list: null says that one may not know.
func listed[T any](list []T, err error) ([]T, error) {
	if list == nil {
		list = []T{}
	}
	return list, err
}

func number(n *int) *int64 {
	if n == nil {
		return nil
	}
	return pointer(int64(*n))
}

func pointer[T any](v T) *T { return &v }
