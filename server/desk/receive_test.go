package desk

import (
	"context"
	"errors"
	"fmt"
	random "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent/chat"
	"parley/ent/event"
	"parley/ent/message"
	"parley/ent/schema"
	"parley/ent/work"
	"parley/server/paging"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMessagesComeOnceAndInOrderHoweverTheyAreRepeatedBatchedAndReordered(t *testing.T) {
	onDesk(t, func(b *bench) {
		var want []string
		var events []Inbound
		for i := range 60 {
			mid := fmt.Sprintf("m%02d", i)
			want = append(want, mid)
			for range 1 + i%3 {
				events = append(events, wrote("ann", mid, noon.Add(time.Duration(i)*time.Millisecond)))
			}
		}
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for len(events) > 0 {
			n := min(len(events), 1+random.IntN(20))
			b.applied(events[:n]...)
			events = events[n:]
		}
		c := b.newest("ann")
		if got := b.texts(c); !slices.Equal(got, want) {
			b.Errorf("stored are %v", got)
		}
		equal(b, "chats", len(b.chats("ann")), 1)
		equal(b, "messages counted", c.InboundCount, 60)
		equal(b, "newest", b.message(*c.LastMessageID).Text, "m59")
		equal(b, "events of messages", must(b.client().Event.Query().Where(event.KindEQ(event.KindMessageAdded)).Count(ctx)), 60)
		equal(b, "profiles to read", must(b.client().Work.Query().Where(work.Kind(WorkProfile)).Count(ctx)), 1)
		b.whole()
	})
}

func TestMessagesOfOneTimeKeepTheOrderTheyCameIn(t *testing.T) {
	onDesk(t, func(b *bench) {
		b.applied(wrote("ann", "1", noon), wrote("ann", "2", noon), wrote("ann", "3", noon))
		b.applied(wrote("ann", "4", noon))
		equal(b, "order", strings.Join(b.texts(b.newest("ann")), ""), "1234")
		two := 2
		var walked string
		for args := (paging.Args{First: &two}); ; {
			page := must(b.desk.Messages(ctx, []uuid.UUID{b.newest("ann").ID}, args))[b.newest("ann").ID]
			for _, m := range page.Nodes {
				walked += m.Text
			}
			if !page.HasNext {
				break
			}
			args.After = &page.Cursors[len(page.Cursors)-1]
		}
		equal(b, "order by pages", walked, "1234")
	})
}

func TestWritersOfOnePersonAtOnceOpenOneChatAndStoreEachMessageOnce(t *testing.T) {
	onDesk(t, func(b *bench) {
		desks := []*Desk{b.desk, b.replica()}
		together(16, func(i int) {
			for k := range 8 { // each message comes by two writers
				settled, err := receive(desks[i%2], []Inbound{wrote("ann", fmt.Sprint(i/2, "-", k), noon)})
				if err != nil || settled[0].Outcome != Applied {
					b.Errorf("%v %v", settled, err)
				}
			}
		})
		equal(b, "chats", len(b.chats("ann")), 1)
		equal(b, "messages", len(b.messages(b.newest("ann"))), 64)
		equal(b, "counted", b.newest("ann").InboundCount, 64)
		equal(b, "contacts", must(b.client().Contact.Query().Count(ctx)), 1)
		b.whole()
	})
}

func TestTwoBatchesAtOnceWithTheSameNewPeopleAreBothApplied(t *testing.T) {
	onDesk(t, func(b *bench) {
		desks := []*Desk{b.desk, b.replica()}
		together(2, func(i int) {
			for round := range 10 {
				var batch []Inbound
				for p := range 20 {
					batch = append(batch, wrote(fmt.Sprint("p", round, "-", p), fmt.Sprint(round, "-", p, "-", i), noon))
				}
				settled, err := receive(desks[i], batch)
				if err != nil || slices.ContainsFunc(settled, func(s Settled) bool { return s.Outcome != Applied }) {
					b.Errorf("%v %v", settled, err)
				}
			}
		})
		equal(b, "chats", must(b.client().Chat.Query().Count(ctx)), 200)
		equal(b, "messages", must(b.client().Message.Query().Count(ctx)), 400)
		b.whole()
	})
}

func TestOneEventThatCannotBeAppliedDoesNotTouchTheOther999(t *testing.T) {
	onDesk(t, func(b *bench) {
		trigger := `CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.external_id = 'poison' BEGIN SELECT RAISE(ABORT, 'poisoned'); END`
		if b.store.Postgres() {
			trigger = `CREATE FUNCTION poison() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$ LANGUAGE plpgsql;
				CREATE TRIGGER poison BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.external_id = 'poison') EXECUTE FUNCTION poison()`
		}
		must(b.store.DB.Exec(trigger))
		batch := make([]Inbound, 1000)
		for i := range batch {
			batch[i] = wrote(fmt.Sprint("p", i%300), fmt.Sprint("m", i), noon)
		}
		batch[617].Message.ExternalID = "poison"
		for i, s := range b.receive(batch...) {
			if want := map[bool]Outcome{true: Parked}[i == 617]; s.Outcome != want || (s.Err != nil) != (i == 617) {
				b.Errorf("event %d: outcome %d, %v", i, s.Outcome, s.Err)
			}
		}
		equal(b, "messages", must(b.client().Message.Query().Count(ctx)), 999)
		equal(b, "events", must(b.client().Event.Query().Where(event.KindEQ(event.KindMessageAdded)).Count(ctx)), 999)
		equal(b, "profiles to read", must(b.client().Work.Query().Where(work.Kind(WorkProfile)).Count(ctx)), 300)
		b.whole()
	})
}

func TestWhatCannotBeAppliedIsSaidAndSetAside(t *testing.T) {
	onDesk(t, func(b *bench) {
		elsewhere := wrote("ann", "m", noon)
		elsewhere.Page = "unknown"
		for name, step := range map[string]struct {
			in   Inbound
			want Outcome
		}{
			"of a page that is not connected": {elsewhere, Unrouted},
			"not understood":                  {Inbound{Err: errors.New("bad"), Page: "page", Kind: Wrote}, Parked},
			"of another kind":                 {Inbound{Page: "page", Person: "ann"}, Ignored},
			"receipt of a stranger":           {receipt(Read, "stranger", noon), Ignored},
			"echo to a stranger":              {echoed("stranger", "e", noon, ""), Ignored},
		} {
			if got := b.receive(step.in)[0].Outcome; got != step.want {
				b.Errorf("%s: outcome %d, not %d", name, got, step.want)
			}
		}
		equal(b, "chats", must(b.client().Chat.Query().Count(ctx)), 0)
	})
}

func TestAMessageKeepsWhatItWas(t *testing.T) {
	onDesk(t, func(b *bench) {
		picture, what := wrote("ann", "1", noon), wrote("ann", "2", noon)
		picture.Message = InboundMessage{ExternalID: "1", Attachments: []schema.Attachment{{Kind: "image", URL: "u", Title: "t"}}, ReplyTo: "0"}
		what.Message = InboundMessage{ExternalID: "2", Unsupported: true}
		b.applied(picture, what, wrote("ann", "3", noon))
		got := b.messages(b.newest("ann"))
		equal(b, "attachment", got[0].Attachments[0], schema.Attachment{Kind: "image", URL: "u", Title: "t"})
		equal(b, "reply", got[0].ReplyTo, "0")
		for i, kind := range []message.ContentKind{message.ContentKindAttachments, message.ContentKindUnsupported, message.ContentKindText} {
			equal(b, "content", got[i].ContentKind, kind)
			equal(b, "author", got[i].AuthorKind, message.AuthorKindContact)
			equal(b, "direction", got[i].Direction, message.DirectionInbound)
		}
	})
}

func TestAMessageAfterCompletionOpensAChatLinkedToThePreviousOne(t *testing.T) {
	onDesk(t, func(b *bench) {
		first := b.accepted("ann", b.operators("op")[0])
		b.clock.Advance(time.Minute)
		must(b.desk.Complete(ctx, b.admin, first.GlobalID()))
		b.clock.Advance(time.Minute)
		second := b.wait("ann")
		equal(b, "previous", *second.PreviousID, first.ID)
		equal(b, "status", second.Status, chat.StatusWaiting)
		equal(b, "status of the first", b.chat(first.ID).Status, chat.StatusCompleted)
		b.whole()
	})
}

func TestALateMessageGoesToTheChatThatWasOpenAtItsTime(t *testing.T) {
	onDesk(t, func(b *bench) {
		var chats []string // opened at 0:00, 2:00 and 4:00 after noon, the first two completed a minute later
		for range 3 {
			c := b.wait("ann")
			chats = append(chats, c.ID.String())
			if len(chats) < 3 {
				b.clock.Advance(time.Minute)
				must(b.desk.Complete(ctx, b.admin, c.GlobalID()))
			}
			b.clock.Advance(2*time.Hour - time.Minute)
		}
		for at, want := range map[time.Duration]int{
			30 * time.Second: 0, 2*time.Hour + 30*time.Second: 1, // while they were open
			3 * time.Hour: 2, -time.Hour: 2, // while none was: to the one that is open now
			4*time.Hour - 2*time.Minute + time.Hour: 2,
		} {
			mid := at.String()
			b.applied(wrote("ann", mid, noon.Add(at)), wrote("ann", mid+"again", noon.Add(at)))
			got := must(b.client().Message.Query().Where(message.ExternalID(mid)).Only(ctx))
			equal(b, "chat of the message at "+mid, got.ChatID.String(), chats[want])
		}
		newest := b.newest("ann")
		if last := b.message(*newest.LastMessageID); last.SentAt.Before(b.messages(newest)[0].SentAt) || !last.SentAt.Equal(newest.LastMessageAt) {
			b.Error("a late message is taken for the newest")
		}
		equal(b, "chats", len(b.chats("ann")), 3)
		b.whole()
	})
}

func TestReceiptsMoveTheWatermarksForwardOnly(t *testing.T) {
	onDesk(t, func(b *bench) {
		b.wait("ann")
		at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
		marks := func() string {
			c := b.newest("ann")
			text := func(mark *time.Time) string {
				if mark == nil {
					return "-"
				}
				return fmt.Sprint(mark.Sub(noon))
			}
			return text(c.DeliveredUntil) + " " + text(c.ReadUntil)
		}
		for _, step := range []struct {
			in      Inbound
			want    string
			changed int64
		}{
			{receipt(Delivered, "ann", at(-5)), "- -", 0}, // of before the chat
			{receipt(Delivered, "ann", at(5)), "5s -", 1},
			{receipt(Delivered, "ann", at(5)), "5s -", 0},
			{receipt(Delivered, "ann", at(3)), "5s -", 0},
			{receipt(Read, "ann", at(4)), "5s 4s", 1},
			{receipt(Read, "ann", at(9)), "9s 9s", 1}, // what is read is delivered
			{receipt(Delivered, "ann", at(8)), "9s 9s", 0},
		} {
			version := b.newest("ann").Version
			events := must(b.client().Event.Query().Count(ctx))
			b.applied(step.in)
			equal(b, "watermarks", marks(), step.want)
			equal(b, "versions", b.newest("ann").Version-version, step.changed)
			equal(b, "events", int64(must(b.client().Event.Query().Count(ctx))-events), step.changed)
		}
	})
}

func TestAReceiptReachesTheChatBeforeTheOneThatIsOpen(t *testing.T) {
	onDesk(t, func(b *bench) {
		first := b.wait("ann")
		b.clock.Advance(time.Minute)
		must(b.desk.Complete(ctx, b.admin, first.GlobalID()))
		b.clock.Advance(time.Minute)
		second := b.wait("ann")
		b.applied(receipt(Delivered, "ann", noon.Add(30*time.Second)))
		equal(b, "before the second", b.chat(first.ID).DeliveredUntil.Sub(noon), 30*time.Second)
		equal(b, "second", b.chat(second.ID).DeliveredUntil, nil)
		b.applied(receipt(Read, "ann", noon.Add(3*time.Minute)))
		equal(b, "read, first", b.chat(first.ID).ReadUntil.Sub(noon), 3*time.Minute)
		equal(b, "read, second", b.chat(second.ID).ReadUntil.Sub(noon), 3*time.Minute)
		version := b.chat(first.ID).Version
		b.applied(receipt(Read, "ann", noon.Add(4*time.Minute)))
		equal(b, "changes of the first, all of which is read", b.chat(first.ID).Version, version)
	})
}

func TestABatchThatIsInterruptedChangesNothing(t *testing.T) {
	onDesk(t, func(b *bench) {
		stop := errors.New("stop")
		_, err := b.desk.Receive(ctx, loaded(wrote("ann", "1", noon)), func(context.Context, *store.Tx, []Settled) error { return stop })
		if !errors.Is(err, stop) {
			b.Error(err)
		}
		equal(b, "chats", len(b.chats("ann")), 0)
	})
}

func TestABatchTakesAsManyStatementsAsOneMessage(t *testing.T) {
	b := newBench(t, storetest.Postgres(t))
	desk, counted := b.counting()
	for name, want := range map[string]int64{"of strangers": 11, "in open chats": 6} {
		for _, n := range []int{1, 10, 100} {
			batch := make([]Inbound, n)
			for i := range batch {
				mid := fmt.Sprint(name, n, "-", i)
				batch[i] = wrote(mid, mid, noon)
				if name == "in open chats" {
					b.applied(batch[i])
					batch[i].Message.ExternalID += "again"
				}
			}
			before := counted.Load()
			if settled, err := receive(desk, batch); err != nil || settled[n-1].Outcome != Applied {
				t.Error(settled, err)
			}
			equal(b, fmt.Sprint("statements for ", n, " ", name), counted.Load()-before, want)
		}
	}
}
