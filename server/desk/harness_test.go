package desk

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/chat"
	"parley/ent/delivery"
	"parley/ent/identity"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/segment"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "12") // each is many transactions; the command line may say more
	storetest.Main(m)
}

var (
	ctx  = context.Background()
	noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
)

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bench is a desk with an administrator and a live channel, "page", that feeds
// a queue.
type bench struct {
	testing.TB
	store   *store.Store
	clock   *clock
	desk    *Desk
	admin   Viewer
	channel *ent.Channel
	queue   *ent.Queue
}

func onDesk(t *testing.T, test func(*bench)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(newBench(t, s)) })
}

func newBench(t testing.TB, s *store.Store) *bench {
	t.Helper()
	b := &bench{TB: t, store: s, clock: &clock{at: noon}}
	b.desk = b.run(s)
	id := must(s.Client().Operator.Create().SetEmail("admin@x").SetName("Admin").SetPasswordHash("-").
		SetRole(operator.RoleAdmin).SetCreatedAt(noon).Save(ctx)).ID
	b.admin = must(b.desk.Viewer(ctx, id))
	b.queue = b.newQueue("Support")
	b.channel = b.live("page", b.queue)
	return b
}

const limit = 3 // of simultaneous chats

func (b *bench) run(s *store.Store) *Desk {
	b.Helper()
	d := b.open(s)
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { defer close(over); d.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-over })
	return d
}

// open is a desk that does not follow its events.
func (b *bench) open(s *store.Store) *Desk {
	return must(Open(ctx, s, Options{
		Limits: Limits{
			SplitText:   func(text string) []string { return strings.SplitAfter(text, "|") },
			ReplyWindow: 24 * time.Hour, SimultaneousChats: func() int { return limit },
			DefaultLanguage: func() string { return "en" },
		},
		WorkAdded: func() {}, Now: b.clock.Now, Log: slog.New(slog.DiscardHandler),
	}))
}

// replica is another desk on the same database.
func (b *bench) replica() *Desk {
	b.Helper()
	if !b.store.Postgres() {
		return b.run(b.store)
	}
	s := must(store.Open(ctx, b.store.URL))
	b.Cleanup(func() { _ = s.Close() })
	return b.run(s)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// refused checks that an error is a fault of a code, whose message has a word.
func (b *bench) refused(err error, code fault.Code, word string) {
	b.Helper()
	if fault.CodeOf(err) != code || !strings.Contains(err.Error(), word) {
		b.Errorf("got %v, want %s with %q", err, code, word)
	}
}

func (b *bench) newQueue(name string) *ent.Queue {
	return must(b.desk.CreateQueue(ctx, b.admin, name, nil, ""))
}

// connect makes a channel that is not live.
func (b *bench) connect(page string) *ent.Channel {
	return must(b.desk.Connect(ctx, audit.Actor{}, Page{ExternalID: page, Name: page, Token: []byte("-")}))
}

func (b *bench) live(page string, q *ent.Queue) *ent.Channel { return b.activate(b.connect(page), q) }

func (b *bench) activate(c *ent.Channel, q *ent.Queue) *ent.Channel {
	id := q.GlobalID()
	return must(b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: c.GlobalID()}, Active: pointer(true), Queue: &Queued{ID: id}}))
}

// person adds somebody who signs in.
func (b *bench) person(name string, role operator.Role) Viewer {
	o := must(b.desk.CreateOperator(ctx, b.admin, NewOperator{Email: name + "@x", Name: name, PasswordHash: "-", Role: role}))
	return must(b.desk.Viewer(ctx, o.ID))
}

// operators adds people and makes them, and nobody else, members of the queue.
func (b *bench) operators(names ...string) []Viewer {
	var ids []globalid.ID
	for _, name := range names {
		ids = append(ids, b.person(name, operator.RoleOperator).Operator.GlobalID())
	}
	return b.members(b.queue, ids...)
}

func (b *bench) members(q *ent.Queue, ids ...globalid.ID) []Viewer {
	must(b.desk.UpdateQueue(ctx, QueueChange{ID: q.GlobalID(), Members: append([]globalid.ID{}, ids...)}))
	viewers := make([]Viewer, len(ids))
	for i, id := range ids {
		viewers[i] = must(b.desk.Viewer(ctx, id.UUID))
	}
	return viewers
}

func wrote(person, mid string, at time.Time) Inbound {
	return Inbound{Kind: Wrote, Page: "page", Person: person, At: at, Message: InboundMessage{ExternalID: mid, Text: mid}}
}

func echoed(person, mid string, at time.Time, reference string) Inbound {
	e := wrote(person, mid, at)
	e.Kind, e.Message.Reference = Echoed, reference
	return e
}

func receipt(kind InboundKind, person string, until time.Time) Inbound {
	return Inbound{Kind: kind, Page: "page", Person: person, At: until, Until: until}
}

// receive applies a batch and gives what became of each event, in their order.
func (b *bench) receive(batch ...Inbound) []Settled {
	b.Helper()
	settled, err := receive(b.desk, batch)
	if err != nil {
		b.Fatal(err)
	}
	return settled
}

func loaded(batch ...Inbound) func(context.Context, *store.Tx) ([]Inbound, error) {
	return func(context.Context, *store.Tx) ([]Inbound, error) { return batch, nil }
}

