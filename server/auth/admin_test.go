package auth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"parley/ent/operator"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestOfReplicasThatStartTogetherOneMakesTheAdministrator(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in := install(t, db)
		made := make(chan auth.Credentials, 6)
		var all sync.WaitGroup
		var created atomic.Int32
		for range cap(made) {
			s := in.replica(t)
			all.Go(func() {
				ok, credentials, err := s.EnsureAdmin(ctx, "", "")
				if err != nil {
					t.Error(err)
				}
				if ok {
					created.Add(1)
					made <- credentials
				} else if credentials != (auth.Credentials{}) {
					t.Error("credentials of nobody were given")
				}
			})
		}
		all.Wait()
		if n := in.db.Client().Operator.Query().CountX(ctx); n != 1 || created.Load() != 1 {
			t.Fatalf("%d administrators, %d say that they made one", n, created.Load())
		}
		credentials := <-made
		tokens, err := in.replica(t).SignIn(ctx, credentials.Email, credentials.Password, address)
		must(t, err)
		if credentials.Email != "admin@parley.local" || tokens.Operator.Role != operator.RoleAdmin || tokens.Operator.Name != "Administrator" {
			t.Errorf("made %v", tokens.Operator)
		}
	})
}

func TestAGivenPasswordWorksAndIsNotGivenBack(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := in.replica(t)
	created, credentials, err := s.EnsureAdmin(context.Background(), "Boss@Example.org", password)
	must(t, err)
	if !created || credentials != (auth.Credentials{Email: "boss@example.org"}) {
		t.Errorf("created %v, %v", created, credentials.Email)
	}
	signIn(t, s, "boss@example.org")
}

func TestWhereThereIsAnAdministratorNothingIsMade(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := in.replica(t)
	in.operator(t, "ann@example.org").Update().SetRole(operator.RoleAdmin).ExecX(context.Background())
	created, _, err := s.EnsureAdmin(context.Background(), "not an e-mail", "short")
	if created || err != nil {
		t.Errorf("created %v, %v", created, err)
	}
}

func TestAnAdministratorThatCannotBeMadeIsAnError(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in := install(t, db)
		in.operator(t, "ann@example.org")
		s := in.replica(t)
		_, _, err := s.EnsureAdmin(ctx, "", "short")
		wantCode(t, err, fault.Invalid)
		_, _, err = s.EnsureAdmin(ctx, "no e-mail", "")
		wantCode(t, err, fault.Invalid)
		if _, _, err = s.EnsureAdmin(ctx, "ann@example.org", ""); err == nil {
			t.Error("an operator's e-mail was taken")
		}
	})
}
