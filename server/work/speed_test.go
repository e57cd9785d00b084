package work_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"parley/server/store"
	"parley/server/store/storetest"
	"parley/server/work"
)

// BenchmarkPutClaimDone is the whole life of an item, from 16 putters' own
// transactions to the recorded answer.
func BenchmarkPutClaimDone(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			ran := make(chan struct{}, 1024)
			p := work.New(s, work.Options{Log: quiet}, map[string]work.Handler{"say": func(context.Context, work.Job) work.Decision {
				ran <- struct{}{}
				return work.Done()
			}})
			run(b, p)
			b.ReportAllocs()
			b.ResetTimer()
			go putAll(b, s, p)
			for range b.N {
				<-ran
			}
		})
	}
}

func putAll(b *testing.B, s *store.Store, p *work.Pool) {
	room := make(chan struct{}, 16)
	for n := range b.N {
		room <- struct{}{}
		go func() {
			defer func() { <-room }()
			err := s.InTx(ctx, func(tx *store.Tx) error {
				return work.Put(ctx, tx, time.Now(), say(fmt.Sprint("lane ", n%1000), "0123456789abcdef"))
			})
			if err != nil {
				b.Error(err)
			}
			p.Signal()
		}()
	}
}

// BenchmarkClaimBesideOthers is the same for one item at a time, beside 100,000
// others in 1,000 lanes. They are due later, or wait for the first of their
// lane, which is.
func BenchmarkClaimBesideOthers(b *testing.B) {
	for _, followers := range []string{"now() + interval '1 day'", "now()"} {
		b.Run("due "+followers, func(b *testing.B) {
			s := storetest.Postgres(b)
			fill(b, s, followers)
			ran := make(chan struct{})
			p := work.New(s, work.Options{Log: quiet, Poll: time.Second}, map[string]work.Handler{"say": func(context.Context, work.Job) work.Decision {
				ran <- struct{}{}
				return work.Done()
			}})
			run(b, p)
			for waiting := 1; waiting > 0; { // until a restarted pool has set aside what waits
				if err := s.DB.QueryRow("SELECT count(*) FROM works WHERE run_at <= now() AND lease_until = 0").Scan(&waiting); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				if err := s.InTx(ctx, func(tx *store.Tx) error {
					return work.Put(ctx, tx, time.Now(), say(fmt.Sprint("free ", n), "x"))
				}); err != nil {
					b.Fatal(err)
				}
				p.Signal()
				<-ran
			}
		})
	}
}

func fill(b testing.TB, s *store.Store, followers string) {
	b.Helper()
	for _, statement := range []string{
		`INSERT INTO works (kind, lane, payload, run_at, created_at)
			SELECT 'say', 'held ' || n % 1000, 'x', CASE WHEN n <= 1000 THEN now() + interval '1 day' ELSE ` + followers + ` END, now()
			FROM generate_series(1, 100000) n ORDER BY n`,
		`ANALYZE works`,
	} {
		if _, err := s.DB.ExecContext(ctx, statement); err != nil {
			b.Fatal(err)
		}
	}
}
