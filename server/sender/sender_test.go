package sender_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/message"
	"parley/server/audit"
	"parley/server/messenger"
	"parley/server/messenger/messengertest"
	"parley/server/store"
	"parley/server/store/storetest"
)

const messages = "/messages"

var (
	transient = messengertest.Fault{Path: messages, Code: 2, Status: http.StatusInternalServerError, Transient: true}
	lost      = messengertest.Fault{Path: messages, Mode: messengertest.HangUp, Accepted: true}
)

func times(f messengertest.Fault, n int) messengertest.Fault { f.Times = n; return f }

func TestMessagesOfAChatGoOutOnceAndInOrderWhateverHappens(t *testing.T) {
	onBoth(t, func(r *replica) {
		long := strings.Repeat("one two three. ", 300) // three parts
		r.graph.Fail(times(transient, 2))
		r.graph.Fail(lost)
		r.graph.Fail(limited(4, 1))
		r.graph.Fail(messengertest.Fault{Path: messages, Mode: messengertest.HTML, Accepted: true})
		r.graph.Fail(messengertest.Fault{Path: messages, Mode: messengertest.Truncate, Accepted: true})
		r.graph.Fail(transient)
		want := messenger.SplitText(long)
		if len(want) != 3 {
			r.Fatalf("%d parts", len(want))
		}
		all := []*ent.Message{r.says(long)}
		for i := range 5 {
			text := fmt.Sprint("short ", i)
			want, all = append(want, text), append(all, r.says(text))
		}
		last := all[len(all)-1]
		r.awaitLater("everything is sent", 100*time.Millisecond, r.is(last, message.StateSent))
		r.once(want...)
		for _, m := range all {
			if s := r.state(m); s != message.StateSent {
				r.Errorf("%.10q is %s", m.Text, s)
			}
		}
		r.settled()
		n, err := r.store.Client().Message.Query().Count(ctx)
		r.must(err)
		if n != 1+len(all) { // echoes are not messages of their own
			r.Errorf("%d messages", n)
		}
	})
}

func limited(code, minutes int) messengertest.Fault {
	f := messengertest.RateLimitFault(code, minutes)
	f.Path = messages
	return f
}

func TestAChatInTroubleHoldsUpNoOther(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.Fail(messengertest.Fault{Path: messages, Param: "ann", Code: 2, Times: -1})
		stuck := r.says("stuck")
		bob := r.page.AddPerson(messengertest.Person{ID: "bob"})
		bob.Writes("hi")
		r.settled()
		chats, err := r.store.Client().Chat.Query().All(ctx)
		r.must(err)
		for _, c := range chats {
			if c.GlobalID() != r.chat {
				r.chat = c.GlobalID()
				break
			}
		}
		_, err = r.desk.Accept(ctx, r.agent, r.chat)
		r.must(err)
		r.await("Bob has his answer", r.is(r.says("hello Bob"), message.StateSent))
		if s := r.state(stuck); s != message.StatePending {
			r.Errorf("Ann's is %s", s)
		}
	})
}

func TestALimitOfCallsIsWaitedForAsLongAsFacebookSays(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.Fail(limited(613, 10))
		m := r.says("one")
		r.await("it was refused and put off", func() bool { return r.calls() == 1 && r.due().After(r.clock.Now().Add(time.Minute)) })
		if wait := r.due().Sub(r.clock.Now()); wait != 10*time.Minute {
			r.Errorf("it waits %s", wait)
		}
		r.clock.Advance(10 * time.Minute)
		r.await("it is sent", r.is(m, message.StateSent))
		if n := r.calls(); n != 2 {
			r.Errorf("%d calls", n)
		}
	})
}

