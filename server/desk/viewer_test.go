package desk

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/chat"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/ent/segment"
	"parley/server/fault"
)

var roles = []operator.Role{
	operator.RoleAdmin, operator.RoleSupervisor, operator.RoleOperator, operator.RoleIntegrator, operator.RoleBot,
}

// What one may read and what one is told of must be the same, whoever one is.
func TestAChatIsVisibleExactlyToTheAudienceOfItsEvents(t *testing.T) {
	onDesk(t, func(b *bench) {
		var queues []uuid.UUID
		for _, name := range []string{"Q1", "Q2", "Q3"} {
			queues = append(queues, b.newQueue(name).ID)
		}
		people := b.operators("a", "b", "c", "d")
		chats := b.randomChats(queues, people)
		ids := make([]uuid.UUID, len(chats))
		for i, c := range chats {
			ids[i] = c.ID
		}
		rapid.Check(t, func(t *rapid.T) {
			v := anyViewer(t, queues, people)
			want := map[uuid.UUID]bool{}
			for _, c := range chats {
				if v.in(audienceOf(c)) {
					want[c.ID] = true
				}
			}
			got := must(b.desk.VisibleChats(ctx, v, ids, rapid.Bool().Draw(t, "edges"))).Nodes
			for _, c := range got {
				if !want[c.ID] {
					t.Fatalf("sees a chat whose events they are not told: %v", c)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("sees %d chats, is told of %d", len(got), len(want))
			}
		})
	})
}

// anyViewer is nobody, one of the people with any role and queues, or a machine,
// even one with the id of one of them.
func anyViewer(t *rapid.T, queues []uuid.UUID, people []Viewer) Viewer {
	v := Viewer{Queues: rapid.SliceOfDistinct(rapid.SampledFrom(queues), rapid.ID[uuid.UUID]).Draw(t, "queues")}
	who := rapid.IntRange(-1, len(people)-1).Draw(t, "who")
	switch {
	case who < 0:
	case rapid.Bool().Draw(t, "machine"):
		v.Machine = &Machine{
			APIClient: &ent.APIClient{ID: people[who].id(), Role: rapid.SampledFrom([]apiclient.Role{apiclient.RoleIntegrator, apiclient.RoleBot}).Draw(t, "role")},
			Scopes:    rapid.SliceOfDistinct(rapid.SampledFrom(schema.Scopes), rapid.ID[string]).Draw(t, "scopes"),
		}
	default:
		v.Operator = &ent.Operator{ID: people[who].id(), Role: rapid.SampledFrom(roles).Draw(t, "role")}
	}
	return v
}

// randomChats are of random queues and have random operators before and now.
func (b *bench) randomChats(queues []uuid.UUID, people []Viewer) (chats []*ent.Chat) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		c := b.wait("p" + string(rune('a'+i)))
		// In a few minutes, some at the same time.
		update := c.Update().ClearQueueID().SetLastMessageAt(noon.Add(time.Duration(random.IntN(20)) * 10_000_001 * time.Microsecond))
		if n := random.IntN(len(queues) + 1); n < len(queues) {
			update.SetQueueID(queues[n])
		}
		var holders []uuid.UUID
		for _, at := range random.Perm(len(people))[:random.IntN(3)] {
			holders = append(holders, people[at].id())
			must(b.client().Segment.Create().SetChatID(c.ID).SetHolder(segment.HolderOperator).SetOperatorID(people[at].id()).
				SetCause("test").SetStartedAt(noon).SetEndedAt(noon).Save(ctx))
		}
		if holders != nil {
			update.SetHolders(holders)
		}
		if random.IntN(2) == 0 {
			update.SetStatus(chat.StatusCompleted)
		}
		chats = append(chats, must(update.Save(ctx)))
	}
	return chats
}

func TestAChatsAudienceIsItsQueueAndWhoHoldsOrHeldIt(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		c := b.accepted("ann", op)
		check := func(c *ent.Chat) {
			b.Helper()
			got := audienceOf(c)
			if want := (schema.Audience{Queues: []uuid.UUID{b.queue.ID}, Operators: []uuid.UUID{op.id()}}); !slices.Equal(got.Queues, want.Queues) || !slices.Equal(got.Operators, want.Operators) {
				b.Errorf("the audience is %v", got)
			}
		}
		check(c)
		must(b.desk.Complete(ctx, op, c.GlobalID()))
		check(b.chat(c.ID))
	})
}

func TestAnAccountThatIsGoneIsNobody(t *testing.T) {
	onDesk(t, func(b *bench) {
		_, err := b.desk.Viewer(ctx, uuid.New())
		b.refused(err, fault.Unauthenticated, "")
	})
}
