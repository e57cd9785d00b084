package memory

import (
	"runtime"
	"testing"
	"time"
)

func TestASmallHeapMayGrowByTheRoomAndALargeOneDoubles(t *testing.T) {
	for _, c := range []struct {
		live, room uint64
		want       int
	}{
		{16 << 20, 128 << 20, 800}, {128 << 20, 128 << 20, 100}, {1 << 30, 128 << 20, 100}, {1 << 20, 8 << 20, 800}, {0, 128 << 20, 10_000},
	} {
		if got := percent(c.live, c.room); got != c.want {
			t.Errorf("%d live and %d room: %d, not %d", c.live, c.room, got, c.want)
		}
	}
}

func TestMemoryIsGivenBackInTheFirstQuietSecondAfterALoad(t *testing.T) {
	l, allocated := lull{}, uint64(0)
	for second, c := range []struct {
		grown uint64
		want  bool
	}{
		{1000, false}, {100 << 20, false}, {50 << 20, false}, {1000, true}, {1000, false}, // once
		{4 << 20, false}, {1000, false}, {5 << 20, false}, {1000, true}, // two small loads are worth it together
	} {
		if allocated += c.grown; l.worth(allocated) != c.want {
			t.Errorf("second %d: %t", second, !c.want)
		}
	}
}

func TestTheHeapIsLookedAtAfterEveryCollection(t *testing.T) {
	looked := make(chan struct{}, 100)
	afterEachCollection(func() { looked <- struct{}{} })
	for range 3 {
		select {
		case <-looked:
		case <-time.After(10 * time.Second):
			t.Fatal("it was not")
		}
		runtime.GC()
	}
}
