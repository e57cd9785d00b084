package edge_test

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/server/app/apptest"
	"parley/server/edge"
	"parley/server/messenger/messengertest"
)

// stalled is how many clients stop reading; PARLEY_STALLED=2000 takes a minute.
func stalled() int {
	if n, err := strconv.Atoi(os.Getenv("PARLEY_STALLED")); err == nil {
		return n
	}
	return 300
}

func TestClientsThatStopReadingAreDroppedAndNobodyElseNotices(t *testing.T) {
	const patience = 500 * time.Millisecond
	w := apptest.Start(t, apptest.Options{Timing: edge.Timing{Write: patience}})
	reader := w.Connect(w.Admin)
	reader.Watch("1", `... on MessageAdded { message { text } }`)
	person := w.Customer("Ada")
	hears := func(text string) {
		person.Writes(text)
		for {
			f := reader.Read()
			for _, e := range f.Get("chatEvents.events").([]any) {
				if apptest.Get(e, "message.text") == text {
					return
				}
			}
		}
	}
	large := strings.Repeat("0123456789", 2000)
	hears("warm up " + large)
	goroutines, heap := measure()

	n := stalled()
	var joining sync.WaitGroup
	for range 8 {
		joining.Go(func() {
			for range n / 8 {
				s := w.Connect(w.Admin)
				_ = s.NetConn().(*net.TCPConn).SetReadBuffer(4096)
				s.Watch("1", `... on MessageAdded { message { a: text b: text c: text d: text e: text f: text g: text h: text } }`)
			}
		})
	}
	joining.Wait()
	if got := w.App.Connections(); got != n/8*8+1 {
		t.Fatalf("%d connections", got)
	}
	during, _ := measure()
	slowest, start, events := time.Duration(0), time.Now(), 0
	for w.App.Connections() > 1 {
		sent := time.Now()
		hears(strconv.Itoa(events) + large)
		slowest = max(slowest, time.Since(sent))
		if events++; time.Since(start) > 5*time.Minute {
			t.Fatalf("%d are still there after %d events", w.App.Connections()-1, events)
		}
	}
	t.Logf("%d dropped after %v and %d events of 160 kB each; the slowest event took %v to the one who reads; %d goroutines, before %d",
		n, time.Since(start), events, slowest, during, goroutines)
	var after int
	var heapAfter uint64
	w.Until("goroutines and memory are given back", func() bool {
		after, heapAfter = measure()
		return after <= goroutines+50 && heapAfter < 2*heap+(64<<20)
	})
	t.Logf("goroutines %d → %d, heap %d → %d KiB", goroutines, after, heap>>10, heapAfter>>10)
}

func measure() (goroutines int, heap uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapInuse
}

func TestWhoFallsBehindTheReplicasWindowGoesOnFromTheLog(t *testing.T) {
	const messages = 9000 // more than a replica keeps, and 50 MB, which no socket holds
	apptest.Each(t, apptest.Options{Timing: edge.Timing{Write: time.Minute, Ping: time.Hour}}, func(t *testing.T, w *apptest.World) {
		slow := w.Connect(w.Admin)
		slow.Watch("1", `... on MessageAdded { message { text b: text c: text d: text e: text f: text } }`)
		w.Facebook.Behave(messengertest.Behaviour{Hold: true})
		person, long := w.Customer("Ada"), strings.Repeat(" and so on", 100)
		for i := range messages {
			person.Writes(strconv.Itoa(i) + long)
		}
		w.Facebook.Behave(messengertest.Behaviour{Batch: 200})
		if err := w.Facebook.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for next := 0; next < messages; {
			for _, e := range slow.Read().Get("chatEvents.events").([]any) {
				text, ok := apptest.Get(e, "message.text").(string)
				if !ok {
					continue
				}
				if n, _, _ := strings.Cut(text, " "); n != strconv.Itoa(next) {
					t.Fatalf("%s comes, not %d", n, next)
				}
				next++
			}
		}
	})
}
