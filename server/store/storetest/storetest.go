// Package storetest gives tests a fresh, migrated database of each kind.
//
// PostgreSQL is the one at TEST_DATABASE_URL, else a private cluster started
// from the machine's own binaries for the life of the test process, else the
// PostgreSQL half is skipped with one loud line; with CI=true that is a
// failure. Safe for parallel tests; no two tests share a database.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"parley/server/store"
)

// Each runs the test on SQLite and on PostgreSQL.
func Each(t *testing.T, test func(*testing.T, *store.Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite is a fresh database in a file.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parley.db")
	s := open(t, path)
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Postgres is a fresh database of the cluster; a test may open further stores
// at its URL to be several replicas.
func Postgres(t testing.TB) *store.Store {
	t.Helper()
	return open(t, PostgresURL(t))
}

// PostgresURL is the address of a fresh, migrated database.
func PostgresURL(t testing.TB) string {
	t.Helper()
	c, err := theCluster()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("PostgreSQL is required in CI: %v", err)
		}
		t.Skipf("SKIPPED, NOT TESTED ON POSTGRESQL: %v", err)
	}
	name := fmt.Sprintf("%s_%d", c.template, databases.Add(1))
	c.exec(t, "CREATE DATABASE "+name+" TEMPLATE "+c.template)
	t.Cleanup(func() { c.exec(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return c.url(name)
}

func open(t testing.TB, location string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var databases atomic.Int64

// cluster is a PostgreSQL server with a migrated template database.
type cluster struct {
	base     string // URL with %s in place of the database
	template string
	admin    *sql.DB
	stop     func()
}

var (
	once    sync.Once
	running *cluster
	failed  error
)

func theCluster() (*cluster, error) {
	once.Do(func() { running, failed = newCluster() })
	return running, failed
}

func newCluster() (*cluster, error) {
	c := &cluster{template: fmt.Sprintf("parley_test_%d", os.Getpid()), stop: func() {}}
	if given := os.Getenv("TEST_DATABASE_URL"); given != "" {
		c.base = withDatabase(given, "%s")
	} else if err := c.start(); err != nil {
		return nil, err
	}
	admin, err := sql.Open("postgres", c.url("postgres"))
	if err != nil {
		return nil, err
	}
	c.admin = admin
	// A crashed run of the same process number may have left its template.
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + c.template, "CREATE DATABASE " + c.template} {
		if _, err := admin.Exec(statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	s, err := store.Open(context.Background(), c.url(c.template))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return c, s.Migrate(context.Background())
}

func (c *cluster) url(database string) string { return strings.ReplaceAll(c.base, "%s", database) }

func (c *cluster) exec(t testing.TB, statement string) {
	t.Helper()
	if _, err := c.admin.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// withDatabase replaces the path of a URL.
func withDatabase(location, database string) string {
	head, query, _ := strings.Cut(location, "?")
	scheme := strings.Index(head, "://") + 3
	if slash := strings.Index(head[scheme:], "/"); slash >= 0 {
		head = head[:scheme+slash]
	}
	if query != "" {
		query = "?" + query
	}
	return head + "/" + database + query
}

// Main is a package's TestMain: it ends the cluster with the tests.
func Main(m *testing.M) {
	code := m.Run()
	if running != nil {
		_, _ = running.admin.Exec("DROP DATABASE IF EXISTS " + running.template)
		running.stop()
	}
	os.Exit(code)
}
