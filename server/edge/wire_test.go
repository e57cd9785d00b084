package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair is a wire and its other end.
func pair(t *testing.T) (*wire, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(); _ = client.Close() })
	_ = server.(*net.TCPConn).SetWriteBuffer(32 << 10)
	_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
	w := &wire{write: time.Minute}
	w.attach(server)
	return w, client
}

// hear reads a message as the protocol has it.
func hear(r io.Reader) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return "", err
	}
	size := int(head[1])
	if size == 126 {
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return "", err
		}
		size = int(head[0])<<8 | int(head[1])
	}
	text := make([]byte, size)
	_, err := io.ReadFull(r, text)
	return string(text), err
}

func TestFramesOfSeveralWritersGoOutWholeAndEachInTheirOrder(t *testing.T) {
	const writers, each = 3, 200
	w, client := pair(t)
	var waited, refused int
	var mu sync.Mutex
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for j := range each {
				var f frames
				f.add(fmt.Appendf(nil, "%d %d ", i, j), []byte(strings.Repeat("x", 100+(i*7919+j*104729)%5000)))
				taken, wait := w.offer(f.short)
				mu.Lock()
				if !taken {
					refused++
				} else if wait {
					waited++
				}
				mu.Unlock()
				var err error
				if !taken {
					err = w.send(f.all()...)
				} else if wait {
					err = w.send()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	r, next := bufio.NewReader(client), [writers]int{}
	for range writers * each {
		text, err := hear(r)
		if err != nil {
			t.Fatal(err)
		}
		var i, j int
		if n, err := fmt.Sscanf(text, "%d %d x", &i, &j); n != 2 || err != nil && !strings.Contains(text, "x") || next[i] != j {
			t.Fatalf("after %v came %.40s", next, text)
		}
		next[i]++
	}
	writing.Wait()
	if waited == 0 || refused == 0 {
		t.Errorf("%d were taken in part and %d not at all: nothing was tried", waited, refused)
	}
}

func TestNothingFollowsACloseFrame(t *testing.T) {
	w, client := pair(t)
	if _, err := w.Write([]byte{closeHead, 2, 0x0f, 0xa0}); err != nil {
		t.Fatal(err)
	}
	taken, _ := w.offer([]byte("more"))
	if err := w.send([]byte("more")); err == nil || taken {
		t.Errorf("a frame was taken: %v %v", taken, err)
	}
	_ = w.Close()
	if all, err := io.ReadAll(client); len(all) != 4 || err != nil {
		t.Errorf("the client got %q, %v", all, err)
	}
}
