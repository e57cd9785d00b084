package desk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"parley/ent"
	"parley/ent/event"
	"parley/ent/operator"
	"parley/server/globalid"
)

// caughtUp waits until the desk has read all events, and gives their cursor.
func (b *bench) caughtUp() string { return b.readAll(b.desk) }

func (b *bench) readAll(d *Desk) string {
	b.Helper()
	var last int64
	if err := b.store.DB.QueryRow("SELECT COALESCE(MAX(id), 0) FROM events").Scan(&last); err != nil {
		b.Fatal(err)
	}
	if err := d.events.Wait(b.patient(), last-1); err != nil {
		b.Fatal(err)
	}
	return d.events.Cursor(last)
}

// after are the events that a viewer sees from a cursor on to the end.
func (b *bench) after(d *Desk, v Viewer, cursor string, f EventFilter) (events []Event) {
	b.Helper()
	for feed := must(d.Feed(ctx, v, &cursor, f)); ; {
		u := b.next(feed)
		if u.CaughtUp {
			return events
		}
		events = append(events, u.Events...)
	}
}

func (b *bench) next(f *Feed) Update {
	b.Helper()
	u, err := f.Next(b.patient())
	if err != nil {
		b.Fatalf("the stream has no next step: %v", err)
	}
	return u
}

// one is the next step, which has to be one event.
func (b *bench) one(f *Feed) Event {
	b.Helper()
	u := b.next(f)
	if len(u.Events) != 1 {
		b.Fatalf("the next step is %+v", u)
	}
	return u.Events[0]
}

// follow is a stream that has caught up with now.
func (b *bench) follow(v Viewer, f EventFilter) *Feed {
	b.Helper()
	feed := must(b.desk.Feed(ctx, v, pointer(b.caughtUp()), f))
	if u := b.next(feed); !u.CaughtUp {
		b.Fatalf("the stream begins with %+v", u)
	}
	return feed
}

// move gives a chat to another queue, as a transfer will.
func (b *bench) move(c *ent.Chat, to *ent.Queue) *ent.Chat {
	b.Helper()
	var moved *ent.Chat
	err := b.desk.write(ctx, func(ch *change) (err error) {
		before := audienceOf(c)
		if moved, err = ch.Chat.UpdateOneID(c.ID).SetQueueID(to.ID).AddVersion(1).Save(ctx); err == nil {
			ch.chatEvent(event.KindChatUpdated, moved, nil, &before, nil)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return moved
}

func kinds(events []Event) string {
	var list []string
	for _, e := range events {
		kind := string(e.Kind)
		if e.Removed {
			kind = "REMOVED"
		}
		list = append(list, kind)
	}
	return strings.Join(list, " ")
}

func TestAStreamTellsWhatHappensInAChat(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		feed := b.follow(op, EventFilter{})
		c := b.wait("ann")
		u := b.next(feed)
		equal(b, "events", kinds(u.Events), "CHAT_OPENED MESSAGE_ADDED")
		equal(b, "contact", u.Events[0].Chat.Edges.Contact.Name, "Guest ann")
		equal(b, "message", u.Events[1].Message.ChatID, c.ID)
		equal(b, "chat of the message", u.Events[1].Message.Edges.Chat.ID, c.ID)
		equal(b, "cursor", u.Cursor, u.Events[1].Cursor)
		must(b.desk.Accept(ctx, op, c.GlobalID()))
		accepted := b.one(feed)
		equal(b, "kind", accepted.Kind, event.KindChatUpdated)
		equal(b, "operator", accepted.Chat.Edges.Operator.Name, "op")
		must(b.desk.Send(ctx, op, c.GlobalID(), "hello", ""))
		equal(b, "kind", b.one(feed).Message.Text, "hello")
		must(b.desk.Complete(ctx, op, c.GlobalID()))
		equal(b, "kind", b.one(feed).Facts["cause"], string(completed))
		must(b.desk.SetState(ctx, op, operator.StateOnline, ""))
		equal(b, "kind", b.one(feed).Operator.State, operator.StateOnline)
	})
}

func TestAnOperatorOfAnotherQueueSeesNothing(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		stranger := b.person("stranger", operator.RoleOperator)
		b.members(b.newQueue("Other"), stranger.Operator.GlobalID())
		stranger = must(b.desk.Viewer(ctx, stranger.id()))
		integrator := Viewer{Operator: must(b.client().Operator.Create().SetEmail("i@x").SetName("I").SetPasswordHash("-").
			SetRole(operator.RoleIntegrator).SetCreatedAt(noon).Save(ctx))}
		cursor := b.caughtUp()
		c := b.accepted("ann", op)
		must(b.desk.Send(ctx, op, c.GlobalID(), "hello", ""))
		must(b.desk.Complete(ctx, op, c.GlobalID()))
		must(b.desk.SetState(ctx, op, operator.StateOnline, ""))
		b.caughtUp()
		equal(b, "stranger", kinds(b.after(b.desk, stranger, cursor, EventFilter{})), "")
		equal(b, "nobody", kinds(b.after(b.desk, Viewer{Operator: &ent.Operator{ID: uuid.New()}}, cursor, EventFilter{})), "")
		equal(b, "integrator", kinds(b.after(b.desk, integrator, cursor, EventFilter{})), "OPERATOR_UPDATED")
		equal(b, "administrator", len(b.after(b.desk, b.admin, cursor, EventFilter{})), 6)
	})
}

