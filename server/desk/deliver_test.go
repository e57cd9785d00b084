package desk

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/delivery"
	"parley/ent/event"
	"parley/ent/message"
	"parley/ent/work"
	"parley/server/store"
)

// outgoing is a message that an operator sent to ann.
type outgoing struct {
	*bench
	id    uuid.UUID
	parts []uuid.UUID
}

func (b *bench) sent(text string) outgoing {
	op := b.operators("op")[0]
	m := must(b.desk.Send(ctx, op, b.accepted("ann", op).GlobalID(), text, ""))
	o := outgoing{b, m.ID, nil}
	for _, d := range b.deliveries(m) {
		o.parts = append(o.parts, d.ID)
	}
	return o
}

func (o outgoing) settle(part int, r Result) {
	o.Helper()
	err := o.desk.Settle(ctx, o.parts[part], r, func(context.Context, *store.Tx) error { return nil })
	if err != nil {
		o.Fatal(err)
	}
}

func (o outgoing) echo(part int, mid string, at time.Time) {
	o.Helper()
	o.applied(echoed("ann", mid, at, o.parts[part].String()))
}

// is checks the message, and that nothing else was stored for it.
func (o outgoing) is(state message.State, providerAt time.Time) {
	o.Helper()
	m := o.message(o.id)
	equal(o.bench, "state", *m.State, state)
	if m.ProviderAt == nil && !providerAt.IsZero() || m.ProviderAt != nil && !m.ProviderAt.Equal(providerAt) {
		o.Errorf("it left at %v, not %v", m.ProviderAt, providerAt)
	}
	equal(o.bench, "messages", must(o.client().Message.Query().Where(message.DirectionEQ(message.DirectionOutbound)).Count(ctx)), 1)
}

func sentAs(mid string) Result { return Result{State: delivery.StateSent, ExternalID: mid} }

func TestAMessageIsAsFarAsItsLeastAdvancedPart(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("a|b|c")
		failed := Result{State: delivery.StateFailed, ErrorCode: "100", Reason: "why", Retryable: true}
		for _, step := range []struct {
			part int
			r    Result
			want message.State
		}{
			{0, sentAs("m0"), message.StatePending},
			{1, Result{State: delivery.StateUnconfirmed}, message.StateUnconfirmed},
			{2, failed, message.StateFailed},
			{1, sentAs("m1"), message.StateFailed},
			{2, sentAs("m2"), message.StateSent},
			{2, failed, message.StateSent}, // what was sent is not taken back
		} {
			b.clock.Advance(time.Second)
			events := must(b.client().Event.Query().Where(event.KindEQ(event.KindMessageUpdated)).Count(ctx))
			version := b.message(o.id).Version
			o.settle(step.part, step.r)
			equal(b, "state", *b.message(o.id).State, step.want)
			if step.part != 2 || step.r.State == delivery.StateSent {
				equal(b, "version", b.message(o.id).Version, version+1)
				equal(b, "events", must(b.client().Event.Query().Where(event.KindEQ(event.KindMessageUpdated)).Count(ctx)), events+1)
			}
		}
		o.is(message.StateSent, noon.Add(5*time.Second))
		last := b.deliveries(b.message(o.id))[2]
		equal(b, "error of a part that was sent after all", last.ErrorCode+last.ErrorReason, "")
	})
}

func TestTheEchoOfOursComesBeforeTheAnswer(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("hello")
		o.echo(0, "m", noon.Add(time.Second))
		o.is(message.StateSent, noon.Add(time.Second))
		b.clock.Advance(time.Minute)
		o.settle(0, sentAs("m"))
		o.is(message.StateSent, noon.Add(time.Second))
		o.echo(0, "m", noon.Add(time.Second))
		o.is(message.StateSent, noon.Add(time.Second))
	})
}

func TestTheEchoOfOursComesInsteadOfTheAnswer(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("hello")
		o.settle(0, Result{State: delivery.StateUnconfirmed, Reason: "lost"})
		o.is(message.StateUnconfirmed, time.Time{})
		must(b.client().Work.Update().Where(work.Kind(WorkSend)).SetRunAt(noon.Add(30 * time.Second)).Save(ctx))
		o.echo(0, "m", noon.Add(time.Second))
		o.is(message.StateSent, noon.Add(time.Second))
		held := must(b.client().Work.Query().Where(work.Kind(WorkSend)).Only(ctx))
		if held.RunAt.After(b.clock.Now()) {
			b.Error("the lane still waits for the echo")
		}
	})
}

