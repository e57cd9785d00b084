package storetest

import (
	"testing"
	"time"
)

// Until waits for a fact that nothing can be asked to tell of: it looks for it
// again and again. If it does not come true, the test fails with what tell says.
func Until(t testing.TB, fact string, holds func() bool, tell ...func() string) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			for _, f := range tell {
				t.Log(f())
			}
			t.Fatalf("it never came true that %s", fact)
		}
	}
}
