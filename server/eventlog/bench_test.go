package eventlog

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"

	"parley/server/store/storetest"
)

// Replicas that do nothing but wake each other: the rate at which LISTEN/NOTIFY
// would be the limit. A replica sends one at a time, and one for all commits
// meanwhile, so that what a deployment needs is at most the replicas' round
// trips a second.
func BenchmarkWakeUps(b *testing.B) {
	s := storetest.Postgres(b)
	for _, replicas := range []int{2, 4, 8} {
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			var heard atomic.Int64
			for range replicas {
				listener := pq.NewListener(s.URL, time.Second, time.Second, nil)
				if err := listener.Listen(channel); err != nil {
					b.Fatal(err)
				}
				go func() {
					for range listener.Notify {
						heard.Add(1)
					}
				}()
				defer listener.Close()
			}
			var sending sync.WaitGroup
			b.ResetTimer()
			for range replicas {
				sending.Go(func() {
					for range b.N / replicas {
						if _, err := s.DB.Exec("SELECT pg_notify($1, '')", channel); err != nil {
							b.Error(err)
						}
					}
				})
			}
			sending.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sent/s")
			b.ReportMetric(float64(heard.Load())/b.Elapsed().Seconds(), "heard/s")
		})
	}
}
