package desk

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/operator"
	"parley/ent/segment"
	"parley/server/fault"
)

// life is what a chat should be.
type life struct {
	status   chat.Status
	operator uuid.UUID
	holders  []uuid.UUID
	inbound  int64
}

// world is what two people's chats should be, oldest first, beside what they
// are.
type world struct {
	*bench
	people  []string
	viewers []Viewer // two members of the queue, somebody else, a supervisor
	chats   map[string][]*life
	seen    map[uuid.UUID]*ent.Chat
	n       int
}

func TestRandomLivesOfChatsKeepTheirRules(t *testing.T) {
	onDesk(t, func(b *bench) {
		viewers := append(b.operators("a", "b"), b.person("stranger", operator.RoleOperator), b.person("boss", operator.RoleSupervisor))
		turn := 0
		rapid.Check(t, func(t *rapid.T) {
			turn++
			w := &world{bench: b, viewers: viewers, chats: map[string][]*life{}, seen: map[uuid.UUID]*ent.Chat{}}
			for i := range 5 {
				w.people = append(w.people, fmt.Sprint("person", turn, "-", i))
			}
			t.Repeat(map[string]func(*rapid.T){
				"write":    w.writes,
				"late":     w.writesLate,
				"read":     w.reads,
				"accept":   func(t *rapid.T) { w.try(t, w.accept) },
				"complete": func(t *rapid.T) { w.try(t, w.complete) },
				"send":     func(t *rapid.T) { w.try(t, w.send) },
				"":         w.check,
			})
			for person, lives := range w.chats { // so that the next world starts without load
				for i, l := range lives {
					if l.status != chat.StatusCompleted {
						must(b.desk.Complete(ctx, b.admin, b.chats(person)[i].GlobalID()))
					}
				}
			}
		})
	})
}

func (w *world) mid() string { w.n++; return fmt.Sprint(w.people[0], "-m", w.n) }

func (w *world) writes(t *rapid.T) {
	person := rapid.SampledFrom(w.people).Draw(t, "person")
	w.clock.Advance(time.Second)
	w.applied(wrote(person, w.mid(), w.clock.Now()))
	lives := w.chats[person]
	if len(lives) == 0 || lives[len(lives)-1].status == chat.StatusCompleted {
		lives = append(lives, &life{status: chat.StatusWaiting})
		w.chats[person] = lives
	}
	lives[len(lives)-1].inbound++
}

// writesLate brings a message of the time when a chat opened.
func (w *world) writesLate(t *rapid.T) {
	l, real := w.pick(t)
	if l == nil {
		return
	}
	who := must(real.QueryIdentity().Only(ctx))
	w.applied(wrote(who.ExternalID, w.mid(), real.OpenedAt))
	l.inbound++
}

func (w *world) reads(t *rapid.T) {
	person := rapid.SampledFrom(w.people).Draw(t, "person")
	w.receive(receipt(Read, person, w.clock.Now()))
}

// pick is any chat that is there, or nothing.
func (w *world) pick(t *rapid.T) (*life, *ent.Chat) {
	person := rapid.SampledFrom(w.people).Draw(t, "person")
	lives := w.chats[person]
	if len(lives) == 0 {
		return nil, nil
	}
	i := max(0, len(lives)-1-rapid.IntRange(0, 2).Draw(t, "back"))
	return lives[i], w.bench.chats(person)[i]
}

// try does something that may be refused, and checks whether it should be.
func (w *world) try(t *rapid.T, do func(Viewer, *life, *ent.Chat) (want fault.Code, err error)) {
	l, real := w.pick(t)
	if l == nil {
		return
	}
	w.clock.Advance(time.Second)
	v := rapid.SampledFrom(w.viewers).Draw(t, "viewer")
	want, err := do(v, l, real)
	if fault.CodeOf(err) != want || err != nil && want == "" {
		t.Fatalf("%s, a chat that is %s: %v, want %q", v.Operator.Name, l.status, err, want)
	}
}

func (w *world) holds(v Viewer, l *life) bool {
	return l.status == chat.StatusInProgress && l.operator == v.id()
}

func (w *world) load(v Viewer) (n int) {
	for _, lives := range w.chats {
		for _, l := range lives {
			if w.holds(v, l) {
				n++
			}
		}
	}
	return n
}

