package desk

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/work"
	"parley/server/audit"
	"parley/server/fault"
)

// sends are the ids of the deliveries in a person's lane, in order.
func (b *bench) sends(person string) (ids []string) {
	b.Helper()
	lane := Lane(b.newest(person).IdentityID)
	for _, w := range must(b.client().Work.Query().Where(work.Kind(WorkSend), work.Lane(lane)).Order(work.ByID()).All(ctx)) {
		ids = append(ids, uuid.UUID(w.Payload).String())
	}
	return ids
}

func TestATextGoesOutInItsPartsAndInOrder(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		var want, texts []string
		for _, text := range []string{"one", "two|three|four", "five|six"} {
			m := must(b.desk.Send(ctx, op, c.GlobalID(), "  "+text+"\n", ""))
			equal(b, "text", m.Text, text)
			equal(b, "state", *m.State, message.StatePending)
			for i, d := range b.deliveries(m) {
				equal(b, "position", d.Position, i)
				want, texts = append(want, d.ID.String()), append(texts, d.Text)
			}
		}
		equal(b, "parts", strings.Join(texts, " "), "one two| three| four five| six")
		if got := b.sends("ann"); !slices.Equal(got, want) {
			b.Errorf("queued are %v, not %v", got, want)
		}
	})
}

func TestAnAnswerStandsAfterWhatItAnswersEvenIfTheProvidersClockIsAhead(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		b.applied(wrote("ann", "question", noon.Add(time.Minute)))
		c := must(b.desk.Accept(ctx, op, b.newest("ann").GlobalID()))
		for _, text := range []string{"a", "b", "c"} {
			must(b.desk.Send(ctx, op, c.GlobalID(), text, ""))
		}
		equal(b, "order", strings.Join(b.texts(c), " "), "question a b c")
		equal(b, "newest", b.message(*b.chat(c.ID).LastMessageID).Text, "c")
	})
}

func TestWhatMayNotBeSentIsRefusedAndLeavesNothing(t *testing.T) {
	onDesk(t, func(b *bench) {
		ops := b.operators("op", "colleague")
		waiting, c := b.wait("ben"), b.accepted("ann", ops[0])
		refused := func(v Viewer, on string, text string, code fault.Code, word string) {
			b.Helper()
			_, err := b.desk.Send(ctx, v, b.newest(on).GlobalID(), text, "key")
			b.refused(err, code, word)
		}
		for _, text := range []string{"", " \n\t", "\x00", "\x00 \x00", strings.Repeat("я", MaxText+1)} {
			refused(ops[0], "ann", text, fault.Invalid, "1 to 20000 characters")
		}
		refused(ops[0], "ben", "hello", fault.Refused, "accept it first")
		refused(ops[1], "ann", "hello", fault.Refused, "accept it first")
		refused(b.admin, "ann", "hello", fault.Refused, "accept it first")
		refused(b.person("stranger", operator.RoleOperator), "ann", "hello", fault.NotFound, "")
		must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Active: pointer(false)}))
		refused(ops[0], "ann", "hello", fault.Refused, "not active")
		b.activate(b.channel, b.queue)

		b.clock.Advance(24 * time.Hour)
		must(b.desk.Send(ctx, ops[0], c.GlobalID(), "in the last moment", ""))
		b.clock.Advance(time.Microsecond)
		refused(ops[0], "ann", "hello", fault.Refused, "reply window")
		b.applied(wrote("ann", "more", b.clock.Now()))
		must(b.desk.Send(ctx, ops[0], c.GlobalID(), "open again", "key"))
		must(b.desk.Complete(ctx, ops[0], c.GlobalID()))
		refused(ops[0], "ann", "hello", fault.KeyReused, "") // the key's first use has to be seen even now
		_, err := b.desk.Send(ctx, ops[0], c.GlobalID(), "hello", "")
		b.refused(err, fault.Refused, "accept it first")
		equal(b, "sent", len(b.sends("ann")), 2)
		equal(b, "others", len(b.messages(waiting)), 1)
	})
}

func TestATextIsStoredAsBothDatabasesTakeIt(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		m := must(b.desk.Send(ctx, op, c.GlobalID(), "a\x00b\xffc", ""))
		equal(b, "text", m.Text, "ab�c")
		long := strings.Repeat("я", MaxText)
		equal(b, "longest", must(b.desk.Send(ctx, op, c.GlobalID(), long, "")).Text, long)
	})
}

func TestAKeyThatIsRepeatedSendsOnce(t *testing.T) {
	onDesk(t, func(b *bench) {
		ops := b.operators("op", "other")
		c := b.accepted("ann", ops[0])
		first := must(b.desk.Send(ctx, ops[0], c.GlobalID(), "hello", "key"))
		equal(b, "again", must(b.desk.Send(ctx, ops[0], c.GlobalID(), " hello ", "key")).ID, first.ID)
		_, err := b.desk.Send(ctx, ops[0], c.GlobalID(), "hello!", "key")
		b.refused(err, fault.KeyReused, "another input")
		for _, key := range []string{strings.Repeat("k", 201), "\x00", "\xff"} {
			_, err = b.desk.Send(ctx, ops[0], c.GlobalID(), "hello", key)
			b.refused(err, fault.Invalid, "a key is")
		}
		d := b.accepted("ben", ops[1])
		other := must(b.desk.Send(ctx, ops[1], d.GlobalID(), "hello", "key")) // another's key is another key
		equal(b, "another's", other.ChatID, d.ID)
		must(b.desk.Complete(ctx, ops[0], c.GlobalID()))
		equal(b, "after completion", must(b.desk.Send(ctx, ops[0], c.GlobalID(), "hello", "key")).ID, first.ID)
		equal(b, "sent", len(b.sends("ann")), 1)

		b.clock.Advance(25 * time.Hour)
		if err := b.desk.Prune(ctx, 7*24*time.Hour); err != nil {
			b.Fatal(err)
		}
		equal(b, "keys after a day", must(b.client().IdempotencyKey.Query().Count(ctx)), 0)
	})
}

func TestAKeyThatIsRepeatedAtTheSameTimeSendsOnce(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		desks := []*Desk{b.desk, b.replica()}
		var mu sync.Mutex
		ids := map[uuid.UUID]bool{}
		together(12, func(i int) {
			m, err := desks[i%2].Send(ctx, op, c.GlobalID(), "hello", "key")
			if err != nil {
				b.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[m.ID] = true
		})
		equal(b, "messages", len(ids), 1)
		equal(b, "sent", len(b.sends("ann")), 1)
	})
}
