package desk

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/queue"
	"parley/ent/quickreply"
	"parley/ent/quickreplyqueue"
	"parley/ent/quickreplytext"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
)

// quickReply is a quick reply with its queues and texts.
func (c *change) quickReply(ctx context.Context, id uuid.UUID) (*ent.QuickReply, error) {
	return whole(c.QuickReply.Query().Where(quickreply.ID(id))).Only(ctx)
}

// whole has quick replies come with their queues and texts, these as they were
// given.
func whole(q *ent.QuickReplyQuery) *ent.QuickReplyQuery {
	return q.
		WithScopes(func(of *ent.QuickReplyQueueQuery) { of.WithQueue().Order(ent.Asc(quickreplyqueue.FieldID)) }).
		WithTexts(func(of *ent.QuickReplyTextQuery) { of.Order(ent.Asc(quickreplytext.FieldID)) })
}

// quickReplyTaken says which other quick reply has the name or the shortcut. The
// table is locked.
func (c *change) quickReplyTaken(ctx context.Context, id uuid.UUID, name string, shortcut *string) error {
	same := quickreply.Name(name)
	if shortcut != nil {
		same = quickreply.Or(same, quickreply.Shortcut(*shortcut))
	}
	taken, err := c.QuickReply.Query().Where(quickreply.IDNEQ(id), same).Order(ent.Asc(quickreply.FieldID)).First(ctx)
	switch {
	case ent.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case taken.Name == name:
		return fault.New(fault.NameTaken, "name", "this name is in use by %s", taken.GlobalID())
	}
	return fault.New(fault.NameTaken, "shortcut", "this shortcut is in use by %s", taken.GlobalID())
}

// setScope makes a quick reply one for exactly these queues, for all if there are
// none.
func (c *change) setScope(ctx context.Context, id uuid.UUID, queues []globalid.ID) error {
	var ids []uuid.UUID
	for _, q := range queues {
		if !slices.Contains(ids, q.UUID) {
			ids = append(ids, q.UUID)
		}
	}
	n, err := c.Queue.Query().Where(queue.IDIn(ids...)).Count(ctx)
	if err != nil {
		return err
	}
	if n != len(ids) || slices.ContainsFunc(queues, func(q globalid.ID) bool { return q.Kind != "queue" }) {
		return fault.New(fault.Invalid, "queueIds", "one of these queues does not exist")
	}
	if _, err := c.QuickReplyQueue.Delete().Where(quickreplyqueue.QuickReplyID(id)).Exec(ctx); err != nil {
		return err
	}
	return c.QuickReplyQueue.MapCreateBulk(ids, func(row *ent.QuickReplyQueueCreate, i int) {
		row.SetQuickReplyID(id).SetQueueID(ids[i])
	}).Exec(ctx)
}

func (c *change) setTexts(ctx context.Context, id uuid.UUID, texts []ReplyText) error {
	if _, err := c.QuickReplyText.Delete().Where(quickreplytext.QuickReplyID(id)).Exec(ctx); err != nil {
		return err
	}
	return c.QuickReplyText.MapCreateBulk(texts, func(row *ent.QuickReplyTextCreate, i int) {
		row.SetQuickReplyID(id).SetLanguage(texts[i].Language).SetText(texts[i].Text)
	}).Exec(ctx)
}

// checkTexts gives texts their form, or says what is wrong with which.
func checkTexts(texts []ReplyText) ([]ReplyText, error) {
	if len(texts) == 0 || len(texts) > maxTexts {
		return nil, fault.New(fault.Invalid, "texts", "a quick reply has 1 to %d texts", maxTexts)
	}
	var checked []ReplyText
	for i, t := range texts {
		field := fmt.Sprintf("texts.%d.", i)
		tag, err := canonicalLanguage(field+"language", t.Language)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(checked, func(other ReplyText) bool { return other.Language == tag }) {
			return nil, fault.New(fault.Invalid, field+"language", "there is a text in %s already", tag)
		}
		text := clean(t.Text)
		if n := utf8.RuneCountInString(text); n == 0 || n > maxReplyText {
			return nil, fault.New(fault.Invalid, field+"text", "a text has 1 to %d characters", maxReplyText)
		}
		if _, err := pieces(text); err != nil {
			return nil, fault.New(fault.Invalid, field+"text", "%s", err)
		}
		checked = append(checked, ReplyText{tag, text})
	}
	return checked, nil
}

var shortcuts = regexp.MustCompile(`^[a-z0-9_-]{1,50}$`)

func checkShortcut(shortcut *string) error {
	if shortcut != nil && !shortcuts.MatchString(*shortcut) {
		return fault.New(fault.Invalid, "shortcut", "a shortcut has 1 to 50 of a to z, 0 to 9, - and _")
	}
	return nil
}

// auditReply records what of a quick reply is not as it was before.
func (c *change) auditReply(ctx context.Context, v Viewer, did auditentry.Action, before, after *ent.QuickReply) error {
	was, is := facts(before), facts(after)
	return audit.Add(ctx, c.Tx, c.now, v.actor(), audit.Change{
		Action: did, Subject: cmp.Or(before, after).GlobalID().String(), Before: without(was, is), After: without(is, was),
	})
}

// facts are all that there is to say of a quick reply.
func facts(q *ent.QuickReply) []string {
	if q == nil {
		return nil
	}
	list := []string{"name: " + q.Name}
	if q.Shortcut != nil {
		list = append(list, "shortcut: "+*q.Shortcut)
	}
	for _, s := range q.Edges.Scopes {
		list = append(list, "queue: "+globalid.Of("queue", s.QueueID).String())
	}
	for _, t := range q.Edges.Texts {
		list = append(list, "text "+t.Language+": "+t.Text)
	}
	return list
}

// without is what of a list is not in another, nil if nothing.
func without(list, other []string) *string {
	rest := slices.DeleteFunc(slices.Clone(list), func(fact string) bool { return slices.Contains(other, fact) })
	if len(rest) == 0 {
		return nil
	}
	return pointer(strings.Join(rest, "\n"))
}
