package desk

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/operator"
	"parley/ent/quickreply"
	"parley/server/fault"
	"parley/server/globalid"
)

// texts pairs languages with texts.
func texts(pairs ...string) (list []ReplyText) {
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, ReplyText{pair[0], pair[1]})
	}
	return list
}

// newReply makes a quick reply as the administrator, for all queues if none are
// named.
func (b *bench) newReply(name, shortcut string, texts []ReplyText, queues ...*ent.Queue) *ent.QuickReply {
	b.Helper()
	n := NewQuickReply{Name: name, Texts: texts}
	if shortcut != "" {
		n.Shortcut = &shortcut
	}
	for _, q := range queues {
		n.Queues = append(n.Queues, q.GlobalID())
	}
	made, err := b.desk.CreateQuickReply(ctx, b.admin, n)
	if err != nil {
		b.Fatal(err)
	}
	return made
}

func (b *bench) replyAudit() (told []string) {
	for _, e := range must(b.client().AuditEntry.Query().Where(auditentry.SubjectHasPrefix("quickreply_")).
		Order(ent.Asc(auditentry.FieldID)).All(ctx)) {
		told = append(told, fmt.Sprintf("%s: %q to %q", e.Action, shownOr(e.Before), shownOr(e.After)))
	}
	return told
}

func shownOr(text *string) string {
	if text == nil {
		return "nothing"
	}
	return *text
}

func TestAQuickReplyIsMadeChangedAndDeletedAndEachIsRecorded(t *testing.T) {
	onDesk(t, func(b *bench) {
		sales := b.newQueue("Sales")
		made := b.newReply(" Hours ", "hours", texts("DE", " Offen ", "en_GB", "Open, {contact.name}"), sales, b.queue, sales)
		equal(b, "made", fmt.Sprint(facts(made)), fmt.Sprintf("[name: Hours shortcut: hours queue: %s queue: %s text de: Offen text en-GB: Open, {contact.name}]",
			sales.GlobalID(), b.queue.GlobalID()))
		of := QuickReplyRef{made.GlobalID(), &made.Version}
		changed := must(b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{QuickReplyRef: of, Name: pointer("Opening hours"),
			Shortcut: &Shortcut{}, Queues: []globalid.ID{}, Texts: texts("en-GB", "Open, {contact.name}", "fr", "Ouvert")}))
		equal(b, "changed", fmt.Sprint(facts(changed)), "[name: Opening hours text en-GB: Open, {contact.name} text fr: Ouvert]")
		equal(b, "version", changed.Version, 2)
		same := must(b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{QuickReplyRef: QuickReplyRef{ID: made.GlobalID()}}))
		equal(b, "what is not named", fmt.Sprint(facts(same)), fmt.Sprint(facts(changed)))

		b.refused(b.desk.DeleteQuickReply(ctx, b.admin, of), fault.Conflict, "version is 3")
		_, err := b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{QuickReplyRef: of})
		b.refused(err, fault.Conflict, "version is 3")
		if err := b.desk.DeleteQuickReply(ctx, b.admin, QuickReplyRef{made.GlobalID(), &same.Version}); err != nil {
			b.Fatal(err)
		}
		b.refused(b.desk.DeleteQuickReply(ctx, b.admin, of), fault.NotFound, "no such quick reply")
		left := must(b.client().QuickReplyText.Query().Count(ctx)) + must(b.client().QuickReplyQueue.Query().Count(ctx))
		equal(b, "rows that are left", left, 0)
		equal(b, "the audit log", strings.Join(b.replyAudit(), "; "), fmt.Sprintf(
			`QUICK_REPLY_CREATED: "nothing" to "name: Hours\nshortcut: hours\nqueue: %[1]s\nqueue: %[2]s\ntext de: Offen\ntext en-GB: Open, {contact.name}"; `+
				`QUICK_REPLY_CHANGED: "name: Hours\nshortcut: hours\nqueue: %[1]s\nqueue: %[2]s\ntext de: Offen" to "name: Opening hours\ntext fr: Ouvert"; `+
				`QUICK_REPLY_CHANGED: "nothing" to "nothing"; `+
				`QUICK_REPLY_DELETED: "name: Opening hours\ntext en-GB: Open, {contact.name}\ntext fr: Ouvert" to "nothing"`,
			sales.GlobalID(), b.queue.GlobalID()))
	})
}

func TestWhoChangedAQuickReplyIsRecordedBeItAMachine(t *testing.T) {
	onDesk(t, func(b *bench) {
		machine := b.machine("Importer")
		for _, v := range []Viewer{b.admin, machine} {
			name := string(v.Role())
			made := must(b.desk.CreateQuickReply(ctx, v, NewQuickReply{Name: name, Texts: texts("en", "x")}))
			e := must(b.client().AuditEntry.Query().Where(auditentry.Subject(made.GlobalID().String())).Only(ctx))
			if v.Machine != nil {
				equal(b, "client", *e.ClientID, v.id())
			} else {
				equal(b, "operator", *e.OperatorID, v.id())
			}
		}
	})
}

