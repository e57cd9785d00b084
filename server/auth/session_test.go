package auth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/ent/operator"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/store"
	"parley/server/store/storetest"
)

// session signs somebody in.
func session(t *testing.T, db *store.Store) (*installation, *auth.Service, auth.Tokens) {
	t.Helper()
	in := install(t, db)
	in.operator(t, "ann@example.org")
	s := in.replica(t)
	return in, s, signIn(t, s, "ann@example.org")
}

func refresh(s *auth.Service, tokens auth.Tokens) (auth.Tokens, error) {
	return s.Refresh(context.Background(), tokens.RefreshToken)
}

func TestRefreshingGoesOnWithTheSessionAndTodaysRole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in, s, first := session(t, db)
		before, err := s.Verify(context.Background(), first.AccessToken)
		must(t, err)
		first.Operator.Update().SetRole(operator.RoleSupervisor).ExecX(context.Background())
		in.move(refreshTTL - time.Second)
		second, err := refresh(s, first)
		must(t, err)
		after, err := s.Verify(context.Background(), second.AccessToken)
		must(t, err)
		if after.SessionID != before.SessionID || after.OperatorID != before.OperatorID || after.Role != operator.RoleSupervisor {
			t.Errorf("went from %+v to %+v", before, after)
		}
		in.move(refreshTTL - time.Second)
		_, err = refresh(s, second)
		must(t, err)
	})
}

func TestARefreshTokenThatComesAgainEndsTheSession(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		_, s, first := session(t, db)
		second, err := refresh(s, first)
		must(t, err)
		_, err = refresh(s, first)
		wantCode(t, err, fault.Unauthenticated)
		_, err = refresh(s, second)
		wantCode(t, err, fault.Unauthenticated)
	})
}

func TestOfSimultaneousRefreshesOneAtMostWins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in, s, first := session(t, db)
		replicas := []*auth.Service{s, in.replica(t)}
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				switch _, err := refresh(replicas[i%2], first); {
				case err == nil:
					won.Add(1)
				case fault.CodeOf(err) != fault.Unauthenticated:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
		if row := in.db.Client().Session.Query().OnlyX(context.Background()); row.RevokedAt == nil {
			t.Error("a token that was used twice did not end its session")
		}
	})
}

func TestARefreshTokenEndsWithItsTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in, s, tokens := session(t, db)
		in.move(refreshTTL)
		_, err := refresh(s, tokens)
		wantCode(t, err, fault.Unauthenticated)
	})
}

func TestARefreshTokenThatNobodyMadeIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		_, s, tokens := session(t, db)
		for _, token := range []string{"", "\x00", tokens.AccessToken, tokens.RefreshToken + "x"} {
			_, err := s.Refresh(context.Background(), token)
			wantCode(t, err, fault.Unauthenticated)
		}
		_, err := refresh(s, tokens)
		must(t, err)
	})
}

func TestSigningOutEndsThatSessionOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		_, s, one := session(t, db)
		other := signIn(t, s, "ann@example.org")
		p, err := s.Verify(context.Background(), one.AccessToken)
		must(t, err)
		for range 2 { // again does no harm
			must(t, s.SignOut(context.Background(), p))
		}
		_, err = refresh(s, one)
		wantCode(t, err, fault.Unauthenticated)
		_, err = refresh(s, other)
		must(t, err)
	})
}

func TestRefreshTokensAreNotStored(t *testing.T) {
	in, s, first := session(t, storetest.SQLite(t))
	second, err := refresh(s, first)
	must(t, err)
	row := in.db.Client().Session.Query().OnlyX(context.Background())
	for _, token := range []string{first.RefreshToken, second.RefreshToken} {
		if string(row.TokenHash) == token || string(*row.PreviousHash) == token || len(row.TokenHash) != 32 {
			t.Error("a refresh token is in the database")
		}
	}
}

func TestPurgingRemovesWhatIsOverAndNothingElse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in, s, _ := session(t, db)
		failures(t, in, "email:old@example.org", 3)
		in.move(refreshTTL - time.Second)
		fresh := signIn(t, s, "ann@example.org")
		failures(t, in, "email:new@example.org", 3)
		in.move(time.Second)
		must(t, s.Purge(ctx))
		if n := in.db.Client().Session.Query().CountX(ctx); n != 1 {
			t.Errorf("%d sessions, want the fresh one", n)
		}
		if _, err := in.db.Client().SignInAttempt.Get(ctx, "email:new@example.org"); err != nil {
			t.Error(err)
		}
		if _, err := in.db.Client().SignInAttempt.Get(ctx, "email:old@example.org"); err == nil {
			t.Error("a count whose window is over stays")
		}
		_, err := refresh(s, fresh)
		must(t, err)
	})
}