func TestWhatFacebookRefusesForGoodFailsWithItsReasonAndTheLaneGoesOn(t *testing.T) {
	onBoth(t, func(r *replica) {
		for _, c := range []struct {
			code, subcode int
			want          string
			class         messenger.Class
		}{
			{551, 1545041, "551/1545041", messenger.ClassRecipient},
			{100, 2018001, "100/2018001", messenger.ClassRecipient},
			{10, 2018278, "10/2018278", messenger.ClassWindowClosed},
			{200, 0, "200", messenger.ClassPermission},
			{100, 0, "100", messenger.ClassInvalid},
			{987654, 0, "987654", messenger.ClassInvalid},
		} {
			r.graph.Fail(messengertest.Fault{Path: messages, Code: c.code, Subcode: c.subcode})
			bad, good := r.says("bad"), r.says("good")
			r.await("the next one is sent", r.is(good, message.StateSent))
			d := r.delivery(bad)
			if r.state(bad) != message.StateFailed || d.ErrorCode != c.want || d.ErrorReason != c.class.Reason() || d.Retryable {
				r.Errorf("%d/%d: %s, %q %q, again %t", c.code, c.subcode, d.State, d.ErrorCode, d.ErrorReason, d.Retryable)
			}
		}
	})
}

func TestWhatFailsForPassingReasonsIsTriedForAboutAnHourAndMayBeTriedAgain(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.Fail(times(transient, -1))
		began := r.clock.Now()
		m := r.says("one")
		r.awaitLater("it has failed", 10*time.Second, r.is(m, message.StateFailed))
		if d := r.delivery(m); !d.Retryable || d.ErrorCode != "2" || d.ErrorReason == "" {
			r.Errorf("%q %q, again %t", d.ErrorCode, d.ErrorReason, d.Retryable)
		}
		if n := r.calls(); n != 12 {
			r.Errorf("%d calls", n)
		}
		if took := r.clock.Now().Sub(began); took < 20*time.Minute {
			r.Errorf("given up after %s", took)
		}
		r.graph.Reset()
		r.await("the next one is sent", r.is(r.says("two"), message.StateSent))
	})
}

func (r *replica) channel() *ent.Channel {
	r.Helper()
	ch, err := r.store.Client().Channel.Query().Only(ctx)
	r.must(err)
	return ch
}

func TestADeadTokenHoldsTheLaneUntilThePageIsConnectedAgain(t *testing.T) {
	for _, subcode := range []int{458, 460, 463, 467} {
		t.Run(fmt.Sprint(subcode), func(t *testing.T) {
			onBoth(t, func(r *replica) {
				before := r.channel()
				r.graph.KillToken(r.page.Token, subcode)
				one, two := r.says("one"), r.says("two")
				r.await("the channel shows it", func() bool { return r.channel().State == channel.StateReauthorizationRequired })
				if ch := r.channel(); ch.StateReason == "" || ch.ID != before.ID {
					r.Errorf("%q", ch.StateReason)
				}
				// It is looked after now and then, which is no attempt.
				for range 15 {
					mark := r.due()
					r.awaitLater("the lane is looked after", time.Minute, func() bool { return r.due().After(mark) })
				}
				if n := r.calls(); n != 1 {
					r.Errorf("%d calls with a dead token", n)
				}
				if r.state(one) != message.StatePending || r.state(two) != message.StatePending {
					r.Errorf("%s", r.deliveries())
				}
				// Receiving goes on.
				r.ann.Writes("are you there?")
				r.settled()

				r.graph.Fail(times(transient, 2)) // these are the first attempts that fail
				_, err := r.channels.ConnectPage(ctx, audit.Actor{}, r.page.NewToken(appID), false)
				r.must(err)
				r.awaitLater("both are sent", 100*time.Millisecond, r.is(two, message.StateSent))
				r.once("one", "two")
				// What an old token was told says nothing of the new one.
				r.must(r.channels.Noticed(ctx, before, &messenger.Error{Class: messenger.ClassToken}))
				if s := r.channel().State; s != channel.StateConnected {
					r.Errorf("the channel is %s again", s)
				}
			})
		})
	}
}

