package edge_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/ent/event"
	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/edge"
)

// listener is a client that now and then stops reading for a while.
type listener struct {
	as     *apptest.Client
	socket *apptest.Socket
	query  string
	heard  []string // texts up to the first space
}

// Documents of which some are the same for all of a role and some are not; all
// are large, so that a client who stops reading is soon waited for.
const (
	alike  = `subscription { chatEvents { __typename ... on ChatEventBatch { events { ... on MessageAdded { message { a: text b: text c: text d: text e: text } } } } } }`
	theirs = `subscription { chatEvents { __typename ... on ChatEventBatch { events { ... on MessageAdded { message { a: text b: text c: text d: text chat { unreadCount } } } } } } }`
)

func (l *listener) listen(random *rand.Rand, written *atomic.Int64, wrote *sync.Cond) {
	for {
		f := l.socket.Read()
		if f.Type != "next" || apptest.Get(f.Payload, "errors") != nil {
			l.heard = append(l.heard, fmt.Sprintf("%+v", f))
			return
		}
		list, _ := f.Get("chatEvents.events").([]any)
		for _, e := range list {
			if text, ok := apptest.Get(e, "message.a").(string); ok {
				name, _, _ := strings.Cut(text, " ")
				if l.heard = append(l.heard, name); name == "end" {
					return
				}
			}
		}
		if random.IntN(8) == 0 {
			until := written.Load() + random.Int64N(events)
			wrote.L.Lock()
			for written.Load() < min(until, events) {
				wrote.Wait()
			}
			wrote.L.Unlock()
		}
	}
}

const events = 250

// Some clients stop reading, so that they are waited for; some lose and regain
// what they may see; some come in the middle of it all.
func TestWhateverClientsDoEachHearsOnceAndInOrderWhatIsTheirs(t *testing.T) {
	apptest.Each(t, apptest.Options{Timing: edge.Timing{Write: time.Minute}}, func(t *testing.T, w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		ann, ben := w.Add("Ann", operator.RoleOperator), w.Add("Ben", operator.RoleOperator)
		w.Members(w.Queue, ann, ben)
		chat := w.Hears(w.Customer("Ada"), "first")
		var start int64
		if err := w.Store.DB.QueryRow("SELECT MAX(id) FROM events").Scan(&start); err != nil {
			t.Fatal(err)
		}
		var written atomic.Int64
		wrote := sync.NewCond(&sync.Mutex{})
		var listeners []*listener
		var listening sync.WaitGroup
		join := func(as *apptest.Client, query string) {
			l := &listener{as: as, socket: w.Connect(as), query: query}
			_ = l.socket.NetConn().(*net.TCPConn).SetReadBuffer(64 << 10)
			l.socket.Subscribe("1", query, nil)
			for l.socket.Read().Get("chatEvents.__typename") != "StreamCaughtUp" {
			}
			listeners = append(listeners, l)
			random := rand.New(rand.NewPCG(3, uint64(len(listeners))))
			listening.Go(func() { l.listen(random, &written, wrote) })
		}
		for _, as := range []*apptest.Client{w.Admin, ann, ben} {
			for _, query := range []string{alike, alike, alike, theirs} {
				join(as, query)
			}
		}
		ada := w.Customer("Bob")
		for i := range events {
			ada.Writes(fmt.Sprint(i, " ", strings.Repeat("x", random.IntN(12_000))))
			switch random.IntN(15) {
			case 0:
				w.Members(w.Queue, ann)
			case 1:
				w.Members(w.Queue, ben)
			case 2:
				w.Members(w.Queue, ann, ben)
			case 3:
				w.Admin.Must(`mutation($id: ID!) { markChatRead(input: {chatId: $id}) { userErrors { code } } }`, map[string]any{"id": chat})
			}
			written.Add(1)
			wrote.Broadcast()
		}
		w.Members(w.Queue, ann, ben)
		ada.Writes("end")
		listening.Wait()
		for i, l := range listeners {
			said := whileRightsWere(t, w, l.as, start)
			rest := l.heard
			for j, some := range said {
				switch {
				case len(rest) >= len(some) && slices.Equal(rest[:len(some)], some):
					rest = rest[len(some):]
				case l.as == w.Admin || j == 0 || j == len(said)-1:
					t.Fatalf("listener %d heard\n%v, not\n%v of\n%v", i, l.heard, some, said)
				}
			}
			if len(rest) > 0 {
				t.Errorf("listener %d heard\n%v, which is not of\n%v", i, l.heard, said)
			}
		}
	})
}

// whileRightsWere are the messages of the log, cut where somebody's rights
// changed. Between two changes they hear all or nothing: who is late has the
// rights of now already. Before the first and after the last they hear all.
func whileRightsWere(t *testing.T, w *world, as *apptest.Client, after int64) [][]string {
	t.Helper()
	rows, err := w.Store.Query(t.Context(), `SELECT e.kind, e.operator_id, m.text FROM events e LEFT JOIN messages m ON m.id = e.message_id WHERE e.id > $1 ORDER BY e.id`, after)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	who, said := operatorID(t, w, as), [][]string{nil}
	for rows.Next() {
		var kind event.Kind
		var whose *uuid.UUID
		var text *string
		if err := rows.Scan(&kind, &whose, &text); err != nil {
			t.Fatal(err)
		}
		last := len(said) - 1
		switch {
		case kind == event.KindRightsChanged && *whose == who:
			said = append(said, nil)
		case kind == event.KindMessageAdded:
			name, _, _ := strings.Cut(*text, " ")
			said[last] = append(said[last], name)
		}
	}
	return said
}

func operatorID(t *testing.T, w *world, as *apptest.Client) uuid.UUID {
	t.Helper()
	for _, o := range w.Store.Client().Operator.Query().AllX(t.Context()) {
		if o.GlobalID().String() == as.ID {
			return o.ID
		}
	}
	t.Fatal("there is no such operator")
	return uuid.Nil
}
