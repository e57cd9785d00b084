package desk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
)

// suggested are the names of what is suggested, in its order.
func (b *bench) suggested(v Viewer, c *ent.Chat, search string) string {
	b.Helper()
	var names []string
	for _, s := range must(b.desk.Suggest(ctx, v, c.GlobalID(), search, 25)) {
		names = append(names, s.QuickReply.Name)
	}
	return strings.Join(names, ", ")
}

// profile gives the contact of a chat what the provider tells of them.
func (b *bench) profile(c *ent.Chat, p Profile) {
	b.Helper()
	if err := b.desk.SetProfile(ctx, must(b.client().Identity.Get(ctx, c.IdentityID)), p); err != nil {
		b.Fatal(err)
	}
}

func TestASuggestionIsInTheContactsLanguageElseTheChannelsElseTheDefault(t *testing.T) {
	onDesk(t, func(b *bench) {
		op, c := b.operators("op")[0], b.wait("ann")
		b.newReply("Hours", "", texts("fr", "Ouvert", "en", "Open", "de", "Offen"))
		b.newReply("Local", "", texts("it", "Aperto", "fr", "Ouvert"))
		for _, step := range []struct{ locale, channel, want string }{
			{"", "", "Open en DEFAULT, Aperto it ANY"},
			{"", "de-CH", "Offen de CHANNEL, Aperto it ANY"},
			{"fr_CA", "de-CH", "Ouvert fr CONTACT, Ouvert fr CONTACT"},
			{"sv_SE", "de-CH", "Offen de CHANNEL, Aperto it ANY"},
		} {
			b.profile(c, Profile{Locale: step.locale})
			must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Language: &step.channel}))
			var got []string
			for _, s := range must(b.desk.Suggest(ctx, op, c.GlobalID(), "", 25)) {
				got = append(got, fmt.Sprint(s.Text, " ", s.Language, " ", s.ChosenBy))
			}
			equal(b, step.locale+" on a channel in "+step.channel, strings.Join(got, ", "), step.want)
		}
	})
}

func TestASuggestionHasItsVariablesFilledAndSaysWhichHaveNoValue(t *testing.T) {
	onDesk(t, func(b *bench) {
		op, machine := b.operators("op")[0], b.machine("Writer", schema.ChatsWrite)
		b.newReply("Hello", "", texts("en", "Hello {contact.name}, {operator.name} of {queue.name} at {channel.name} \\{here}"))
		cold := b.connect("cold") // whose chats have no queue
		in := wrote("ben", "m1", noon)
		in.Page = "cold"
		b.applied(in)
		unrouted, c := b.newest("ben"), b.wait("ann")
		say := func(v Viewer, c *ent.Chat, want string) {
			b.Helper()
			s := must(b.desk.Suggest(ctx, v, c.GlobalID(), "", 25))[0]
			equal(b, "text", fmt.Sprint(s.Text, " ", s.Missing), want)
		}
		// Until the profile is read there is only a placeholder.
		say(op, c, "Hello {contact.name}, op of Support at page {here} [contact.name]")
		b.profile(c, Profile{Name: "Ann"})
		say(op, c, "Hello Ann, op of Support at page {here} []")
		say(machine, c, "Hello Ann, {operator.name} of Support at page {here} [operator.name]")
		say(b.admin, unrouted, "Hello {contact.name}, Admin of {queue.name} at "+cold.Name+" {here} [contact.name queue.name]")
	})
}

func TestSuggestionsAreThoseForTheChatsQueueAndNobodyElsesChat(t *testing.T) {
	onDesk(t, func(b *bench) {
		sales := b.newQueue("Sales")
		op := b.operators("op")[0]
		other := b.person("other", operator.RoleOperator)
		b.newReply("ours", "", texts("en", "x"), b.queue)
		b.newReply("theirs", "", texts("en", "x"), sales)
		b.newReply("all", "", texts("en", "x"))
		c := b.accepted("ann", op)
		equal(b, "to the operator", b.suggested(op, c, ""), "all, ours")
		equal(b, "to the administrator", b.suggested(b.admin, c, ""), "all, ours")
		for _, v := range []Viewer{other, b.machine("Blind"), {}} {
			if got := must(b.desk.Suggest(ctx, v, c.GlobalID(), "", 25)); got != nil {
				b.Errorf("%s gets %v", v.Role(), got)
			}
		}
		equal(b, "of no chat", must(b.desk.Suggest(ctx, b.admin, globalid.Of("chat", uuid.New()), "", 25)) == nil, true)
		b.members(b.queue)
		op = must(b.desk.Viewer(ctx, op.id())) // who still has the chat
		equal(b, "to whom the queue is no more", b.suggested(op, c, ""), "all")
		b.members(sales, op.GlobalID())
		op = must(b.desk.Viewer(ctx, op.id()))
		equal(b, "to a member of another queue", b.suggested(op, c, ""), "all")
	})
}

