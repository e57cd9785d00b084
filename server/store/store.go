// Package store owns the connection to the database: it opens SQLite or
// PostgreSQL, brings the tables up to date under a lock, and runs transactions.
//
// A Store is safe for concurrent use; a Tx belongs to the goroutine that got
// it. Invariant: whatever a transaction's function did is in the database
// exactly if InTx returned nil, and functions may be run again when the
// database says so, so they must change nothing but the database.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"parley/ent"
)

// Store is one open database.
type Store struct {
	DB  *sql.DB
	URL string

	dialect string
	client  func() *ent.Client
	// SQLite has one writer. Waiting for it here is fair and prompt, which
	// SQLite's own busy polling is not. Nil on PostgreSQL.
	writer chan struct{}
}

// Open connects to a database: a postgres:// URL, or the path of a SQLite file.
func Open(ctx context.Context, location string) (*Store, error) {
	s := &Store{URL: location, dialect: dialect.Postgres}
	open, conns := openPostgres, 24
	if !IsPostgres(location) {
		if err := os.MkdirAll(filepath.Dir(location), 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of the database: %w", err)
		}
		s.dialect, s.writer = dialect.SQLite, make(chan struct{}, 1)
		open, conns = openSQLite, 8
	}
	db, err := open(location)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.DB = db
	s.client = sync.OnceValue(func() *ent.Client { return ent.NewClient(ent.Driver(entsql.OpenDB(s.dialect, s.DB))) })
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("reach database: %w", err)
	}
	return s, nil
}

func openPostgres(url string) (*sql.DB, error) {
	connector, err := pq.NewConnector(url)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(prepared{connector}), nil
}

func openSQLite(path string) (*sql.DB, error) { return sql.Open("sqlite", sqliteDSN(path, true)) }

// IsPostgres tells a PostgreSQL URL from the path of a SQLite file.
func IsPostgres(location string) bool {
	return strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://")
}

// sqliteDSN asks for full durability: an answer to a webhook is a promise.
func sqliteDSN(path string, foreignKeys bool) string {
	query := url.Values{
		"_txlock":      {"immediate"},
		"_timezone":    {"UTC"},
		"_time_format": {"sqlite"},
		"_pragma": {
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)",
			fmt.Sprintf("foreign_keys(%t)", foreignKeys),
		},
	}
	return "file:" + url.PathEscape(path) + "?" + query.Encode()
}

// Close ends all connections.
func (s *Store) Close() error { return s.DB.Close() }

// Postgres says whether several replicas may share this database.
func (s *Store) Postgres() bool { return s.dialect == dialect.Postgres }

// Client reads outside any transaction. It is one for all: rows keep hold of the
// client that read them, which is larger than they are.
func (s *Store) Client() *ent.Client { return s.client() }

// Query runs a read outside any transaction; placeholders are $1, $2, ….
func (s *Store) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.DB.QueryContext(ctx, s.SQL(query), args...)
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// SQL turns $1 placeholders into what the database reads.
func (s *Store) SQL(query string) string {
	if s.Postgres() {
		return query
	}
	return placeholder.ReplaceAllString(query, "?$1")
}

// Tx is one transaction: statements by hand, and an ent client over the same.
type Tx struct {
	*sql.Tx
	*ent.Client
	store *Store
}

// txDriver lets ent's own multi-statement operations join the transaction
// instead of failing to begin another.
type txDriver struct{ *entsql.Driver }

func (d txDriver) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(d), nil }

// Postgres says whether the transaction's database is PostgreSQL.
func (tx *Tx) Postgres() bool { return tx.store.Postgres() }

// Exec runs a statement; placeholders are $1, $2, ….
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return tx.ExecContext(ctx, tx.store.SQL(query), args...)
}

// Query runs a statement that returns rows; placeholders are $1, $2, ….
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.QueryContext(ctx, tx.store.SQL(query), args...)
}

// QueryRow runs a statement that returns a row; placeholders are $1, $2, ….
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.QueryRowContext(ctx, tx.store.SQL(query), args...)
}

// Lock makes transactions that want to write a table so wait for each other until
// the commit; readers go on. SQLite has one writer anyway.
func (tx *Tx) Lock(ctx context.Context, table string) error {
	if !tx.Postgres() {
		return nil
	}
	_, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN SHARE ROW EXCLUSIVE MODE")
	return err
}

// Savepoint runs f so that, if it fails, only what f did is undone and the
// transaction can go on.
func (tx *Tx) Savepoint(ctx context.Context, f func() error) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT part"); err != nil {
		return err
	}
	if err := f(); err != nil {
		_, undo := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
		return errors.Join(err, undo)
	}
	_, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT part")
	return err
}

const maxTries = 8

// InTx runs f in a transaction and commits it. It runs f again, from the start,
// when the database gave up one of several transactions for the others' sake.
func (s *Store) InTx(ctx context.Context, f func(*Tx) error) error {
	for try := 1; ; try++ {
		err := s.once(ctx, f)
		if err == nil || try == maxTries || !isConflict(err) {
			return err
		}
		pause := time.Duration(rand.IntN(1<<try)) * time.Millisecond
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (s *Store) once(ctx context.Context, f func(*Tx) error) error {
	if s.writer != nil {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	sqlTx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = sqlTx.Rollback() }() // does nothing after a commit
	driver := txDriver{entsql.NewDriver(s.dialect, entsql.Conn{ExecQuerier: sqlTx})}
	if err := f(&Tx{Tx: sqlTx, Client: ent.NewClient(ent.Driver(driver)), store: s}); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// isConflict: the database chose this transaction to give way.
func isConflict(err error) bool {
	switch code(err) {
	case "40001", "40P01", "sqlite:busy":
		return true
	}
	return isOutdated(err)
}

// IsUnique says that a row with this key is there already.
func IsUnique(err error) bool {
	c := code(err)
	return c == "23505" || c == "sqlite:unique"
}

// IsTransient says that the same work may succeed later without a change: the
// database was unreachable, stopping, out of room or busy, or the caller gave up.
func IsTransient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) {
		return true
	}
	c := code(err)
	if c == "" { // not the database's answer: data that we could not handle, unless the network failed
		return isNetwork(err)
	}
	class := c[:2]
	return isConflict(err) || class == "08" || class == "53" || class == "55" || class == "57" || class == "58" || c == "sqlite:io"
}

func isNetwork(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) || strings.Contains(err.Error(), "bad connection") || strings.Contains(err.Error(), "EOF")
}

// code names the database's answer: PostgreSQL's SQLSTATE, or sqlite:….
func code(err error) string {
	var pg *pq.Error
	if errors.As(err, &pg) {
		return string(pg.Code)
	}
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return ""
	}
	switch c := lite.Code(); {
	case c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return "sqlite:unique"
	case c&0xff == sqlite3.SQLITE_BUSY || c&0xff == sqlite3.SQLITE_LOCKED:
		return "sqlite:busy"
	case c&0xff == sqlite3.SQLITE_IOERR || c&0xff == sqlite3.SQLITE_FULL || c&0xff == sqlite3.SQLITE_INTERRUPT:
		return "sqlite:io"
	}
	return "sqlite:other"
}
