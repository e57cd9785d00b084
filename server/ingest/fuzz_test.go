package ingest_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"parley/server/messenger"
	"parley/server/store/storetest"
)

// FuzzWebhook: whatever is signed is answered 200, or 503 to come again, and
// each of its items is applied or stored.
func FuzzWebhook(f *testing.F) {
	for _, kind := range kinds {
		f.Add([]byte(kind.body))
	}
	w := newWorld(f, storetest.SQLite(f))
	r := w.replica(w.store)
	r.connect()
	stored := func(t *testing.T) (n int) {
		err := w.store.DB.QueryRow("SELECT COALESCE(MAX(id), 0) FROM webhook_events").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n + appliedBy(r)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := stored(t)
		deliver(t, r, body)
		if got, want := stored(t)-before, len(messenger.Split(body)); got != want {
			t.Errorf("%d applied or stored, %d items: %q", got, want, body)
		}
	})
}

// deliver posts until it is taken, as Facebook does.
func deliver(t testing.TB, r *replica, body []byte) {
	signature := messenger.Sign(appSecret, body)
	storetest.Until(t, "a post is taken", func() bool {
		status := handle(r.inbox, body, signature)
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("%d for %q", status, body)
		}
		return status != http.StatusServiceUnavailable
	})
}

func TestTenThousandStrangeBodiesAreAllStoredAndNoneStopsTheWorker(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		r.connect()
		bodies := make(chan []byte)
		var posters sync.WaitGroup
		for range 32 {
			posters.Go(func() {
				for body := range bodies {
					deliver(t, r, body)
				}
			})
		}
		random, want, n := rand.New(rand.NewPCG(3, 1)), 0, 10_000
		if w.store.Postgres() { // which differs in what it can store, not in what is asked of it
			n = 2000
		}
		for range n {
			body := strange(random)
			want += len(messenger.Split(body))
			bodies <- body
		}
		close(bodies)
		posters.Wait()
		w.drained()
		if n := w.rows() + appliedBy(r); n != want {
			w.Errorf("%d applied or stored, %d items", n, want)
		}
		w.Logf("%d items, %v", want, w.events())
		if strings.Contains(r.logged.String(), "level=ERROR") {
			w.Errorf("the log says %.2000s", r.logged)
		}
	})
}

// strange makes something like a webhook body: known ones with bytes and values
// exchanged, and some of the page with content that nobody would think of.
func strange(random *rand.Rand) []byte {
	body := []byte(kinds[random.IntN(len(kinds)-2)].body) // but the very long ones
	for range random.IntN(4) {
		if len(body) == 0 {
			break
		}
		at := random.IntN(len(body))
		switch random.IntN(6) {
		case 0:
			body[at] = byte(random.Uint32())
		case 1:
			body = body[:at]
		case 2: // a piece of another
			other := kinds[random.IntN(len(kinds)-2)].body
			from := random.IntN(len(other) + 1)
			body = append(body[:at:at], other[from:min(len(other), from+random.IntN(40))]...)
		case 3: // another value
			if end := bytes.IndexAny(body[at:], ",}]"); end >= 0 {
				body = []byte(string(body[:at]) + strangeValues[random.IntN(len(strangeValues))] + string(body[at+end:]))
			}
		default:
			value := func() string { return strangeValues[random.IntN(len(strangeValues))] }
			body = []byte(envelope(fmt.Sprintf(`{"sender":{"id":"p%d"},"recipient":{"id":"1000"},"timestamp":%s,"message":{"mid":%s,"text":%s,"is_echo":%s,"attachments":%s,"reply_to":%s}}`,
				random.IntN(20), value(), value(), value(), value(), value(), value())))
		}
	}
	return body
}

var strangeValues = []string{
	`null`, `true`, `0`, `-1`, `1e999`, `9223372036854775807`, `253402300799999`, `1795000000123`, `"m_1"`, `"m_2"`, `""`, `"\u0000"`, `"\ud800"`, `"\udc00\ud800"`,
	"\"\xff\xfe\"", `{}`, `[]`, `[{}]`, `[{"type":"image","payload":{"url":"\u0000"}}]`, `{"mid":"m_1"}`, `"😀"`, `"` + strings.Repeat("x", 3000) + `"`,
	`"\u202e<script>'; DROP TABLE messages; --"`, `[[[[[[]]]]]]`, `{"id":{"id":"1000"}}`,
}
