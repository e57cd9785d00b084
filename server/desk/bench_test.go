package desk

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"

	"parley/server/store"
	"parley/server/store/storetest"
)

// counting is a desk on a PostgreSQL database that counts its statements.
func (b *bench) counting() (*Desk, *atomic.Int64) {
	s := must(store.Open(ctx, b.store.URL))
	_ = s.Close()
	c := &counter{Connector: must(pq.NewConnector(b.store.URL))}
	s.DB = sql.OpenDB(c)
	b.Cleanup(func() { _ = s.Close() })
	return b.open(s), &c.n
}

type counter struct {
	driver.Connector
	n atomic.Int64
}

func (c *counter) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &counted{conn.(pqConn), &c.n}, nil
}

// pqConn is what database/sql asks of lib/pq's connections.
type pqConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.QueryerContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

type counted struct {
	pqConn
	n *atomic.Int64
}

func (c *counted) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.n.Add(1)
	return c.pqConn.QueryContext(ctx, query, args)
}

func (c *counted) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.n.Add(1)
	return c.pqConn.ExecContext(ctx, query, args)
}

func onBoth(b *testing.B, f func(*testing.B, *bench)) {
	b.Run("sqlite", func(b *testing.B) { f(b, newBench(b, storetest.SQLite(b))) })
	b.Run("postgres", func(b *testing.B) { f(b, newBench(b, storetest.Postgres(b))) })
}

// Customers who are known write, a thousand of them in turn.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			onBoth(b, func(b *testing.B, on *bench) {
				next := 0
				batch := func(n int) []Inbound {
					events := make([]Inbound, n)
					for i := range events {
						events[i] = wrote(fmt.Sprint("p", next%1000), fmt.Sprint("m", next), noon.Add(time.Duration(next)*time.Millisecond))
						next++
					}
					return events
				}
				on.applied(batch(1000)...)
				b.ReportAllocs()
				for b.Loop() {
					on.applied(batch(size)...)
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
			})
		})
	}
}

// A thousand subscribers follow the window; each message goes to all of them.
func BenchmarkFeedWithAThousandSubscribers(b *testing.B) {
	onBoth(b, func(b *testing.B, on *bench) {
		const subscribers = 1000
		ctx, cancel := context.WithCancel(ctx)
		var all, round sync.WaitGroup
		defer all.Wait()
		defer cancel()
		c := on.wait("ann")
		on.caughtUp()
		for range subscribers {
			feed := must(on.desk.Feed(ctx, on.admin, nil, EventFilter{}))
			all.Go(func() {
				for {
					update, err := feed.Next(ctx)
					if err != nil {
						return
					}
					for _, e := range update.Events {
						if e.Message != nil {
							round.Done()
						}
					}
				}
			})
		}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			const size = 10
			round.Add(size * subscribers)
			batch := make([]Inbound, size)
			for i := range batch {
				n++
				batch[i] = wrote("ann", fmt.Sprint("m", n), c.OpenedAt.Add(time.Duration(n)*time.Millisecond))
			}
			on.applied(batch...)
			round.Wait()
		}
		b.ReportMetric(float64(b.N*10*subscribers)/b.Elapsed().Seconds(), "events/s")
	})
}
