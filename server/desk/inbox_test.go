package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/message"
	"parley/server/globalid"
	"parley/server/paging"
)

// The inbox is a statement by hand: what it lets through is compared with the
// predicate that every other read carries.
func TestAnInboxHasExactlyTheVisibleChatsInOrder(t *testing.T) {
	onDesk(t, func(b *bench) {
		var queues []uuid.UUID
		for _, name := range []string{"Q1", "Q2", "Q3"} {
			queues = append(queues, b.newQueue(name).ID)
		}
		people := b.operators("a", "b", "c", "d")
		b.randomChats(queues, people)
		rapid.Check(t, func(t *rapid.T) {
			v := anyViewer(t, queues, people)
			var f ChatFilter
			if rapid.Bool().Draw(t, "by status") {
				f.Status = rapid.SliceOfN(rapid.SampledFrom(allStatuses), 0, 3).Draw(t, "statuses")
			}
			if rapid.Bool().Draw(t, "by queue") {
				f.Queues = []globalid.ID{}
				for _, q := range rapid.SliceOfN(rapid.SampledFrom(queues), 0, 3).Draw(t, "asked") {
					f.Queues = append(f.Queues, globalid.Of("queue", q))
				}
			}
			if rapid.Bool().Draw(t, "by channel") { // which is not by hand
				f.Channels = []globalid.ID{globalid.Of("channel", b.channel.ID)}
			}
			want := must(b.client().Chat.Query().Where(v.visible(), f.where()).
				Order(ent.Desc(chat.FieldLastMessageAt, chat.FieldID)).IDs(ctx))
			var got []uuid.UUID
			size := rapid.IntRange(1, 7).Draw(t, "page")
			backward := rapid.Bool().Draw(t, "backward")
			for args, more := (paging.Args{}), true; more; {
				if args.First = &size; backward {
					args.First, args.Last = nil, &size
				}
				page := must(b.desk.Chats(ctx, v, args, f))
				var ids []uuid.UUID
				for _, c := range page.Nodes {
					ids = append(ids, c.ID)
				}
				switch {
				case len(ids) == 0:
					more = false
				case backward:
					got, more, args.Before = append(ids, got...), page.HasPrevious, &page.Cursors[0]
				default:
					got, more, args.After = append(got, ids...), page.HasNext, &page.Cursors[len(ids)-1]
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d chats, not %d:\n%v\n%v", len(got), len(want), got, want)
			}
		})
	})
}

func TestReadsByHandGiveWhatEntGives(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		b.accepted("ann", op)
		b.wait("ben")
		must(b.client().Chat.Update().ClearQueueID().Where(chat.StatusEQ(chat.StatusWaiting)).Save(ctx))
		page := must(b.desk.Chats(ctx, b.admin, paging.Args{}, ChatFilter{}))
		for _, got := range page.Nodes {
			want := must(b.client().Chat.Query().Where(chat.ID(got.ID)).WithContact().WithChannel().WithQueue().WithOperator().Only(ctx))
			same(b, got, want)
			same(b, must(b.desk.VisibleChats(ctx, b.admin, []uuid.UUID{got.ID}, false)).Nodes[0], want)
			same(b, got.Edges.Contact, want.Edges.Contact)
			want.Edges.Channel.Token = nil
			same(b, got.Edges.Channel, want.Edges.Channel)
			same(b, got.Edges.Queue, want.Edges.Queue)
			if want.Edges.Operator != nil {
				want.Edges.Operator.PasswordHash = ""
			}
			same(b, got.Edges.Operator, want.Edges.Operator)
			if n := must(b.desk.Unread(ctx, b.admin, []*ent.Chat{want}))[got.ID]; page.Unread[got.ID] != n {
				b.Errorf("%d unread, not %d", page.Unread[got.ID], n)
			}
			for _, m := range must(b.desk.Messages(ctx, []uuid.UUID{got.ID}, paging.Args{}))[got.ID].Nodes {
				same(b, m, must(b.client().Message.Query().Where(message.ID(m.ID)).Only(ctx)))
			}
		}
		if len(page.Nodes) != 2 {
			b.Errorf("%d chats", len(page.Nodes))
		}
		got := must(b.desk.Viewer(ctx, op.id()))
		want := must(b.client().Operator.Get(ctx, op.id()))
		want.PasswordHash = ""
		same(b, got.Operator, want)
	})
}

// same compares rows as they print: every field, but not what loaded them.
func same(b *bench, got, want fmt.Stringer) {
	b.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) { // which prints one that is nil, too
		b.Errorf("%v\n is not\n%v", got, want)
	}
}

func TestWhileListsTakeTurnsEverythingElseGoesOn(t *testing.T) {
	onDesk(t, func(b *bench) {
		b.applied(wrote("ann", "m1", noon))
		all := int64(readsAtOnce())
		b.desk.reads.TryAcquire(all)
		gone, leave := context.WithCancel(ctx)
		leave()
		if _, err := b.desk.Chats(gone, b.admin, paging.Args{}, ChatFilter{}); !errors.Is(err, context.Canceled) {
			t.Errorf("who has left still waits: %v", err)
		}
		b.applied(wrote("ann", "m2", noon))
		b.desk.reads.Release(all)
		equal(b, "chats", len(must(b.desk.Chats(ctx, b.admin, paging.Args{}, ChatFilter{})).Nodes), 1)
		equal(b, "turns given back", b.desk.reads.TryAcquire(all), true)
	})
}