func TestAQuickReplysNameAndShortcutAreNaturalKeys(t *testing.T) {
	onDesk(t, func(b *bench) {
		first, other := b.newReply("Hours", "hours", texts("en", "x")), b.newReply("Bye", "bye", texts("en", "x"))
		b.newReply("Without a shortcut", "", texts("en", "x"))
		b.newReply("Another without", "", texts("en", "x"))
		for field, n := range map[string]NewQuickReply{
			"name": {Name: "Hours", Shortcut: pointer("bye"), Texts: texts("en", "x")}, "shortcut": {Name: "Opening", Shortcut: pointer("hours"), Texts: texts("en", "x")},
		} {
			_, err := b.desk.CreateQuickReply(ctx, b.admin, n)
			b.refused(err, fault.NameTaken, "this "+field+" is in use by "+first.GlobalID().String())
		}
		_, err := b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{QuickReplyRef: QuickReplyRef{ID: other.GlobalID()}, Name: pointer("Hours")})
		b.refused(err, fault.NameTaken, first.GlobalID().String())
		_, err = b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{QuickReplyRef: QuickReplyRef{ID: other.GlobalID()}, Shortcut: &Shortcut{pointer("hours")}})
		b.refused(err, fault.NameTaken, "this shortcut is in use by "+first.GlobalID().String())
		must(b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{ // its own are free
			QuickReplyRef: QuickReplyRef{ID: first.GlobalID()}, Name: pointer("Hours"), Shortcut: &Shortcut{pointer("hours")},
		}))
	})
}

func TestAQuickReplyMadeAgainWithItsKeyIsTheSameUntilItIsDeleted(t *testing.T) {
	onDesk(t, func(b *bench) {
		n := NewQuickReply{Name: "Hours", Shortcut: pointer("hours"), Texts: texts("en", "x"), Key: "1"}
		first := must(b.desk.CreateQuickReply(ctx, b.admin, n))
		equal(b, "again", must(b.desk.CreateQuickReply(ctx, b.admin, n)).ID, first.ID)
		other := n
		other.Texts = texts("en", "y")
		_, err := b.desk.CreateQuickReply(ctx, b.admin, other)
		b.refused(err, fault.KeyReused, "")
		if err := b.desk.DeleteQuickReply(ctx, b.admin, QuickReplyRef{ID: first.GlobalID()}); err != nil {
			b.Fatal(err)
		}
		_, err = b.desk.CreateQuickReply(ctx, b.admin, n)
		b.refused(err, fault.NotFound, "deleted since")
	})
}

func TestAQuickReplyThatCannotBeIsRefusedWithItsFieldAndNothingChanges(t *testing.T) {
	onDesk(t, func(b *bench) {
		good := b.newReply("Hours", "hours", texts("en", "x"), b.queue)
		many := make([]ReplyText, maxTexts+1)
		for name, c := range map[string]struct {
			change QuickReplyChange
			field  string
			word   string
		}{
			"no name":             {QuickReplyChange{Name: pointer(" ")}, "name", "1 to 200"},
			"upper case":          {QuickReplyChange{Shortcut: &Shortcut{pointer("Hours")}}, "shortcut", "a to z"},
			"a space":             {QuickReplyChange{Shortcut: &Shortcut{pointer("a b")}}, "shortcut", ""},
			"a line":              {QuickReplyChange{Shortcut: &Shortcut{pointer("a\n")}}, "shortcut", ""},
			"an empty shortcut":   {QuickReplyChange{Shortcut: &Shortcut{pointer("")}}, "shortcut", ""},
			"no queue":            {QuickReplyChange{Queues: []globalid.ID{globalid.Of("queue", uuid.New())}}, "queueIds", "does not exist"},
			"another thing":       {QuickReplyChange{Queues: []globalid.ID{globalid.Of("chat", b.queue.ID)}}, "queueIds", ""},
			"no texts":            {QuickReplyChange{Texts: []ReplyText{}}, "texts", "1 to 50"},
			"too many":            {QuickReplyChange{Texts: many}, "texts", "1 to 50"},
			"no language":         {QuickReplyChange{Texts: texts("en", "x", "klingonese", "y")}, "texts.1.language", "language tag"},
			"a language twice":    {QuickReplyChange{Texts: texts("pt-BR", "x", "pt_br", "y")}, "texts.1.language", "pt-BR already"},
			"an empty text":       {QuickReplyChange{Texts: texts("en", " \x00 ")}, "texts.0.text", "1 to 2000"},
			"too long":            {QuickReplyChange{Texts: texts("en", strings.Repeat("ü", 2001))}, "texts.0.text", "1 to 2000"},
			"an unknown variable": {QuickReplyChange{Name: pointer("New"), Texts: texts("en", "{contact.age}")}, "texts.0.text", "no variable {contact.age}"},
		} {
			c.change.ID = good.GlobalID()
			_, err := b.desk.UpdateQuickReply(ctx, b.admin, c.change)
			b.refused(err, fault.Invalid, c.word)
			if f, ok := err.(*fault.Error); !ok || f.Field != c.field {
				b.Errorf("%s: %+v", name, err)
			}
			n := NewQuickReply{Name: "Other", Shortcut: pointer("other"), Queues: c.change.Queues, Texts: texts("en", "x")}
			if c.change.Name != nil && c.field == "name" {
				n.Name = *c.change.Name
			}
			if c.change.Shortcut != nil {
				n.Shortcut = c.change.Shortcut.Text
			}
			if c.change.Texts != nil {
				n.Texts = c.change.Texts
			}
			_, err = b.desk.CreateQuickReply(ctx, b.admin, n)
			b.refused(err, fault.Invalid, c.word)
		}
		_, err := b.desk.UpdateQuickReply(ctx, b.admin, QuickReplyChange{QuickReplyRef: QuickReplyRef{ID: globalid.Of("queue", good.ID)}})
		b.refused(err, fault.NotFound, "")
		now := must(whole(b.client().QuickReply.Query()).Only(ctx))
		equal(b, "what is there", fmt.Sprint(facts(now), now.Version), fmt.Sprint(facts(good), 1))
		longest := b.newReply("Longest", "", texts("en", strings.Repeat("ü", 2000)))
		equal(b, "the longest", len(longest.Edges.Texts[0].Text), 4000)
	})
}