func (w *world) accept(v Viewer, l *life, real *ent.Chat) (fault.Code, error) {
	want := fault.Code("")
	switch {
	case v.Operator.Name == "stranger":
		want = fault.NotFound
	case w.holds(v, l):
	case l.status != chat.StatusWaiting:
		want = fault.Conflict
	case w.load(v) >= limit:
		want = fault.LimitHit
	default:
		l.status, l.operator = chat.StatusInProgress, v.id()
		l.holders = append(l.holders, v.id())
	}
	_, err := w.desk.Accept(ctx, v, real.GlobalID())
	return want, err
}

func (w *world) complete(v Viewer, l *life, real *ent.Chat) (fault.Code, error) {
	want := fault.Code("")
	switch {
	case v.Operator.Name == "stranger":
		want = fault.NotFound
	case l.status == chat.StatusCompleted:
		want = fault.Conflict
	case !w.holds(v, l) && v.Operator.Name != "boss":
		want = fault.Refused
	default:
		l.status = chat.StatusCompleted
	}
	_, err := w.desk.Complete(ctx, v, real.GlobalID())
	return want, err
}

func (w *world) send(v Viewer, l *life, real *ent.Chat) (fault.Code, error) {
	want := fault.Code("")
	switch {
	case v.Operator.Name == "stranger":
		want = fault.NotFound
	case !w.holds(v, l):
		want = fault.Refused
	}
	_, err := w.desk.Send(ctx, v, real.GlobalID(), "hello", "")
	return want, err
}

// check compares what is with what should be, and with what was.
func (w *world) check(t *rapid.T) {
	for _, person := range w.people {
		all := w.bench.chats(person)
		if len(all) != len(w.chats[person]) {
			t.Fatalf("%s has %d chats, not %d", person, len(all), len(w.chats[person]))
		}
		for i, real := range all {
			l := w.chats[person][i]
			if real.Status != l.status || real.InboundCount != l.inbound || !slices.Equal(real.Holders, l.holders) ||
				(real.OperatorID == nil) != (l.operator == uuid.Nil) || real.OperatorID != nil && *real.OperatorID != l.operator {
				t.Fatalf("a chat of %s is %v, should be %+v", person, real, l)
			}
			if i > 0 && *real.PreviousID != all[i-1].ID {
				t.Fatalf("a chat of %s does not follow the one before it", person)
			}
			if i < len(all)-1 && real.Status != chat.StatusCompleted {
				t.Fatalf("%s has several open chats", person)
			}
			segments := must(w.client().Segment.Query().Where(segment.ChatID(real.ID)).Order(ent.Asc(segment.FieldID)).All(ctx))
			if wrong := broken(real, segments); wrong != "" {
				t.Fatalf("a chat of %s, %s: %s", person, real.Status, wrong)
			}
			w.grew(t, real)
		}
	}
}

// grew checks that a version stands for one state.
func (w *world) grew(t *rapid.T, real *ent.Chat) {
	was := w.seen[real.ID]
	w.seen[real.ID] = real
	if was == nil {
		return
	}
	same := was.Status == real.Status && was.InboundCount == real.InboundCount && *was.LastMessageID == *real.LastMessageID &&
		(was.ReadUntil == nil) == (real.ReadUntil == nil) && (was.ReadUntil == nil || was.ReadUntil.Equal(*real.ReadUntil))
	if same != (was.Version == real.Version) || real.Version < was.Version {
		t.Fatalf("from version %d to %d:\n%v\n%v", was.Version, real.Version, was, real)
	}
	if was.Status == chat.StatusCompleted && (real.Status != chat.StatusCompleted || !real.CompletedAt.Equal(*was.CompletedAt)) {
		t.Fatal("a completed chat has moved")
	}
}

func TestEveryStatusOfTheTableIsInSomebodysHands(t *testing.T) {
	for why, rule := range lifecycle {
		if holderOf(rule.to) == "" && rule.to != chat.StatusCompleted {
			t.Errorf("%s leads to %s, which is in nobody's hands", why, rule.to)
		}
		if slices.Contains(rule.from, chat.StatusCompleted) {
			t.Errorf("%s reopens a completed chat", why)
		}
	}
}
