package ingest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/server/ingest"
	"parley/server/messenger"
	"parley/server/store"
	"parley/server/store/storetest"
)

func BenchmarkRowsOf(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		body := []byte(batch(0, n, time.Now()))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if len(ingest.RowsOf(body)) != n {
					b.Fatal("events are missing")
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// batch is a post of n messages of many people, numbered from first.
func batch(first, n int, at time.Time) string {
	items := make([]string, n)
	for i := range items {
		number := first + i
		items[i] = text(fmt.Sprintf("p%d", (number+1e6)%500), fmt.Sprintf("m_%d", number), fmt.Sprintf("message number %d", number), at)
	}
	return envelope(items...)
}

// BenchmarkApply posts until b.N events are stored and waits until they are
// applied. Posts that are answered 503 come again, as Facebook sends them again.
func BenchmarkApply(b *testing.B) {
	for _, database := range []struct {
		name string
		open func(testing.TB) *store.Store
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/posts-of-%d", database.name, size), func(b *testing.B) { apply(b, database.open(b), size) })
		}
	}
}

func apply(b *testing.B, s *store.Store, size int) {
	w := newWorld(b, s)
	r := w.replica(s)
	r.connect()
	for i := range 20 { // a database that knows its tables, as it does after a minute
		deliver(b, r, []byte(batch(-100*(i+1), 100, time.Now())))
	}
	w.drained()
	w.exec("ANALYZE")
	var next, refused atomic.Int64
	lags := []time.Duration{0}
	b.ReportAllocs()
	b.ResetTimer()
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(5 * time.Millisecond):
			}
			lags = append(lags, w.lag())
		}
	})
	var posters sync.WaitGroup
	for range 64 {
		posters.Go(func() {
			for {
				first := int(next.Add(int64(size))) - size
				if first >= b.N {
					return
				}
				body := []byte(batch(first, min(size, b.N-first), time.Now()))
				signature := messenger.Sign(appSecret, body)
				for handle(r.inbox, body, signature) != http.StatusOK {
					refused.Add(1)
					time.Sleep(20 * time.Millisecond) // the pause of a provider
				}
			}
		})
	}
	posters.Wait()
	accepted := b.Elapsed()
	w.drained()
	b.StopTimer()
	close(over)
	watching.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	slices.Sort(lags)
	b.ReportMetric(float64(lags[len(lags)*99/100].Milliseconds()), "p99-lag-ms")
	b.ReportMetric(float64(lags[len(lags)-1].Milliseconds()), "max-lag-ms")
	b.ReportMetric(float64(refused.Load()), "refused")
}

func handle(h http.Handler, body []byte, signature string) int {
	request := httptest.NewRequest(http.MethodPost, "/webhooks/facebook", bytes.NewReader(body))
	request.Header.Set("X-Hub-Signature-256", signature)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	return answer.Code
}

// lag is the age of the oldest event that is not applied.
func (w *world) lag() time.Duration {
	rows, err := w.store.Query(ctx, "SELECT received_at FROM webhook_events WHERE state = 'PENDING' ORDER BY id LIMIT 1")
	w.must(err)
	defer rows.Close()
	if !rows.Next() {
		return 0
	}
	var at time.Time
	w.must(rows.Scan(&at))
	return w.clock.Now().Sub(at)
}
