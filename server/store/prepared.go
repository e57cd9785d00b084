package store

import (
	"context"
	"database/sql/driver"
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/lib/pq"
)

// prepared is a way to PostgreSQL whose connections keep their statements
// prepared: one that comes again, from ent or by hand, costs one round trip and
// no planning, where lib/pq takes two and PostgreSQL plans anew.
type prepared struct{ driver.Connector }

func (p prepared) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn := c.(pqConn)
	// PostgreSQL compiles what it takes for long, judging by a large table, or has
	// workers help: that took 12 ms each for look-ups of 0.1 and 1 ms in millions of
	// messages. And every statement has an index to go by, which it does not take
	// where it is planned while the table is empty, and then keeps to that plan: in
	// a rush on a new installation each claim of work sorted all that there was.
	if _, err := conn.ExecContext(ctx, `SET jit = off; SET max_parallel_workers_per_gather = 0;
		SET enable_seqscan = off; SET enable_bitmapscan = off`, nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	statements, err := lru.NewWithEvict(keptStatements, func(_ string, s statement) { _ = s.Close() })
	return &preparedConn{conn, statements}, err
}

// keptStatements of a connection: more than the program has, except for lists
// of any length written out by ent.
const keptStatements = 256

// pqConn is what database/sql asks of lib/pq's connections.
type pqConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.QueryerContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type statement interface {
	driver.Stmt
	driver.StmtQueryContext
	driver.StmtExecContext
}

type preparedConn struct {
	pqConn
	statements *lru.Cache[string, statement]
}

func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return run(ctx, c, query, func(s statement) (driver.Rows, error) { return s.QueryContext(ctx, args) })
}

func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 { // may be several statements
		return c.pqConn.ExecContext(ctx, query, args)
	}
	return run(ctx, c, query, func(s statement) (driver.Result, error) { return s.ExecContext(ctx, args) })
}

// run runs a statement, prepared anew if it is from before a migration that
// another replica ran. Within a transaction that comes too late, and the
// transaction is run again.
func run[T any](ctx context.Context, c *preparedConn, query string, with func(statement) (T, error)) (result T, err error) {
	s, err := c.prepare(ctx, query)
	if err != nil {
		return result, err
	}
	result, err = with(s)
	if !isOutdated(err) {
		return result, err
	}
	c.statements.Purge()
	if s, again := c.prepare(ctx, query); again == nil {
		return with(s)
	}
	return result, err
}

func (c *preparedConn) prepare(ctx context.Context, query string) (statement, error) {
	if s, ok := c.statements.Get(query); ok {
		return s, nil
	}
	s, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.statements.Add(query, s.(statement))
	return s.(statement), nil
}

func isOutdated(err error) bool {
	var refused *pq.Error
	return errors.As(err, &refused) && refused.Code == "0A000" && refused.Routine == "RevalidateCachedQuery"
}