func TestAMessageWhoseWindowClosedWhileItWaitedIsNotSent(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.KillToken(r.page.Token, 460)
		m := r.says("too late")
		r.await("the channel shows it", func() bool { return r.channel().State == channel.StateReauthorizationRequired })
		r.clock.Advance(messenger.StandardWindow + time.Second)
		before := r.calls()
		_, err := r.channels.ConnectPage(ctx, audit.Actor{}, r.page.NewToken(appID), false)
		r.must(err)
		r.await("it has failed", r.is(m, message.StateFailed))
		if d := r.delivery(m); d.ErrorCode != "10/2018278" || d.Retryable || r.calls() != before {
			r.Errorf("%q, again %t, %d calls more", d.ErrorCode, d.Retryable, r.calls()-before)
		}
		r.ann.Writes("hello again")
		r.settled()
		r.await("the next one is sent", r.is(r.says("in time"), message.StateSent))
		r.once("in time")
	})
}

func TestATokenThatCannotBeOpenedIsAsGoodAsDead(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		first := w.replica(s, options{})
		first.meetAnn()
		first.stop()
		r := w.replica(s, options{key: otherKey})
		m := r.says("one")
		r.await("the channel shows it", func() bool { return r.channel().State == channel.StateReauthorizationRequired })
		if got := r.state(m); got != message.StatePending || r.calls() != 0 {
			r.Errorf("%s, %d calls", got, r.calls())
		}
		_, err := r.channels.ConnectPage(ctx, audit.Actor{}, r.page.Token, false)
		r.must(err)
		r.await("it is sent", r.is(m, message.StateSent))
	})
}

func TestASendWhoseAnswerIsLostWaitsForItsEchoAndIsNeverRepeated(t *testing.T) {
	for name, fault := range map[string]messengertest.Fault{
		"connection cut":   lost,
		"no answer":        {Path: messages, Mode: messengertest.Silence, Accepted: true},
		"a page of HTML":   {Path: messages, Mode: messengertest.HTML, Accepted: true},
		"half an answer":   {Path: messages, Mode: messengertest.Truncate, Accepted: true},
		"HTML with 200 OK": {Path: messages, Mode: messengertest.HTML, Status: 200, Accepted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				w := newWorld(t, s)
				o := options{}
				if fault.Mode == messengertest.Silence {
					o.timeout = time.Second
				}
				r := w.replica(s, o)
				r.meetAnn()
				r.graph.Behave(messengertest.Behaviour{Hold: true})
				r.graph.Fail(fault)
				one, two := r.says("one"), r.says("two")
				r.await("the answer is lost", r.is(one, message.StateUnconfirmed))
				if d := r.delivery(one); d.ErrorReason == "" || r.state(two) != message.StatePending {
					r.Errorf("%q, %s", d.ErrorReason, r.deliveries())
				}
				r.await("the lane waits", func() bool { return r.due().Equal(r.clock.Now().Add(30 * time.Second)) })
				r.graph.Behave(messengertest.Behaviour{})
				r.await("both are sent", func() bool { return r.is(one, message.StateSent)() && r.is(two, message.StateSent)() })
				r.once("one", "two")
				if d := r.delivery(one); d.ExternalID == nil || *d.ExternalID != r.graph.Sent()[0].MID || d.ErrorReason != "" {
					r.Errorf("%v %q", d.ExternalID, d.ErrorReason)
				}
			})
		})
	}
}

func TestWithoutAnEchoTheLaneGoesOnAfterHalfAMinuteAndALateOneStillSettles(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.Behave(messengertest.Behaviour{Hold: true})
		r.graph.Fail(lost)
		one, two := r.says("one"), r.says("two")
		r.await("the lane waits", func() bool {
			return r.state(one) == message.StateUnconfirmed && r.due().Equal(r.clock.Now().Add(30*time.Second))
		})
		r.clock.Advance(30*time.Second - time.Millisecond)
		if r.pool.Signal(); r.state(two) != message.StatePending || r.calls() != 1 {
			r.Errorf("%s", r.deliveries())
		}
		r.clock.Advance(time.Millisecond)
		r.await("the next one is sent", r.is(two, message.StateSent))
		if s := r.state(one); s != message.StateUnconfirmed {
			r.Errorf("the first is %s", s)
		}
		r.graph.Behave(messengertest.Behaviour{})
		r.await("the late echo settles it", r.is(one, message.StateSent))
		r.once("one", "two")
	})
}

