package desk

import (
	"context"
	"slices"
	"strings"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"golang.org/x/text/cases"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/identity"
	"parley/ent/operator"
	"parley/ent/predicate"
	"parley/ent/quickreply"
	"parley/ent/quickreplyqueue"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
)

// QuickReplies lists those that the viewer may see; of is a queue for whose chats
// they are, if not nil.
func (d *Desk) QuickReplies(ctx context.Context, v Viewer, p paging.Args, of *globalid.ID) (paging.List[*ent.QuickReply], error) {
	s, err := p.Check(paging.ByName)
	if err != nil {
		return paging.List[*ent.QuickReply]{}, err
	}
	query := whole(d.store.Client().QuickReply.Query()).Where(v.visibleQuickReply())
	if of != nil {
		query.Where(forQueues(of.UUID))
	}
	rows, err := query.Where(s.Where(quickreply.FieldName, false)).All(ctx)
	return paging.Of(s, rows, func(q *ent.QuickReply) paging.Place { return paging.Place{By: q.Name, ID: q.ID} }), err
}

// visibleQuickReply holds, for an operator, for what is for their queues.
func (v Viewer) visibleQuickReply() predicate.QuickReply {
	switch {
	case v.readsSettings():
		return func(*entsql.Selector) {}
	case v.Role() == operator.RoleOperator:
		return forQueues(v.Queues...)
	}
	return func(s *entsql.Selector) { s.Where(entsql.False()) }
}

// forQueues holds for what is for the chats of any of these queues: what is for
// all of them too.
func forQueues(queues ...uuid.UUID) predicate.QuickReply {
	return quickreply.Or(quickreply.Not(quickreply.HasScopes()), quickreply.HasScopesWith(quickreplyqueue.QueueIDIn(queues...)))
}

// SuggestedQuickReply is a quick reply as it would be said in a chat.
type SuggestedQuickReply struct {
	QuickReply *ent.QuickReply
	Text       string // with its variables filled
	Language   string
	ChosenBy   LanguageRule
	Missing    []string // variables that have no value, and stand in the text as they are
}

// Suggest gives the quick replies for a chat, those whose shortcut begins with
// what is searched for first, else by name. nil is for a chat that the viewer
// does not see.
func (d *Desk) Suggest(ctx context.Context, v Viewer, in globalid.ID, search string, first int) ([]*SuggestedQuickReply, error) {
	if first < 1 || first > 100 {
		return nil, fault.New(fault.Invalid, "first", "1 to 100 quick replies are given")
	}
	page, err := d.VisibleChats(ctx, v, []uuid.UUID{in.UUID}, true)
	if err != nil || len(page.Nodes) == 0 {
		return nil, err
	}
	c := page.Nodes[0]
	values, err := d.values(ctx, v, c)
	if err != nil {
		return nil, err
	}
	query := d.store.Client().QuickReply.Query().Where(v.visibleQuickReply(), forQueues(queuesOf(c)...))
	found, err := whole(query).Order(ent.Asc(quickreply.FieldName, quickreply.FieldID)).All(ctx)
	if err != nil {
		return nil, err
	}
	wishes := []wish{{ByContact, c.Edges.Contact.Locale}, {ByChannel, c.Edges.Channel.Language}, {ByDefault, d.limits.DefaultLanguage()}}
	suggested := []*SuggestedQuickReply{}
	for _, q := range searched(found, search) {
		if len(suggested) == first {
			break
		}
		text, rule := choose(q.Edges.Texts, wishes)
		s := &SuggestedQuickReply{QuickReply: q, Language: text.Language, ChosenBy: rule}
		s.Text, s.Missing = fill(text.Text, values)
		suggested = append(suggested, s)
	}
	return suggested, nil
}

func queuesOf(c *ent.Chat) []uuid.UUID {
	if c.QueueID == nil {
		return nil
	}
	return []uuid.UUID{*c.QueueID}
}

// values are what variables stand for when the viewer writes in a chat. What is
// in the place of a contact's name until that is known is none.
func (d *Desk) values(ctx context.Context, v Viewer, c *ent.Chat) (map[string]string, error) {
	values := map[string]string{contactName: c.Edges.Contact.Name, channelName: c.Edges.Channel.Name}
	if v.Operator != nil {
		values[operatorName] = v.Operator.Name
	}
	if c.Edges.Queue != nil {
		values[queueName] = c.Edges.Queue.Name
	}
	who, err := d.store.Client().Identity.Query().Where(identity.ID(c.IdentityID)).Only(ctx)
	if err == nil && values[contactName] == placeholder(who.ExternalID) {
		delete(values, contactName)
	}
	return values, err
}

// searched are those that a word is found in, without regard to case.
func searched(replies []*ent.QuickReply, search string) []*ent.QuickReply {
	fold := cases.Fold()
	search = fold.String(strings.TrimSpace(search))
	var begin, have []*ent.QuickReply
	for _, q := range replies {
		has := func(text string) bool { return strings.Contains(fold.String(text), search) }
		switch {
		case len(q.Edges.Texts) == 0: // deleted while they were read
		case search != "" && q.Shortcut != nil && strings.HasPrefix(*q.Shortcut, search):
			begin = append(begin, q)
		case has(q.Name) || q.Shortcut != nil && has(*q.Shortcut) || slices.ContainsFunc(q.Edges.Texts, func(t *ent.QuickReplyText) bool { return has(t.Text) }):
			have = append(have, q)
		}
	}
	return append(begin, have...)
}

// QuickReplyReport says which quick replies are not in every language that is
// wanted: the default one, and those of the channels that are not archived.
type QuickReplyReport struct {
	Languages    []string
	Untranslated []*UntranslatedQuickReply
}

// UntranslatedQuickReply lacks a text for some languages.
type UntranslatedQuickReply struct {
	QuickReply       *ent.QuickReply
	MissingLanguages []string
}

// QuickReplyReport looks through all quick replies.
func (d *Desk) QuickReplyReport(ctx context.Context) (*QuickReplyReport, error) {
	languages, err := d.store.Client().Channel.Query().Where(channel.ArchivedAtIsNil(), channel.LanguageNEQ("")).
		Unique(true).Select(channel.FieldLanguage).Strings(ctx)
	if err != nil {
		return nil, err
	}
	languages = slices.Compact(slices.Sorted(slices.Values(append(languages, d.limits.DefaultLanguage()))))
	all, err := whole(d.store.Client().QuickReply.Query()).Order(ent.Asc(quickreply.FieldName, quickreply.FieldID)).All(ctx)
	report := &QuickReplyReport{Languages: languages, Untranslated: []*UntranslatedQuickReply{}}
	for _, q := range all {
		serving := served(q.Edges.Texts)
		missing := slices.DeleteFunc(slices.Clone(languages), func(l string) bool { return serving(l) != nil })
		if len(missing) > 0 {
			report.Untranslated = append(report.Untranslated, &UntranslatedQuickReply{q, missing})
		}
	}
	return report, err
}