func TestASearchFindsNameShortcutAndTextInAnyCaseShortcutsFirst(t *testing.T) {
	onDesk(t, func(b *bench) {
		c := b.wait("ann")
		b.newReply("Address", "street", texts("de", "Große Straße 1", "en", "1 Main Street"))
		b.newReply("Hours", "", texts("en", "Open until six, see the STATUS page"))
		b.newReply("Status", "st", texts("en", "On its way"))
		b.newReply("Über uns", "about", texts("en", "We are 100%_sure"))
		for search, want := range map[string]string{
			"":       "Address, Hours, Status, Über uns",
			" ST ":   "Address, Status, Hours", // shortcuts begin with it
			"STRASS": "Address",
			"status": "Hours, Status",
			"ÜBER":   "Über uns",
			"bout":   "Über uns",
			"%_":     "Über uns",
			"%":      "Über uns",
			"no":     "",
		} {
			equal(b, search, b.suggested(b.admin, c, search), want)
		}
		equal(b, "the first", len(must(b.desk.Suggest(ctx, b.admin, c.GlobalID(), "", 2))), 2)
		for _, n := range []int{0, -1, 101} {
			_, err := b.desk.Suggest(ctx, b.admin, c.GlobalID(), "", n)
			b.refused(err, fault.Invalid, "1 to 100")
		}
	})
}

func TestTheListOfQuickRepliesIsByNameAndByQueue(t *testing.T) {
	onDesk(t, func(b *bench) {
		sales := b.newQueue("Sales")
		b.newReply("c", "", texts("en", "x"), sales)
		b.newReply("b", "", texts("en", "x"))
		b.newReply("a", "", texts("en", "x"), b.queue, sales)
		for of, want := range map[*ent.Queue]string{nil: "a b c", sales: "a b c", b.queue: "a b"} {
			var id *globalid.ID
			if of != nil {
				id = pointer(of.GlobalID())
			}
			var names []string
			for p := (paging.Args{First: pointer(1)}); ; {
				page := must(b.desk.QuickReplies(ctx, b.admin, p, id))
				names = append(names, page.Nodes[0].Name)
				if p.After = &page.Cursors[0]; !page.HasNext {
					break
				}
			}
			equal(b, "listed", strings.Join(names, " "), want)
		}
	})
}

func TestTheReportNamesWhatIsNotInTheLanguagesOfTheChannelsAndTheDefault(t *testing.T) {
	onDesk(t, func(b *bench) {
		speaks := func(c *ent.Channel, language string) {
			must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: c.GlobalID()}, Language: &language}))
		}
		archived := b.connect("archived")
		speaks(b.channel, "de-AT")
		speaks(b.connect("second"), "de-AT")
		speaks(archived, "fr")
		b.connect("without a language")
		must(b.desk.Archive(ctx, audit.Actor{}, ChannelRef{ID: archived.GlobalID()}, true))
		b.newReply("whole", "", texts("de", "x", "en-US", "x"))
		b.newReply("only English", "", texts("en", "x"))
		b.newReply("neither", "", texts("it", "x"))
		report := must(b.desk.QuickReplyReport(ctx))
		equal(b, "wanted", fmt.Sprint(report.Languages), "[de-AT en]")
		var got []string
		for _, u := range report.Untranslated {
			got = append(got, fmt.Sprint(u.QuickReply.Name, " ", u.MissingLanguages))
		}
		equal(b, "untranslated", strings.Join(got, ", "), "neither [de-AT en], only English [de-AT]")
	})
}
