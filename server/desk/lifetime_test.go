package desk

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/channel"
	"parley/ent/delivery"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
)

func (b *bench) ref() ChannelRef { return ChannelRef{ID: b.channel.GlobalID()} }

// holds says whether a delivery that is in its lane waits for its channel.
func (b *bench) holds(del *ent.Delivery) bool { return must(b.desk.Outgoing(ctx, del.ID)).Holding }

func TestNothingGoesOutUnlessBothSidesOfAChannelAgree(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		chat := b.accepted("ann", op)
		del := b.deliveries(must(b.desk.Send(ctx, op, chat.GlobalID(), "hello", "")))[0]
		equal(b, "state", del.State, delivery.StatePending)
		for name, c := range map[string]struct {
			stop, goOn func() (*ent.Channel, error)
			refused    bool
		}{
			"deactivated": {
				func() (*ent.Channel, error) {
					return b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: b.ref(), Active: pointer(false)})
				},
				func() (*ent.Channel, error) {
					return b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: b.ref(), Active: pointer(true)})
				}, true,
			},
			"archived": {
				func() (*ent.Channel, error) { return b.desk.Archive(ctx, audit.Actor{}, b.ref(), true) },
				func() (*ent.Channel, error) { return b.desk.Archive(ctx, audit.Actor{}, b.ref(), false) }, true,
			},
			"archived, and connected again": {
				func() (*ent.Channel, error) { return b.desk.Archive(ctx, audit.Actor{}, b.ref(), true) },
				func() (*ent.Channel, error) { return b.connect("page"), nil }, true,
			},
			"disconnected": {
				func() (*ent.Channel, error) { return b.desk.Disconnected(ctx, audit.Actor{}, b.ref()) },
				func() (*ent.Channel, error) { return b.connect("page"), nil }, true,
			},
			"without a token": {
				func() (*ent.Channel, error) {
					seen := must(b.desk.Channel(ctx, b.ref()))
					return seen, b.desk.SetChannelState(ctx, seen, channel.StateReauthorizationRequired, "the token is dead")
				},
				func() (*ent.Channel, error) { return b.connect("page"), nil }, false, // what is written waits for the token
			},
		} {
			must(c.stop())
			equal(b, name+", what is in the lane waits", b.holds(del), true)
			_, err := b.desk.Send(ctx, op, chat.GlobalID(), "and this", "")
			equal(b, name+", a new text is refused", fault.CodeOf(err) == fault.Refused, c.refused)
			must(c.goOn())
			equal(b, name+", and it goes on", b.holds(del), false)
		}
	})
}

func TestAnArchivedChannelStoresAndRoutesNothing(t *testing.T) {
	onDesk(t, func(b *bench) {
		b.operators("op")
		archived := must(b.desk.Archive(ctx, audit.Actor{}, b.ref(), true))
		equal(b, "still active", archived.Active, true)
		waiting := b.wait("ann")
		equal(b, "queue", waiting.QueueID, nil)
		for _, of := range []struct {
			archived bool
			want     int
		}{{false, 0}, {true, 1}} {
			equal(b, "channels", len(must(b.desk.Channels(ctx, b.admin, paging.Args{}, of.archived)).Nodes), of.want)
		}
		must(b.desk.Archive(ctx, audit.Actor{}, b.ref(), false))
		equal(b, "queue", *b.newest("ann").QueueID, b.queue.ID)
	})
}

func TestAChannelWithoutAQueueRoutesNothing(t *testing.T) {
	onDesk(t, func(b *bench) {
		first := b.wait("ann")
		without := must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: b.ref(), Queue: &Queued{}}))
		equal(b, "queue of the channel", without.QueueID, nil)
		equal(b, "queue of a chat that was there", *b.chat(first.ID).QueueID, b.queue.ID)
		equal(b, "queue of a new one", b.wait("ben").QueueID, nil)
	})
}

