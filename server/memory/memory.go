// Package memory owns how much memory the process takes before it collects its
// garbage: of the whole program, so only main sets it. Invariant: what is taken
// beyond what Go takes by itself is bounded by a number that does not grow with
// the load, and given back when the load is over; and a container's memory is a
// limit that collection works to keep.
package memory

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// headroom is how much garbage a small heap may hold. A heap of some megabytes
	// that may but double is collected for every few answers to an inbox, each
	// time with everything that sockets keep; a large one has room enough.
	headroom = 128 << 20
	// ofContainer is the part of a container's memory that headroom may be.
	ofContainer = 8
	// limit is the part that collection works to keep to: the rest is for what
	// is no heap.
	limit = 0.9
)

// Tune sets both, unless GOMEMLIMIT and GOGC say otherwise.
func Tune(log *slog.Logger) {
	available := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)
	if _, err := memlimit.Set(memlimit.WithProvider(available), memlimit.WithRatio(limit)); err != nil {
		log.Warn("memory limit unknown, set GOMEMLIMIT", "error", err)
	}
	if os.Getenv("GOGC") != "" {
		return
	}
	room := uint64(headroom)
	if total, err := available(); err == nil {
		room = min(room, total/ofContainer)
	}
	afterEachCollection(func() { debug.SetGCPercent(percent(live(), room)) })
	go giveBack()
}

// giveBack collects once a load is over, so that thousands of sockets that have
// connected and wait do not hold what connecting them took.
func giveBack() {
	l := lull{before: number("/gc/heap/allocs:bytes")}
	for range time.Tick(time.Second) {
		if l.worth(number("/gc/heap/allocs:bytes")) {
			debug.FreeOSMemory()
		}
	}
}

// lull finds the first quiet second after a load.
type lull struct{ before, since uint64 }

const (
	quiet = 1 << 20 // allocated in a second is no load
	worth = 8 << 20 // allocated since the last time is worth a collection
)

// worth says, each second, from how much was ever allocated, whether to collect.
func (l *lull) worth(allocated uint64) bool {
	grown := allocated - l.before
	l.before, l.since = allocated, l.since+grown
	if grown > quiet || l.since < worth {
		return false
	}
	l.since = 0
	return true
}

// percent lets a heap grow by the room or, if that is more, to twice its size,
// as Go does by itself.
func percent(live, room uint64) int {
	return int(max(100, min(100*room/max(live, 1), 10_000)))
}

// live is what the last collection found in use.
func live() uint64 { return number("/gc/heap/live:bytes") }

func number(metric string) uint64 {
	sample := []metrics.Sample{{Name: metric}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// afterEachCollection calls f now and whenever the collector has found that
// nobody holds a marker that nobody holds.
func afterEachCollection(f func()) {
	f()
	runtime.SetFinalizer(&marker{}, func(*marker) { afterEachCollection(f) })
}

type marker struct{ _ [16]byte } // larger than what shares an allocation
