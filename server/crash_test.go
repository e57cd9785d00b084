package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
	"parley/server/store/storetest"
)

// The size of the run.
const (
	customers   = 500
	posters     = 8
	subscribers = 6
	kills       = 4
)

func messages() int {
	if testing.Short() {
		return 1000
	}
	return 10_000
}

func TestNothingIsLostOrRepeatedWhileOneOfTwoReplicasIsKilled(t *testing.T) {
	t.Parallel()
	var at messengertest.Address
	url, page := facebook(t, &at)
	database, key := storetest.PostgresURL(t), newKey()
	steady := newReplica(t, url, key, database)
	killed := newReplica(t, url, key, database)
	at.Set(steady.addr)
	storm(t, []*replica{steady, killed}, killed, steady.goLive(page))
}

func TestNothingIsLostOrRepeatedWhileTheEmbeddedServerIsKilled(t *testing.T) {
	t.Parallel()
	var at messengertest.Address
	url, page := facebook(t, &at)
	only := newReplica(t, url, newKey(), t.TempDir())
	at.Set(only.addr)
	storm(t, []*replica{only}, only, only.goLive(page))
}

// storm has customers write, with repeats, batches and reordering, while
// subscribers' sockets drop at random and one replica is killed and started
// again. Then each message must be stored once, and each subscriber have seen
// every event once and in order.
func storm(t *testing.T, replicas []*replica, victim *replica, token string) {
	t.Helper()
	total := messages()
	posts := makePosts(total)
	var start struct{ EventCursor string }
	replicas[0].ask(token, "{ eventCursor }", nil, &start)

	var watching sync.WaitGroup
	watchers := make([]*watcher, subscribers)
	for i := range watchers {
		watchers[i] = &watcher{replicas: replicas, token: token, cursor: start.EventCursor, want: total,
			random: rand.New(rand.NewPCG(uint64(i), 1))}
		watching.Go(watchers[i].run)
	}
	var next atomic.Int64
	var posting sync.WaitGroup
	for range posters {
		posting.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(posts)); i = next.Add(1) - 1 {
				deliver(replicas, posts[i], int(i))
			}
		})
	}
	posting.Go(func() { // kills at marks of progress, so that each falls into the middle
		for k := range kills {
			for next.Load() < int64(len(posts)*(k+1)/(kills+1)) {
				time.Sleep(time.Millisecond)
			}
			victim.kill()
			victim.start()
		}
	})
	posting.Wait()
	watching.Wait()

	log := readLog(replicas[0], token, start.EventCursor)
	seen := map[string]int{}
	for _, e := range log {
		if e.Message.Text != "" {
			seen[e.Message.Text]++
		}
	}
	for text, n := range seen {
		if n != 1 {
			t.Errorf("%q is in the log %d times", text, n)
		}
	}
	if len(seen) != total {
		t.Errorf("%d messages are in the log, not %d", len(seen), total)
	}
	for i, w := range watchers {
		if w.failure != nil {
			t.Errorf("subscriber %d: %v", i, w.failure)
		}
		if !slices.Equal(w.seen, log[:min(len(log), len(w.seen))]) {
			t.Errorf("subscriber %d saw other events than the log has, or in another order", i)
		}
		t.Logf("subscriber %d: %d events over %d connections", i, len(w.seen), w.connections)
	}
	t.Logf("%d messages in %d posts, %d events, %d kills", total, len(posts), len(log), kills)
}

// makePosts are signed webhook bodies: each message once or twice, in batches,
// in an order of their own.
func makePosts(total int) [][]byte {
	random := rand.New(rand.NewPCG(7, 7))
	var items []int
	for i := range total {
		items = append(items, i)
		if random.IntN(20) == 0 {
			items = append(items, i)
		}
	}
	for i := range items { // reordered, but within reach: providers do not shuffle whole days
		j := min(len(items)-1, i+random.IntN(40))
		items[i], items[j] = items[j], items[i]
	}
	began := time.Now().UnixMilli() - int64(total)
	var posts [][]byte
	for len(items) > 0 {
		n := min(len(items), 1+random.IntN(25))
		entries := make([]string, n)
		for k, i := range items[:n] {
			entries[k] = fmt.Sprintf(`{"id":"1000","time":%[1]d,"messaging":[{"sender":{"id":"p%[2]d"},"recipient":{"id":"1000"},"timestamp":%[1]d,"message":{"mid":"m_%[3]d","text":"message %[3]d"}}]}`,
				began+int64(i), i%customers, i)
		}
		posts = append(posts, []byte(`{"object":"page","entry":[`+joined(entries)+`]}`))
		items = items[n:]
	}
	return posts
}