func TestThereIsAMostOfQuickRepliesWhoeverMakesThemAtOnce(t *testing.T) {
	onDesk(t, func(b *bench) {
		_, err := b.client().QuickReply.MapCreateBulk(make([]struct{}, maxQuickReplies-1), func(c *ent.QuickReplyCreate, i int) {
			c.SetName(fmt.Sprint("reply ", i)).SetCreatedAt(noon)
		}).Save(ctx)
		if err != nil {
			b.Fatal(err)
		}
		desks, errs := []*Desk{b.desk, b.replica()}, make([]error, 6)
		together(len(errs), func(i int) {
			_, errs[i] = desks[i%2].CreateQuickReply(ctx, b.admin, NewQuickReply{Name: fmt.Sprint("new ", i), Texts: texts("en", "x")})
		})
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			b.refused(err, fault.LimitHit, "500 quick replies")
		}
		equal(b, "made", made, 1)
		equal(b, "there are", must(b.client().QuickReply.Query().Count(ctx)), maxQuickReplies)
	})
}

func TestOfSeveralWhoMakeTheSameQuickReplyOneDoesAndTheOthersAreTold(t *testing.T) {
	onDesk(t, func(b *bench) {
		desks, errs := []*Desk{b.desk, b.replica()}, make([]error, 6)
		together(len(errs), func(i int) {
			_, errs[i] = desks[i%2].CreateQuickReply(ctx, b.admin, NewQuickReply{Name: "Hours", Texts: texts("en", "x")})
		})
		only := must(b.client().QuickReply.Query().Where(quickreply.Name("Hours")).Only(ctx))
		for _, err := range errs {
			if err != nil {
				b.refused(err, fault.NameTaken, only.GlobalID().String())
			}
		}
	})
}

func TestQuickRepliesAreSeenByThoseWhoseQueuesTheyAreFor(t *testing.T) {
	onDesk(t, func(b *bench) {
		sales := b.newQueue("Sales")
		op := b.operators("op")[0]
		loner, boss := b.person("loner", operator.RoleOperator), b.person("boss", operator.RoleSupervisor)
		bot := must(b.desk.Machine(ctx, b.newClient("Bot", operator.RoleBot).ID, nil))
		all, ours, theirs := b.newReply("all", "", texts("en", "x")), b.newReply("ours", "", texts("en", "x"), b.queue, sales), b.newReply("theirs", "", texts("en", "x"), sales)
		for v, want := range map[*Viewer][3]bool{
			&op: {true, true, false}, &loner: {true, false, false}, &boss: {true, true, true}, &b.admin: {true, true, true}, &bot: {}, {}: {},
		} {
			got := [3]bool{b.sees(*v, all.GlobalID()), b.sees(*v, ours.GlobalID()), b.sees(*v, theirs.GlobalID())}
			equal(b, fmt.Sprint(v.Role(), " sees"), got, want)
		}
	})
}
