package auth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/ent"
	"parley/ent/operator"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/seal"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	issuer     = "https://desk.example"
	accessTTL  = 15 * time.Minute
	refreshTTL = 24 * time.Hour
	address    = "192.0.2.1:4000"
	password   = "correct horse battery"
)

// clock stands still until it is moved.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 3, 1, 9, 0, 0, 250_000_000, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time       { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) move(d time.Duration) { c.micros.Add(d.Microseconds()) }

// installation is one database that replicas share.
type installation struct {
	*clock
	keys *seal.Box
	db   *store.Store
}

func install(t testing.TB, db *store.Store) *installation {
	t.Helper()
	return &installation{newClock(), newBox(t, seal.Generate()), db}
}

func newBox(t testing.TB, list string) *seal.Box {
	t.Helper()
	box, err := seal.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// unstarted is a replica before its start.
func (in *installation) unstarted() *auth.Service {
	return auth.New(in.db, in.keys, auth.Options{Issuer: issuer, AccessTTL: accessTTL, RefreshTTL: refreshTTL, Now: in.now})
}

func (in *installation) replica(t testing.TB) *auth.Service {
	t.Helper()
	s := in.unstarted()
	must(t, s.Start(context.Background()))
	return s
}

// passwordHash is made once: hashing is slow by design.
var passwordHash = sync.OnceValues(func() (string, error) { return auth.Hash(password) })

// operator makes one who may sign in with the password.
func (in *installation) operator(t testing.TB, email string) *ent.Operator {
	t.Helper()
	hash, err := passwordHash()
	must(t, err)
	op, err := in.db.Client().Operator.Create().SetEmail(email).SetName("Ann").SetPasswordHash(hash).
		SetRole(operator.RoleOperator).SetCreatedAt(in.now()).Save(context.Background())
	must(t, err)
	return op
}

func signIn(t testing.TB, s *auth.Service, email string) auth.Tokens {
	t.Helper()
	tokens, err := s.SignIn(context.Background(), email, password, address)
	must(t, err)
	return tokens
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want || err == nil {
		t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

func TestAServiceWithoutAnIssuerDoesNotStart(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := auth.New(in.db, in.keys, auth.Options{AccessTTL: accessTTL, RefreshTTL: refreshTTL})
	if s.Start(context.Background()) == nil {
		t.Error("it would accept tokens of any issuer")
	}
}

func TestAPrincipalIsFoundOnlyWhereItWasPut(t *testing.T) {
	if _, ok := auth.From(context.Background()); ok {
		t.Error("an anonymous request has a principal")
	}
	want := auth.Principal{Role: operator.RoleBot}
	if got, ok := auth.From(auth.With(context.Background(), want)); !ok || got != want {
		t.Errorf("got %v, %v", got, ok)
	}
}
