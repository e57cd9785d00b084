package edge

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// wire is a socket's connection as it is written to: by whole frames, from
// several goroutines. The library reads from it, and writes control frames.
//
// What the system does not take at once stays here as rest, and goes out before
// anything else: a frame is never cut by another.
type wire struct {
	net.Conn
	raw   syscall.RawConn // nil where the connection is not the system's own
	write time.Duration   // may take

	mu    sync.Mutex
	rest  []byte
	ended bool // a close frame was the last one, or writing failed

	offered []byte // what try tries, and how much of it went out
	taken   int
	try     func(fd uintptr) bool
}

// wiring has the library's upgrade be of a wire.
type wiring struct {
	http.ResponseWriter
	wire *wire
}

func (u wiring) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.wire.attach(conn)
	return u.wire, buffered, nil
}

func (w *wire) attach(conn net.Conn) {
	w.Conn, w.try = conn, w.tryOffered
	if system, ok := conn.(syscall.Conn); ok {
		w.raw, _ = system.SyscallConn()
	}
}

// SetWriteDeadline does nothing: every write has one of its own.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is for reading alone.
func (w *wire) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }

// Write is the library's, for a control frame at a time.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(b); err != nil {
		return 0, err
	}
	w.ended = b[0] == closeHead
	return len(b), nil
}

// closeHead is the first byte of a close frame. No other frame begins so, nor
// does the answer to the upgrade.
const closeHead = 1<<7 | websocket.CloseMessage

// send writes parts, one after another with nothing in between. Whoever does not
// take them in time is gone.
func (w *wire) send(parts ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush(parts...)
}

func (w *wire) flush(parts ...[]byte) error {
	if w.ended {
		return net.ErrClosed
	}
	if w.rest != nil {
		parts = slices.Insert(parts, 0, w.rest)
	}
	for _, part := range parts {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(w.write))
		if _, err := w.Conn.Write(part); err != nil {
			w.ended, w.rest = true, nil
			_ = w.Conn.Close()
			return err
		}
	}
	w.rest = nil
	return w.Conn.SetWriteDeadline(time.Time{})
}

// offer writes what the system takes at once. It takes all or nothing of it,
// unless somebody has to wait for the rest to go out.
func (w *wire) offer(b []byte) (taken, wait bool) {
	if w.raw == nil || !w.mu.TryLock() {
		return false, true
	}
	defer w.mu.Unlock()
	if w.ended || w.rest != nil {
		return false, true
	}
	w.offered, w.taken = b, 0
	err := w.raw.Write(w.try)
	w.offered = nil
	if err != nil || w.taken == 0 {
		return false, true
	}
	if w.taken < len(b) {
		w.rest = slices.Clone(b[w.taken:])
	}
	return true, w.rest != nil
}

// frames are text messages on their way to one client. Short ones are put
// together, to be one write; a long one, which others may be sent too, is only
// pointed at.
type frames struct {
	parts [][]byte
	short []byte
}

// copied is how long a message may be that is copied, and how much of them is
// written at once.
const copied = 32 << 10

// add adds a message that begins with head.
func (f *frames) add(head, payload []byte) {
	f.short = append(appendHeader(f.short, len(head)+len(payload)), head...)
	if len(payload) <= copied {
		f.short = append(f.short, payload...)
		return
	}
	f.parts = append(f.parts, f.short, payload)
	f.short = nil
}

func (f *frames) reset() { f.parts, f.short = nil, f.short[:0] }

func (f *frames) empty() bool { return f.parts == nil && len(f.short) == 0 }

func (f *frames) full() bool { return f.parts != nil || len(f.short) >= copied }

// all are the frames as parts to be written one after another.
func (f frames) all() [][]byte {
	if len(f.short) == 0 {
		return f.parts
	}
	return append(f.parts, f.short)
}

// appendHeader begins a text frame that is a whole message. A server's frames
// are not masked.
func appendHeader(b []byte, size int) []byte {
	const text = 1<<7 | websocket.TextMessage
	switch {
	case size < 126:
		return append(b, text, byte(size))
	case size < 1<<16:
		return append(b, text, 126, byte(size>>8), byte(size))
	}
	return append(b, text, 127, 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}