func TestWhoHeldAChatGoesOnReadingIt(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		must(b.desk.Complete(ctx, op, c.GlobalID()))
		b.members(b.queue)
		b.caughtUp()
		feed := b.follow(must(b.desk.Viewer(ctx, op.id())), EventFilter{})
		b.applied(wrote("ann", "late", c.OpenedAt))
		equal(b, "late message", b.one(feed).Message.Text, "late")
		c = b.move(b.chat(c.ID), b.newQueue("Other"))
		e := b.one(feed)
		equal(b, "moved", kinds([]Event{e}), "CHAT_UPDATED")
		b.wait("ben") // what they never held is not theirs
		b.applied(wrote("ann", "later", c.OpenedAt))
		equal(b, "next", b.one(feed).Message.Text, "later")
	})
}

func TestWhoLosesAChatSeesItsRemovalLiveAndOnReplay(t *testing.T) {
	onDesk(t, func(b *bench) {
		other := b.newQueue("Other")
		ops := b.operators("old", "new")
		b.members(b.queue, ops[0].Operator.GlobalID())
		b.members(other, ops[1].Operator.GlobalID())
		for i := range ops {
			ops[i] = must(b.desk.Viewer(ctx, ops[i].id()))
		}
		start := b.caughtUp()
		c := b.wait("ann")
		feeds := []*Feed{b.follow(ops[0], EventFilter{}), b.follow(ops[1], EventFilter{}), b.follow(b.admin, EventFilter{})}
		b.move(c, other)
		for i, want := range []string{"REMOVED", "CHAT_OPENED", "CHAT_UPDATED"} {
			e := b.one(feeds[i])
			equal(b, "live", kinds([]Event{e}), want)
			equal(b, "chat", *e.ChatID, c.ID)
		}
		b.wait("ann") // is theirs no more
		b.caughtUp()
		late := b.replica() // has all to read from the database, where the chat is as it is now
		for i, want := range []string{"REMOVED", "CHAT_OPENED MESSAGE_ADDED", "CHAT_OPENED MESSAGE_ADDED CHAT_UPDATED MESSAGE_ADDED"} {
			v := []Viewer{ops[0], ops[1], b.admin}[i]
			b.readAll(late)
			equal(b, "on replay", kinds(b.after(late, v, start, EventFilter{})), want)
		}
	})
}

func TestAStreamSaysWhyEventsMayBeMissing(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		b.wait("ann")
		old := b.desk.events.Cursor(1)
		b.caughtUp()
		unknown := must(b.desk.Feed(ctx, op, pointer("garbage"), EventFilter{}))
		equal(b, "reason", b.next(unknown).Resync, UnknownCursor)
		equal(b, "then", b.next(unknown).CaughtUp, true)
		page := must(must(b.desk.Feed(ctx, op, pointer("garbage"), EventFilter{})).Page(ctx, 10))
		equal(b, "by query", page.Resync, UnknownCursor)

		b.clock.Advance(8 * 24 * time.Hour)
		b.wait("ben")
		if err := b.desk.Prune(ctx, 7*24*time.Hour); err != nil {
			b.Fatal(err)
		}
		late := b.replica()
		now := b.readAll(late)
		trimmed := must(late.Feed(ctx, op, &old, EventFilter{}))
		u := b.next(trimmed)
		equal(b, "reason", u.Resync, HistoryTrimmed)
		equal(b, "go on from", u.Cursor, now)
		equal(b, "then", b.next(trimmed).CaughtUp, true)
	})
}