func TestAnEchoMayComeBeforeTheAnswer(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.Behave(messengertest.Behaviour{EchoFirst: true})
		var all []*ent.Message
		for i := range 5 {
			all = append(all, r.says(fmt.Sprint(i)))
		}
		for _, m := range all {
			r.await("it is sent", r.is(m, message.StateSent))
		}
		r.settled()
		r.once("0", "1", "2", "3", "4")
		n, err := r.store.Client().Message.Query().Count(ctx)
		r.must(err)
		if n != 6 {
			r.Errorf("%d messages", n)
		}
		// And the answer may be lost on top of it.
		r.graph.Fail(lost)
		r.await("it is sent", r.is(r.says("5"), message.StateSent))
		r.await("the lane is free", r.is(r.says("6"), message.StateSent))
		r.once("0", "1", "2", "3", "4", "5", "6")
	})
}

func TestWhatCannotBeRecordedIsUnconfirmedAndHoldsNothingForEver(t *testing.T) {
	onBoth(t, func(r *replica) {
		r.graph.Behave(messengertest.Behaviour{Hold: true})
		heal := r.spoil()
		one, two := r.says("one"), r.says("two")
		r.await("it is unconfirmed", r.is(one, message.StateUnconfirmed))
		heal()
		r.awaitLater("the next one is sent", time.Second, r.is(two, message.StateSent))
		r.once("one", "two")
	})
}

// spoil has the database refuse that a delivery is SENT.
func (r *replica) spoil() (heal func()) {
	r.Helper()
	make, undo := []string{`CREATE TRIGGER spoilt BEFORE UPDATE ON deliveries WHEN NEW.state = 'SENT' BEGIN SELECT RAISE(ABORT, 'spoilt by the test'); END`}, `DROP TRIGGER spoilt`
	if r.store.Postgres() {
		make = []string{`CREATE FUNCTION spoil() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'spoilt by the test'; END $$ LANGUAGE plpgsql`,
			`CREATE TRIGGER spoilt BEFORE UPDATE ON deliveries FOR EACH ROW WHEN (NEW.state = 'SENT') EXECUTE FUNCTION spoil()`}
		undo = `DROP TRIGGER spoilt ON deliveries`
	}
	exec := func(statement string) {
		r.Helper()
		r.must(r.store.InTx(ctx, func(tx *store.Tx) error { _, err := tx.Exec(ctx, statement); return err }))
	}
	for _, statement := range make {
		exec(statement)
	}
	return func() { r.Helper(); exec(undo) }
}

func TestDeliveryAndReadMarksOfFacebookMoveTheReceipts(t *testing.T) {
	onBoth(t, func(r *replica) {
		m := r.says("one")
		r.await("it is sent", r.is(m, message.StateSent))
		at := r.clock.Now()
		r.settled()
		chat, err := r.store.Client().Chat.Get(ctx, r.chat.UUID)
		r.must(err)
		if chat.DeliveredUntil == nil || !chat.DeliveredUntil.Equal(at) || chat.ReadUntil != nil {
			r.Errorf("delivered %v, read %v, at %v", chat.DeliveredUntil, chat.ReadUntil, at)
		}
		r.clock.Advance(time.Minute)
		r.ann.Reads()
		r.settled()
		chat, err = r.store.Client().Chat.Get(ctx, r.chat.UUID)
		r.must(err)
		if read := at.Add(time.Minute); chat.ReadUntil == nil || !chat.ReadUntil.Equal(read) || !chat.DeliveredUntil.Equal(read) {
			r.Errorf("delivered %v, read %v, want %v", chat.DeliveredUntil, chat.ReadUntil, read)
		}
	})
}