func joined(list []string) string {
	var b bytes.Buffer
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s)
	}
	return b.String()
}

// deliver posts as the provider does: again, until somebody answers 200.
func deliver(replicas []*replica, body []byte, turn int) {
	for ; ; turn++ {
		request, _ := http.NewRequest(http.MethodPost, "http://"+replicas[turn%len(replicas)].addr+"/webhooks/facebook", bytes.NewReader(body))
		request.Header.Set("X-Hub-Signature-256", messenger.Sign(testAppSecret, body))
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(10 * time.Millisecond) // the pause of a provider, not a wait for a result
	}
}

// seenEvent is what an event is compared by.
type seenEvent struct {
	Typename string `json:"__typename"`
	Cursor   string
	Message  struct{ Text string }
	Chat     struct{ ID string }
}

const selection = `__typename cursor ... on MessageAdded { message { text } } ... on ChatOpened { chat { id } }`

// watcher is one subscriber whose socket drops now and then.
type watcher struct {
	replicas    []*replica
	token       string
	cursor      string
	want        int
	random      *rand.Rand
	seen        []seenEvent
	texts       int
	connections int
	failure     error
}

func (w *watcher) run() {
	for w.texts < w.want && w.failure == nil {
		if err := w.connect(); err != nil && w.failure == nil {
			time.Sleep(20 * time.Millisecond) // the replica is down: come again
		}
	}
}

// connect watches for a random number of frames, from the last cursor on.
func (w *watcher) connect() error {
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: 5 * time.Second}
	conn, _, err := dialer.Dial("ws://"+w.replicas[w.random.IntN(len(w.replicas))].addr+"/graphql", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	w.connections++
	query := "subscription($after: Cursor) { chatEvents(after: $after) { __typename ... on ChatEventBatch { cursor events { " + selection + " } } ... on StreamResync { reason } } }"
	for _, frame := range []any{
		map[string]any{"type": "connection_init", "payload": map[string]any{"authorization": "Bearer " + w.token}},
		map[string]any{"id": "1", "type": "subscribe", "payload": map[string]any{"query": query, "variables": map[string]any{"after": w.cursor}}},
	} {
		if err := conn.WriteJSON(frame); err != nil {
			return err
		}
	}
	for range 1 + w.random.IntN(30) {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		var frame struct {
			Type    string
			Payload json.RawMessage
		}
		if err := conn.ReadJSON(&frame); err != nil {
			return err
		}
		switch frame.Type {
		case "next":
			w.take(frame.Payload)
		case "error", "complete":
			w.failure = fmt.Errorf("the stream ended: %s", frame.Payload)
		}
		if w.texts >= w.want || w.failure != nil {
			return nil
		}
	}
	return nil
}

func (w *watcher) take(payload json.RawMessage) {
	var next struct {
		Data struct {
			ChatEvents struct {
				Typename string `json:"__typename"`
				Cursor   string
				Reason   string
				Events   []seenEvent
			}
		}
	}
	if err := json.Unmarshal(payload, &next); err != nil {
		w.failure = err
		return
	}
	step := next.Data.ChatEvents
	if step.Typename == "StreamResync" {
		w.failure = fmt.Errorf("resync: %s", step.Reason)
	}
	if step.Typename != "ChatEventBatch" {
		return
	}
	w.seen, w.cursor = append(w.seen, step.Events...), step.Cursor
	for _, e := range step.Events {
		if e.Message.Text != "" {
			w.texts++
		}
	}
}

// readLog reads the whole stream by the query.
func readLog(r *replica, token, after string) []seenEvent {
	r.t.Helper()
	var log []seenEvent
	for {
		var page struct {
			Events struct {
				Events   []seenEvent
				Cursor   string
				CaughtUp bool
			}
		}
		r.ask(token, "query($after: Cursor) { events(after: $after) { cursor caughtUp events { "+selection+" } } }",
			map[string]any{"after": after}, &page)
		log, after = append(log, page.Events.Events...), page.Events.Cursor
		if page.Events.CaughtUp {
			return log
		}
	}
}
