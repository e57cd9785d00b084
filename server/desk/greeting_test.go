package desk

import (
	"strings"
	"testing"
	"time"

	"parley/ent/delivery"
	"parley/ent/message"
	"parley/ent/work"
	"parley/server/audit"
	"parley/server/fault"
)

func TestWhoOpensAChatOfALiveChannelIsGreetedOnce(t *testing.T) {
	onDesk(t, func(b *bench) {
		greet := func(text string) {
			must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Greeting: &text}))
		}
		greet(" Welcome! ")
		b.applied(wrote("ann", "1", noon), wrote("ann", "2", noon.Add(time.Second)), wrote("ben", "3", noon), wrote("ann", "1", noon))
		for _, who := range []string{"ann", "ben"} {
			c := b.newest(who)
			said := b.messages(c)
			greeting := said[1] // after what opened the chat
			if greeting.Text != "Welcome!" || greeting.AuthorKind != message.AuthorKindSystem || greeting.AuthorID != nil || *greeting.State != message.StatePending {
				b.Errorf("%s got %v", who, greeting)
			}
			parts := b.deliveries(greeting)
			equal(b, "parts", len(parts), 1)
			equal(b, "state", parts[0].State, delivery.StatePending)
			item := must(b.client().Work.Query().Where(work.Kind(WorkSend), work.Lane(Lane(c.IdentityID))).Only(ctx))
			if string(item.Payload) != string(parts[0].ID[:]) {
				b.Errorf("%s: the work is for %x", who, item.Payload)
			}
			equal(b, "unread", c.InboundCount, int64(len(said)-1))
		}
		b.whole()

		b.applied(wrote("eve", "4", noon.Add(-time.Hour-time.Second))) // it waited somewhere
		equal(b, "messages of a late one", len(b.messages(b.newest("eve"))), 1)
		greet("")
		b.applied(wrote("dan", "5", noon))
		equal(b, "messages without a greeting", len(b.messages(b.newest("dan"))), 1)
		long := strings.Repeat("я", MaxText+1)
		_, err := b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Greeting: &long})
		b.refused(err, fault.Invalid, "at most")
		greet("Welcome!")
		idle := b.connect("another page")
		must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: idle.GlobalID()}, Greeting: pointer("Hello")}))
		fay := wrote("fay", "6", noon)
		fay.Page = "another page"
		b.applied(fay)
		equal(b, "messages while the channel is not live", len(b.messages(b.newest("fay"))), 1)
	})
}
