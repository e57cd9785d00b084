package edge_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"parley/server/app/apptest"
	"parley/server/store/storetest"
)

// thin is a client of graphql-transport-ws of almost no weight, so that what is
// measured in this process is the server's.
type thin struct{ net.Conn }

func dialThin(b *testing.B, w *world) thin {
	conn, err := net.Dial("tcp", w.App.Addr())
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(conn, "GET /graphql HTTP/1.1\r\nHost: parley.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
	one, head := make([]byte, 1), ""
	for !strings.HasSuffix(head, "\r\n\r\n") {
		if _, err := io.ReadFull(conn, one); err != nil {
			b.Fatal(err)
		}
		head += string(one)
	}
	if !strings.Contains(head, " 101 ") {
		b.Fatal(head)
	}
	return thin{conn}
}

func (c thin) say(b *testing.B, f frame) {
	text, err := json.Marshal(f)
	if err != nil {
		b.Fatal(err)
	}
	message := []byte{0x81, 0xfe, 0, 0, 0, 0, 0, 0} // text, masked by zeros, length in two bytes
	binary.BigEndian.PutUint16(message[2:], uint16(len(text)))
	if _, err := c.Write(append(message, text...)); err != nil {
		b.Fatal(err)
	}
}

// read gives the next message.
func (c thin) read(r io.Reader) (string, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return "", err
	}
	size := int(head[1])
	switch size {
	case 126:
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return "", err
		}
		size = int(binary.BigEndian.Uint16(head[:2]))
	case 127:
		if _, err := io.ReadFull(r, head[:8]); err != nil {
			return "", err
		}
		size = int(binary.BigEndian.Uint64(head[:8]))
	}
	text := make([]byte, size)
	_, err := io.ReadFull(r, text)
	return string(text), err
}

func (c thin) watch(b *testing.B, w *world) {
	c.say(b, frame{Type: "connection_init", Payload: authorization(w.Admin.Token)})
	c.say(b, frame{ID: "1", Type: "subscribe", Payload: map[string]any{"query": deskFeed}})
	for {
		text, err := c.read(c)
		if err != nil {
			b.Fatal(err)
		}
		if strings.Contains(text, "StreamCaughtUp") {
			return
		}
	}
}

// deskFeed is what an operator's desk subscribes to.
const deskFeed = `subscription { chatEvents { __typename ... on ChatEventBatch { cursor events { __typename cursor
	... on MessageAdded { message { id version text status sentAt author { kind name } chat { id version status unreadCount contact { id name } } } }
	... on ChatUpdated { chat { id version status unreadCount operator { id name } contact { id name } } } } } ... on StreamCaughtUp { cursor } } }`

func BenchmarkIdleSubscription(b *testing.B) {
	const n = 1000
	w := apptest.Start(b, apptest.Options{})
	for b.Loop() {
		before := inUse()
		var all []thin
		for range n {
			c := dialThin(b, w)
			c.watch(b, w)
			all = append(all, c)
		}
		after := inUse()
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/n, "heap-B/subscription")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stack-B/subscription")
		b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/n, "B/subscription")
		for _, c := range all {
			_ = c.Close()
		}
		storetest.Until(b, "all are gone", func() bool { return connections(w) == 0 })
	}
}

func inUse() runtime.MemStats {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

func BenchmarkDeliveredEvent(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n, " subscribers"), func(b *testing.B) { deliver(b, n) })
	}
}

func deliver(b *testing.B, n int) {
	w := apptest.Start(b, apptest.Options{})
	person := w.Customer("Ada")
	w.Hears(person, "hello")
	heard := make(chan struct{}, n)
	for range n {
		c := dialThin(b, w)
		c.watch(b, w)
		go func() {
			r := bufio.NewReader(c)
			for {
				text, err := c.read(r)
				if err != nil {
					return
				}
				if strings.Contains(text, "MessageAdded") {
					heard <- struct{}{}
				}
			}
		}()
	}
	before := inUse()
	events := 0
	for b.Loop() {
		person.Writes("How long does it take?")
		for range n {
			<-heard
		}
		events++
	}
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(events*n), "allocs/delivery")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(events*n), "B/delivery")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(events*n), "µs/delivery")
}