func receive(d *Desk, batch []Inbound) ([]Settled, error) {
	for i := range batch {
		batch[i].ID = int64(i)
	}
	result := make([]Settled, len(batch))
	_, err := d.Receive(ctx, loaded(batch...),
		func(_ context.Context, _ *store.Tx, settled []Settled) error {
			if len(settled) != len(batch) {
				return fmt.Errorf("%d of %d events are settled", len(settled), len(batch))
			}
			for _, s := range settled {
				result[s.ID] = s
			}
			return nil
		})
	return result, err
}

// applied receives events that must all be applied.
func (b *bench) applied(batch ...Inbound) {
	b.Helper()
	for i, s := range b.receive(batch...) {
		if s.Outcome != Applied {
			b.Fatalf("event %d: outcome %d, %v", i, s.Outcome, s.Err)
		}
	}
}

// wait opens a chat of a person and gives it.
func (b *bench) wait(person string) *ent.Chat {
	b.Helper()
	b.applied(wrote(person, person+"-"+uuid.NewString(), b.clock.Now()))
	return b.newest(person)
}

// accepted is a chat of a person that an operator has.
func (b *bench) accepted(person string, v Viewer) *ent.Chat {
	b.Helper()
	return must(b.desk.Accept(ctx, v, b.wait(person).GlobalID()))
}

func (b *bench) client() *ent.Client { return b.store.Client() }

// chats are those of a person, oldest first.
func (b *bench) chats(person string) []*ent.Chat {
	return must(b.client().Chat.Query().Where(chat.HasIdentityWith(identity.ExternalID(person))).
		Order(ent.Asc(chat.FieldOpenedAt, chat.FieldID)).All(ctx))
}

func (b *bench) newest(person string) *ent.Chat {
	b.Helper()
	all := b.chats(person)
	if len(all) == 0 {
		b.Fatalf("%s has no chat", person)
	}
	return all[len(all)-1]
}

func (b *bench) messages(c *ent.Chat) []*ent.Message {
	return must(b.client().Message.Query().Where(message.ChatID(c.ID)).
		Order(ent.Asc(message.FieldSentAt, message.FieldID)).All(ctx))
}

func (b *bench) texts(c *ent.Chat) (texts []string) {
	for _, m := range b.messages(c) {
		texts = append(texts, m.Text)
	}
	return texts
}

func (b *bench) deliveries(m *ent.Message) []*ent.Delivery {
	return must(b.client().Delivery.Query().Where(delivery.MessageID(m.ID)).Order(ent.Asc(delivery.FieldPosition)).All(ctx))
}

func (b *bench) message(id uuid.UUID) *ent.Message { return must(b.client().Message.Get(ctx, id)) }
func (b *bench) chat(id uuid.UUID) *ent.Chat       { return must(b.client().Chat.Get(ctx, id)) }

// equal checks a value.
func equal[T comparable](b *bench, what string, got, want T) {
	b.Helper()
	if got != want {
		b.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// whole checks what must hold of every chat at all times.
func (b *bench) whole() {
	b.Helper()
	open := map[uuid.UUID]int{}
	for _, c := range must(b.client().Chat.Query().Where(chat.HasChannelWith(channel.ID(b.channel.ID))).All(ctx)) {
		if c.Status != chat.StatusCompleted {
			open[c.IdentityID]++
		}
		if open[c.IdentityID] > 1 {
			b.Errorf("identity %s has several open chats", c.IdentityID)
		}
		if fault := broken(c, must(b.client().Segment.Query().Where(segment.ChatID(c.ID)).Order(ent.Asc(segment.FieldID)).All(ctx))); fault != "" {
			b.Errorf("chat %s, %s: %s", c.ID, c.Status, fault)
		}
	}
}

// broken says what does not hold of a chat and its segments.
func broken(c *ent.Chat, segments []*ent.Segment) string {
	var holders []uuid.UUID
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case (s.EndedAt == nil) != (last && c.Status != chat.StatusCompleted):
			return "the last segment, and no other, is open exactly while the chat is"
		case s.EndedAt != nil && s.EndedAt.Before(s.StartedAt):
			return "a segment ends before it starts"
		case !last && !s.EndedAt.Equal(segments[i+1].StartedAt):
			return "a gap between segments"
		case last && s.EndedAt == nil && s.Holder != holderOf(c.Status):
			return "the open segment is in other hands than the status says"
		case (s.OperatorID != nil) != (s.Holder == segment.HolderOperator):
			return "a segment has an operator exactly if one holds it"
		}
		if s.OperatorID != nil && !slices.Contains(holders, *s.OperatorID) {
			holders = append(holders, *s.OperatorID)
		}
	}
	switch {
	case len(segments) == 0:
		return "no segments"
	case fmt.Sprint(holders) != fmt.Sprint(c.Holders):
		return fmt.Sprintf("holders are %v, segments say %v", c.Holders, holders)
	case c.Status == chat.StatusWaiting && (c.OperatorID != nil || c.WaitingSince == nil),
		c.Status == chat.StatusInProgress && (c.OperatorID == nil || c.WaitingSince != nil),
		(c.Status == chat.StatusCompleted) != (c.CompletedAt != nil):
		return "operator and times do not fit the status"
	}
	return ""
}

// patient is a context that ends before the test does.
func (b *bench) patient() context.Context {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	b.Cleanup(cancel)
	return ctx
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() { <-start; f(i) })
	}
	close(start)
	all.Wait()
}

// sees says whether the thing with an id is there for a viewer.
func (b *bench) sees(v Viewer, id globalid.ID) bool {
	return must(b.desk.Nodes(ctx, v, []globalid.ID{id}, false))[id] != nil
}