func TestAChangeOfRightsIsAStepOfItsOwnAndTakesEffectThere(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.person("op", operator.RoleOperator)
		feed := b.follow(op, EventFilter{})
		b.wait("before")
		b.members(b.queue, op.Operator.GlobalID())
		equal(b, "reason", b.next(feed).Resync, RightsChanged)
		b.wait("while")
		equal(b, "events", kinds(b.next(feed).Events), "CHAT_OPENED MESSAGE_ADDED")
		b.members(b.queue)
		b.wait("after")
		equal(b, "reason", b.next(feed).Resync, RightsChanged)
		must(b.desk.SetState(ctx, op, operator.StateOnline, ""))
		equal(b, "next", b.one(feed).Kind, event.KindOperatorUpdated)
	})
}

// A viewer is loaded before their stream is opened; what changes in between
// counts.
func TestAStreamFromNowHasTheRightsOfNow(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		b.members(b.queue)
		b.caughtUp()
		for name, feed := range map[string]*Feed{
			"without a cursor":       must(b.desk.Feed(ctx, op, nil, EventFilter{})),
			"with an unknown cursor": must(b.desk.Feed(ctx, op, pointer("garbage"), EventFilter{})),
		} {
			b.wait("ann")
			b.caughtUp()
			for range 2 {
				if u := b.next(feed); len(u.Events) > 0 {
					b.Errorf("%s: sees %s", name, kinds(u.Events))
				}
				if feed.caughtUp {
					break
				}
			}
		}
	})
}

func TestAPageThatStopsAtAChangeOfRightsIsNotTheLast(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		cursor := b.caughtUp()
		b.wait("ann")
		b.members(b.queue)
		b.caughtUp()
		feed := must(b.desk.Feed(ctx, must(b.desk.Viewer(ctx, op.id())), &cursor, EventFilter{}))
		must(b.desk.SetState(ctx, op, operator.StateOnline, ""))
		b.caughtUp()
		feed.viewer = op // as before the change
		first := must(feed.Page(ctx, 100))
		equal(b, "events", kinds(first.Events), "CHAT_OPENED MESSAGE_ADDED")
		equal(b, "caught up", first.CaughtUp, false)
		equal(b, "second", must(feed.Page(ctx, 100)).Resync, RightsChanged)
		last := must(feed.Page(ctx, 100))
		equal(b, "third", kinds(last.Events), "OPERATOR_UPDATED")
		equal(b, "caught up", last.CaughtUp, true)
	})
}

func TestAFilterNarrowsAStream(t *testing.T) {
	onDesk(t, func(b *bench) {
		other := b.newQueue("Other")
		b.live("second", other)
		cursor := b.caughtUp()
		ann := b.wait("ann")
		in := wrote("ben", "ben", noon)
		in.Page = "second"
		b.applied(in)
		ben := b.newest("ben")
		b.move(ann, other)
		must(b.desk.SetState(ctx, b.admin, operator.StateOnline, ""))
		b.caughtUp()
		ids := func(list ...globalid.ID) []globalid.ID { return list }
		for name, step := range map[string]struct {
			f    EventFilter
			want int
		}{
			"none":            {EventFilter{}, 6},
			"chat":            {EventFilter{Chats: ids(ann.GlobalID())}, 3},
			"other chat":      {EventFilter{Chats: ids(ben.GlobalID())}, 2},
			"no chats":        {EventFilter{Chats: []globalid.ID{}}, 0},
			"channel":         {EventFilter{Channels: ids(b.channel.GlobalID())}, 3},
			"queue it left":   {EventFilter{Queues: ids(b.queue.GlobalID())}, 3},
			"queue it is in":  {EventFilter{Queues: ids(other.GlobalID())}, 3},
			"both":            {EventFilter{Queues: ids(other.GlobalID()), Chats: ids(ben.GlobalID())}, 2},
			"contradictory":   {EventFilter{Queues: ids(b.queue.GlobalID()), Chats: ids(ben.GlobalID())}, 0},
			"several chats":   {EventFilter{Chats: ids(ann.GlobalID(), ben.GlobalID())}, 5},
			"queue and chans": {EventFilter{Queues: ids(other.GlobalID()), Channels: ids(b.channel.GlobalID())}, 1},
		} {
			equal(b, name, len(b.after(b.desk, b.admin, cursor, step.f)), step.want)
		}
	})
}

// steps are a stream as text: what each step says, and the cursors.
func steps(events []string, u Update) []string {
	if u.Resync != "" {
		return append(events, string(u.Resync)+" "+u.Cursor)
	}
	for _, e := range u.Events {
		events = append(events, fmt.Sprint(e.Kind, e.Removed, e.ChatID, e.MessageID, " ", e.Cursor))
	}
	return events
}

