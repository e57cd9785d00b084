package desk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/event"
	"parley/ent/operator"
	"parley/ent/segment"
	"parley/server/audit"
	"parley/server/globalid"
	"parley/server/store"
)

func TestWhatComesBeforeAChannelIsLiveWaitsAndIsRoutedOnceItIs(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		cold := b.connect("cold")
		queue := b.queue.GlobalID()
		for _, half := range []ChannelChange{
			{ChannelRef: ChannelRef{ID: cold.GlobalID()}, Active: pointer(true)}, // active without a queue
			{ChannelRef: ChannelRef{ID: cold.GlobalID()}, Active: pointer(false), Queue: &Queued{ID: queue}},
		} {
			must(b.desk.UpdateChannel(ctx, audit.Actor{}, half))
			in := wrote("ann", fmt.Sprint("m", half.Queue), noon)
			in.Page = "cold"
			b.applied(in)
			c := b.newest("ann")
			equal(b, "status", c.Status, chat.StatusWaiting)
			equal(b, "queue", c.QueueID, nil)
			equal(b, "seen by the operator", b.sees(op, c.GlobalID()), false)
			equal(b, "seen by the administrator", b.sees(b.admin, c.GlobalID()), true)
		}
		before := b.newest("ann")
		cursor := b.caughtUp()
		b.clock.Advance(time.Minute)
		b.activate(cold, b.queue)
		c := b.newest("ann")
		equal(b, "queue", *c.QueueID, b.queue.ID)
		equal(b, "version", c.Version, before.Version+1)
		equal(b, "age", c.WaitingSince.Equal(*before.WaitingSince), true)
		b.caughtUp()
		for v, want := range map[*Viewer]event.Kind{&op: event.KindChatOpened, &b.admin: event.KindChatUpdated} {
			got := b.after(b.desk, *v, cursor, EventFilter{Chats: []globalid.ID{c.GlobalID()}})
			if len(got) != 1 || got[0].Kind != want || got[0].Chat.ID != c.ID {
				b.Errorf("%s sees %v", v.Operator.Name, got)
			}
		}
		must(b.desk.Accept(ctx, op, c.GlobalID()))
		segments := must(b.client().Segment.Query().Where(segment.ChatID(c.ID)).Order(ent.Asc(segment.FieldID)).All(ctx))
		if fault := broken(b.chat(c.ID), segments); fault != "" || len(segments) != 3 || segments[1].Cause != string(routedByActivation) {
			b.Error(fault, segments)
		}
	})
}

func TestActivationRoutesMoreChatsThanAStatementCanName(t *testing.T) {
	onDesk(t, func(b *bench) {
		const n = 9500
		cold := b.connect("cold")
		b.fill(cold, n)
		b.activate(cold, b.queue)
		equal(b, "routed", must(b.client().Chat.Query().Where(chat.QueueID(b.queue.ID)).Count(ctx)), n)
		equal(b, "open segments", must(b.client().Segment.Query().Where(segment.EndedAtIsNil(), segment.QueueID(b.queue.ID)).Count(ctx)), n)
		equal(b, "ended segments", must(b.client().Segment.Query().Where(segment.EndedAtNotNil()).Count(ctx)), n)
		equal(b, "events", must(b.client().Event.Query().Where(event.KindEQ(event.KindChatUpdated)).Count(ctx)), n)
	})
}

// fill gives a channel many waiting chats, as Receive would, but fast.
func (b *bench) fill(c *ent.Channel, n int) {
	b.Helper()
	id := `printf('00000000-0000-7000-8000-%012x', n)`
	if b.store.Postgres() {
		id = `CAST('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid)`
	}
	contact := must(b.client().Contact.Create().SetName("everybody").SetCreatedAt(noon).Save(ctx))
	for _, insert := range []string{
		`INSERT INTO identities (id, external_id, contact_id, channel_id, created_at) SELECT ID, 'p' || n, $2, $3, $4 FROM series`,
		`INSERT INTO chats (id, identity_id, contact_id, channel_id, opened_at, last_message_at, waiting_since, created_at, status)
			SELECT ID, ID, $2, $3, $4, $4, $4, $4, 'WAITING' FROM series`,
		`INSERT INTO segments (id, chat_id, started_at, holder, cause) SELECT ID, ID, $4, 'QUEUE', 'test' FROM series WHERE $2 <> $3`,
	} {
		insert = `WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < $1) ` + strings.ReplaceAll(insert, "ID,", id+",")
		err := b.store.InTx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, insert, n, contact.ID, c.ID, noon)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func TestNoChatIsLeftWithoutAQueueWhenActivationAndMessagesRace(t *testing.T) {
	onDesk(t, func(b *bench) {
		desks := []*Desk{b.desk, b.replica()}
		for round := range 5 {
			page := fmt.Sprint("cold", round)
			cold := b.connect(page)
			together(5, func(i int) {
				if i == 0 {
					id := b.queue.GlobalID()
					if _, err := desks[1].UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: cold.GlobalID()}, Active: pointer(true), Queue: &Queued{ID: id}}); err != nil {
						b.Error(err)
					}
					return
				}
				for k := range 10 {
					name := fmt.Sprint(page, "-", i, "-", k)
					in := wrote(name, name, noon)
					in.Page = page
					if settled, err := receive(desks[i%2], []Inbound{in}); err != nil || settled[0].Outcome != Applied {
						b.Error(settled, err)
					}
				}
			})
		}
		equal(b, "chats", must(b.client().Chat.Query().Count(ctx)), 200)
		equal(b, "without a queue", must(b.client().Chat.Query().Where(chat.QueueIDIsNil()).Count(ctx)), 0)
		b.whole()
	})
}

// The provider does not stop because an administrator wants to change a channel.
func TestAChannelCanBeChangedWhileMessagesComeWithoutPause(t *testing.T) {
	onDesk(t, func(b *bench) {
		desks := []*Desk{b.desk, b.replica()}
		changed := make(chan struct{})
		together(7, func(i int) {
			if i == 0 {
				defer close(changed)
				for range 5 {
					if _, err := b.desk.UpdateChannel(b.patient(), audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Active: pointer(true)}); err != nil {
						b.Error(err)
					}
				}
				return
			}
			for n := 0; ; n++ {
				select {
				case <-changed:
					return
				default:
				}
				name := fmt.Sprint(i, "-", n)
				if _, err := receive(desks[i%2], []Inbound{wrote(name, name, noon)}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func TestAnOperatorOfNoQueueHearsNothingOfAChannel(t *testing.T) {
	onDesk(t, func(b *bench) {
		stranger := b.person("stranger", operator.RoleOperator)
		op := b.operators("op")[0]
		cursor := b.caughtUp()
		must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Language: pointer("DE_de")}))
		equal(b, "language", must(b.client().Channel.Get(ctx, b.channel.ID)).Language, "de-DE")
		b.caughtUp()
		equal(b, "events of a stranger", len(b.after(b.desk, stranger, cursor, EventFilter{})), 0)
		equal(b, "events of a member", len(b.after(b.desk, op, cursor, EventFilter{})), 1)
	})
}