func TestWhatThePageLostIsNotTakenForADeadToken(t *testing.T) {
	onDesk(t, func(b *bench) {
		seen := must(b.desk.Disconnected(ctx, audit.Actor{}, b.ref()))
		if err := b.desk.SetChannelState(ctx, seen, channel.StateReauthorizationRequired, "late news"); err != nil {
			b.Fatal(err)
		}
		equal(b, "state", must(b.desk.Channel(ctx, b.ref())).State, channel.StateDisconnected)
	})
}

func TestOnlyAChannelThatNeverHadAChatIsDeleted(t *testing.T) {
	onDesk(t, func(b *bench) {
		b.wait("ann")
		used := b.desk.DeleteChannel(ctx, audit.Actor{}, b.ref())
		b.refused(used, fault.Refused, "archive")
		empty := b.connect("empty")
		cursor := b.caughtUp()
		stale := ChannelRef{empty.GlobalID(), pointer(int64(7))}
		b.refused(b.desk.DeleteChannel(ctx, audit.Actor{}, stale), fault.Conflict, "version")
		if err := b.desk.DeleteChannel(ctx, audit.Actor{}, ChannelRef{ID: empty.GlobalID()}); err != nil {
			b.Fatal(err)
		}
		b.refused(b.desk.DeleteChannel(ctx, audit.Actor{}, ChannelRef{ID: empty.GlobalID()}), fault.NotFound, "channel")
		b.refused(b.desk.DeleteChannel(ctx, audit.Actor{}, ChannelRef{ID: globalid.Of("channel", uuid.New())}), fault.NotFound, "channel")
		b.caughtUp()
		heard := b.after(b.desk, b.admin, cursor, EventFilter{})
		if len(heard) != 1 || heard[0].Channel != nil || *heard[0].ChannelID != empty.ID {
			b.Errorf("%v", heard)
		}
	})
}

func TestEveryChangeOfAChannelIsInTheAuditLog(t *testing.T) {
	onDesk(t, func(b *bench) {
		by := audit.Actor{Operator: b.admin.Operator.ID}
		step := func(did auditentry.Action, before, after string, f func() (*ent.Channel, error)) {
			b.Helper()
			b.clock.Advance(time.Second)
			must(f())
			e := must(audit.Open(b.store).Entries(ctx, paging.Args{})).Nodes[0]
			said := func(text *string) string {
				if text == nil {
					return ""
				}
				return *text
			}
			if e.Action != did || e.OperatorID == nil || *e.OperatorID != b.admin.Operator.ID || e.Subject != b.channel.GlobalID().String() ||
				!strings.Contains(said(e.Before), before) || !strings.Contains(said(e.After), after) {
				b.Errorf("%s: %v", did, e)
			}
		}
		step(auditentry.ActionChannelChanged, "active: true", "active: false, language: de", func() (*ent.Channel, error) {
			return b.desk.UpdateChannel(ctx, by, ChannelChange{ChannelRef: b.ref(), Active: pointer(false), Language: pointer("de")})
		})
		step(auditentry.ActionChannelChanged, "queue: queue_", "queue: none", func() (*ent.Channel, error) {
			return b.desk.UpdateChannel(ctx, by, ChannelChange{ChannelRef: b.ref(), Queue: &Queued{}})
		})
		step(auditentry.ActionChannelArchived, "", "", func() (*ent.Channel, error) { return b.desk.Archive(ctx, by, b.ref(), true) })
		step(auditentry.ActionChannelUnarchived, "", "", func() (*ent.Channel, error) { return b.desk.Archive(ctx, by, b.ref(), false) })
		step(auditentry.ActionChannelDisconnected, "state: CONNECTED", "state: DISCONNECTED", func() (*ent.Channel, error) { return b.desk.Disconnected(ctx, by, b.ref()) })
		step(auditentry.ActionChannelConnected, "", "page", func() (*ent.Channel, error) {
			return b.desk.Connect(ctx, by, Page{ExternalID: "page", Name: "page", Token: []byte("-")})
		})
	})
}