func TestAStreamFromACursorOrByPagesIsTheRestOfTheWholeStream(t *testing.T) {
	onDesk(t, func(b *bench) {
		viewers := b.history()
		late := b.replica() // reads from the database what the other has in memory
		b.caughtUp()
		last := b.readAll(late)
		end := must(b.desk.events.Position(ctx, last))
		rapid.Check(t, func(t *rapid.T) {
			d := rapid.SampledFrom([]*Desk{b.desk, late}).Draw(t, "desk")
			v := rapid.SampledFrom(viewers).Draw(t, "viewer")
			open := func(position int64) *Feed {
				return must(d.Feed(ctx, v, pointer(d.events.Cursor(position)), EventFilter{}))
			}
			var whole []string
			var positions []int64 // where each step of the whole stream leaves off
			for feed := open(0); ; {
				u := b.next(feed)
				if u.CaughtUp {
					break
				}
				n := len(whole)
				whole = steps(whole, u)
				for i := n; i < len(whole); i++ {
					at := feed.position
					if u.Resync == "" {
						at = u.Events[i-n].ID
					}
					positions = append(positions, at)
				}
			}
			from := rapid.Int64Range(0, end).Draw(t, "from")
			skip := 0
			for skip < len(positions) && positions[skip] <= from {
				skip++
			}
			var streamed, paged []string
			for feed := open(from); ; {
				u := b.next(feed)
				if u.CaughtUp {
					break
				}
				streamed = steps(streamed, u)
			}
			for cursor := d.events.Cursor(from); ; { // a feed for each page, as a query has it
				feed := must(d.Feed(ctx, v, &cursor, EventFilter{}))
				u := must(feed.Page(ctx, rapid.IntRange(1, 20).Draw(t, "limit")))
				paged, cursor = steps(paged, u), u.Cursor
				if u.CaughtUp {
					break
				}
			}
			if !slices.Equal(streamed, whole[skip:]) {
				t.Fatalf("from %d: %v\nwhole: %v", from, streamed, whole)
			}
			if !slices.Equal(paged, whole[skip:]) {
				t.Fatalf("by pages from %d: %v\nwhole: %v", from, paged, whole)
			}
		})
	})
}

// history is a random one; its viewers are as they are at the end.
func (b *bench) history() []Viewer {
	random := rand.New(rand.NewPCG(3, 4))
	queues := []*ent.Queue{b.queue, b.newQueue("Other")}
	people := append(b.operators("a", "b", "c"), b.admin)
	for i := range 150 {
		v := people[random.IntN(3)]
		person := fmt.Sprint("p", random.IntN(4))
		all := b.chats(person)
		if len(all) == 0 {
			b.wait(person)
			continue
		}
		c := all[len(all)-1]
		switch random.IntN(7) {
		case 0, 1:
			b.wait(person)
		case 2:
			v = must(b.desk.Viewer(ctx, v.id()))
			_, _ = b.desk.Accept(ctx, v, c.GlobalID())
		case 3:
			_, _ = b.desk.Complete(ctx, b.admin, c.GlobalID())
		case 4:
			b.move(c, queues[random.IntN(2)])
		case 5:
			var ids []globalid.ID
			for _, v := range people[:3] {
				if random.IntN(2) == 0 {
					ids = append(ids, v.Operator.GlobalID())
				}
			}
			b.members(queues[random.IntN(2)], ids...)
		case 6:
			b.applied(receipt(Read, person, noon.Add(time.Duration(i)*time.Second)))
		}
		b.clock.Advance(time.Second)
	}
	for i, v := range people {
		people[i] = must(b.desk.Viewer(ctx, v.id()))
	}
	return people
}

func TestASubscriberWhoseEventsAreRareIsMovedOn(t *testing.T) {
	onDesk(t, func(b *bench) {
		stranger := b.person("stranger", operator.RoleOperator)
		start := b.caughtUp()
		feed := must(b.desk.Feed(ctx, stranger, &start, EventFilter{}))
		err := b.desk.write(ctx, func(c *change) error {
			for range quietBatch + 1 {
				c.channelEvent(b.channel)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.caughtUp()
		u := b.next(feed)
		if len(u.Events) != 0 || u.CaughtUp || u.Cursor == start {
			b.Errorf("the next step is %+v", u)
		}
		equal(b, "then", b.next(feed).CaughtUp, true)
	})
}
