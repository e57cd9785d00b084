package desk

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/operator"
	"parley/ent/segment"
	"parley/server/fault"
	"parley/server/globalid"
)

func TestOfTwentyWhoAcceptAtOnceOneWinsAndTheOthersAreToldWhoAndWhen(t *testing.T) {
	onDesk(t, func(b *bench) {
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprint("op", i))
		}
		viewers := b.operators(names...)
		c := b.wait("ann")
		b.clock.Advance(time.Minute)
		desks := []*Desk{b.desk, b.replica()}
		var mu sync.Mutex
		var winner string
		var losses []error
		together(20, func(i int) {
			_, err := desks[i%2].Accept(ctx, viewers[i], c.GlobalID())
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				winner = names[i]
			} else {
				losses = append(losses, err)
			}
		})
		equal(b, "losses", len(losses), 19)
		for _, err := range losses {
			b.refused(err, fault.Conflict, winner+" has had the chat since "+b.clock.Now().Format(time.RFC3339))
		}
		b.whole()
	})
}

func TestTheLimitOfSimultaneousChatsIsNeverPassed(t *testing.T) {
	onDesk(t, func(b *bench) {
		ops := b.operators("op", "op1", "op2", "op3", "op4")
		for i := range 12 + limit*len(ops) {
			b.wait(fmt.Sprint("p", i))
		}
		desks := []*Desk{b.desk, b.replica()}
		for round, op := range ops { // the first ones only open connections
			var won atomic.Int64
			free := must(b.client().Chat.Query().Where(chat.StatusEQ(chat.StatusWaiting)).Limit(12).All(ctx))
			together(12, func(i int) {
				if _, err := desks[i%2].Accept(ctx, op, free[i].GlobalID()); err == nil {
					won.Add(1)
				} else {
					b.refused(err, fault.LimitHit, "3 chats in progress")
				}
			})
			equal(b, fmt.Sprint("accepted in round ", round), won.Load(), limit)
		}
		equal(b, "in progress", must(b.client().Chat.Query().Where(chat.StatusEQ(chat.StatusInProgress)).Count(ctx)), limit*len(ops))
		op := ops[0]
		mine := must(b.client().Chat.Query().Where(chat.OperatorID(op.id())).First(ctx))
		must(b.desk.Accept(ctx, op, mine.GlobalID())) // has it already
		must(b.desk.Complete(ctx, op, mine.GlobalID()))
		free := must(b.client().Chat.Query().Where(chat.StatusEQ(chat.StatusWaiting)).First(ctx))
		must(b.desk.Accept(ctx, op, free.GlobalID()))
		b.whole()
	})
}

func TestOfSeveralWhoCompleteAtOnceOneDoesAndTheOthersAreTold(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		b.clock.Advance(time.Minute)
		var done atomic.Int64
		together(8, func(i int) {
			if _, err := b.desk.Complete(ctx, []Viewer{op, b.admin}[i%2], c.GlobalID()); err == nil {
				done.Add(1)
			} else {
				b.refused(err, fault.Conflict, "was completed at "+b.clock.Now().Format(time.RFC3339)+", op had it")
			}
		})
		equal(b, "completed", done.Load(), 1)
		c = b.chat(c.ID)
		equal(b, "last operator", *c.OperatorID, op.id())
		_, err := b.desk.Accept(ctx, op, c.GlobalID())
		b.refused(err, fault.Conflict, "completed")
		b.whole()
	})
}

func TestWhoMayAcceptAndComplete(t *testing.T) {
	onDesk(t, func(b *bench) {
		ops := b.operators("op", "colleague")
		stranger, supervisor := b.person("stranger", operator.RoleOperator), b.person("boss", operator.RoleSupervisor)
		c := b.wait("ann")
		_, err := b.desk.Accept(ctx, stranger, c.GlobalID())
		b.refused(err, fault.NotFound, "no such chat")
		_, err = b.desk.Accept(ctx, Viewer{}, c.GlobalID())
		b.refused(err, fault.NotFound, "no such chat")
		_, err = b.desk.Accept(ctx, ops[0], globalid.Of("message", c.ID))
		b.refused(err, fault.NotFound, "no such chat")
		_, err = b.desk.Complete(ctx, ops[0], c.GlobalID())
		b.refused(err, fault.Refused, "only the operator who has the chat")
		must(b.desk.Accept(ctx, ops[0], c.GlobalID()))
		_, err = b.desk.Complete(ctx, ops[1], c.GlobalID())
		b.refused(err, fault.Refused, "only the operator who has the chat")
		must(b.desk.Complete(ctx, supervisor, c.GlobalID()))
		must(b.desk.Complete(ctx, supervisor, b.wait("ben").GlobalID())) // that nobody had
		must(b.desk.Accept(ctx, supervisor, b.wait("cid").GlobalID()))   // of a queue that is not theirs
		b.whole()
	})
}

func TestAHolderWhoLeftTheQueueReadsTheChatAndCannotTakeItAgain(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		b.members(b.queue)
		op = must(b.desk.Viewer(ctx, op.id()))
		equal(b, "seen", b.sees(op, c.GlobalID()), true)
		must(b.desk.Send(ctx, op, c.GlobalID(), "still mine", ""))
		// There is no way yet to give a chat back; make one.
		must(b.client().Chat.UpdateOneID(c.ID).SetStatus(chat.StatusWaiting).ClearOperatorID().Save(ctx))
		_, err := b.desk.Accept(ctx, op, c.GlobalID())
		b.refused(err, fault.Refused, "not a member")
	})
}

func TestSegmentsTellWhoHadTheChatAndWhy(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.wait("ann")
		b.clock.Advance(time.Minute)
		must(b.desk.Accept(ctx, op, c.GlobalID()))
		b.clock.Advance(time.Hour)
		must(b.desk.Complete(ctx, op, c.GlobalID()))
		got := must(b.client().Segment.Query().Where(segment.ChatID(c.ID)).Order(ent.Asc(segment.FieldID)).All(ctx))
		want := []struct {
			holder segment.Holder
			cause  cause
			length time.Duration
		}{{segment.HolderQueue, customerWrites, time.Minute}, {segment.HolderOperator, accepted, time.Hour}}
		for i, s := range got {
			equal(b, "holder", s.Holder, want[i].holder)
			equal(b, "cause", cause(s.Cause), want[i].cause)
			equal(b, "length", s.EndedAt.Sub(s.StartedAt), want[i].length)
			equal(b, "queue", *s.QueueID, b.queue.ID)
		}
		equal(b, "segments", len(got), 2)
	})
}

func TestUnreadIsWhatTheCustomerWroteSinceOneReadOrAnswered(t *testing.T) {
	onDesk(t, func(b *bench) {
		ops := b.operators("op", "colleague")
		c := b.accepted("ann", ops[0])
		b.wait("ann")
		unread := func(v Viewer) int {
			c := b.chat(c.ID)
			return must(b.desk.Unread(ctx, v, []*ent.Chat{c}))[c.ID]
		}
		equal(b, "at first", unread(ops[0]), 2)
		must(b.desk.MarkRead(ctx, ops[0], c.GlobalID()))
		equal(b, "read", unread(ops[0]), 0)
		equal(b, "of a colleague", unread(ops[1]), 2)
		b.wait("ann")
		equal(b, "after another", unread(ops[0]), 1)
		must(b.desk.Send(ctx, ops[0], c.GlobalID(), "answer", ""))
		equal(b, "answered", unread(ops[0]), 0)
		_, err := b.desk.MarkRead(ctx, b.person("stranger", operator.RoleOperator), c.GlobalID())
		b.refused(err, fault.NotFound, "")
	})
}