func TestTheEchoOfOursComesAfterTheAnswerAndKnowsTheTimeBetter(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("a|b")
		b.clock.Advance(time.Minute) // ours is ahead
		o.settle(0, sentAs("m0"))
		o.settle(1, sentAs("m1"))
		o.is(message.StateSent, noon.Add(time.Minute))
		o.echo(1, "m1", noon.Add(2*time.Second))
		o.applied(echoed("ann", "m0", noon.Add(time.Second), "")) // known by its id alone
		o.is(message.StateSent, noon.Add(2*time.Second))          // when the last part left
	})
}

func TestWhatOthersWriteInThePagesNameIsKeptAndOpensNothing(t *testing.T) {
	onDesk(t, func(b *bench) {
		c := b.wait("ann")
		e := echoed("ann", "e", noon.Add(time.Second), "metadata of another app")
		e.Message.AppID = "4711"
		b.applied(e, e)
		b.applied(e)
		got := b.messages(c)
		equal(b, "messages", len(got), 2)
		equal(b, "author", got[1].AuthorKind, message.AuthorKindExternal)
		equal(b, "app", got[1].AppID, "4711")
		equal(b, "direction", got[1].Direction, message.DirectionOutbound)
		equal(b, "state", *got[1].State, message.StateSent)
		equal(b, "counted as the customer's", b.chat(c.ID).InboundCount, 1)
		must(b.desk.Complete(ctx, b.admin, c.GlobalID()))
		b.applied(echoed("ann", "later", noon.Add(time.Minute), ""))
		equal(b, "in the last chat", len(b.messages(c)), 3)
		equal(b, "chats", len(b.chats("ann")), 1)
	})
}

func TestASettlementAndWhatBelongsToItHappenTogether(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("hello")
		stop := errors.New("lease lost")
		err := b.desk.Settle(ctx, o.parts[0], sentAs("m"), func(context.Context, *store.Tx) error { return stop })
		if !errors.Is(err, stop) {
			b.Error(err)
		}
		o.is(message.StatePending, time.Time{})
	})
}

func TestAChannelThatMayNotSendHoldsItsLanes(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("hello")
		out := must(b.desk.Outgoing(ctx, o.parts[0]))
		equal(b, "person", out.Person, "ann")
		equal(b, "holding", out.Holding, false)
		if err := b.desk.SetChannelState(ctx, b.channel, channel.StateReauthorizationRequired, "token"); err != nil {
			b.Fatal(err)
		}
		equal(b, "holding", must(b.desk.Outgoing(ctx, o.parts[0])).Holding, true)
		must(b.client().Work.Update().Where(work.Kind(WorkSend)).SetRunAt(noon.Add(time.Hour)).Save(ctx))
		b.connect("page")
		equal(b, "holding", must(b.desk.Outgoing(ctx, o.parts[0])).Holding, false)
		if held := must(b.client().Work.Query().Where(work.Kind(WorkSend)).Only(ctx)); held.RunAt.After(b.clock.Now()) {
			b.Error("the lane still waits for the channel")
		}
	})
}

func TestAnAnswerToAMessageIsFoundWhoeverSentIt(t *testing.T) {
	onDesk(t, func(b *bench) {
		o := b.sent("a|b")
		o.settle(0, sentAs("m0"))
		for mid, want := range map[string]string{"m0": "a|b", "theirs": "theirs", "unknown": ""} {
			b.applied(wrote("ann", "theirs", noon))
			in := wrote("ann", "reply to "+mid, noon)
			in.Message.ReplyTo = mid
			b.applied(in)
			reply := must(b.client().Message.Query().Where(message.ExternalID("reply to " + mid)).Only(ctx))
			got := ""
			if to := must(b.desk.RepliedTo(ctx, []*ent.Message{reply}))[reply]; to != nil {
				got = to.Text
			}
			equal(b, "answered", got, want)
		}
	})
}
