package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/server/auth"
	"parley/server/fault"
	"parley/server/seal"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestReplicasThatStartTogetherEndWithOneRing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		replicas := make([]*auth.Service, 6)
		var all sync.WaitGroup
		for i := range replicas {
			replicas[i] = in.unstarted()
			all.Go(func() {
				if err := replicas[i].Start(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := in.db.Client().SigningKey.Query().CountX(context.Background()); n != 1 {
			t.Fatalf("%d keys were made", n)
		}
		token := signIn(t, replicas[0], "ann@example.org").AccessToken
		for _, replica := range replicas {
			_, err := replica.Verify(context.Background(), token)
			must(t, err)
		}
	})
}

func TestEveryReplicaAcceptsAKeyThatAnotherJustMade(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		one, other := in.replica(t), in.replica(t)
		before := signIn(t, one, "ann@example.org").AccessToken
		in.move(5 * time.Second)
		must(t, one.Rotate(context.Background()))
		after := signIn(t, one, "ann@example.org").AccessToken
		if kid(t, before) == kid(t, after) {
			t.Fatal("the new key does not sign")
		}
		for _, token := range []string{after, before} {
			_, err := other.Verify(context.Background(), token)
			must(t, err)
		}
	})
}

func TestAReplicaSoonSignsWithAKeyThatAnotherMade(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		one, other := in.replica(t), in.replica(t)
		must(t, one.Rotate(context.Background()))
		in.move(time.Minute)
		if kid(t, signIn(t, one, "ann@example.org").AccessToken) != kid(t, signIn(t, other, "ann@example.org").AccessToken) {
			t.Error("replicas sign with different keys")
		}
	})
}

func TestRotatingDropsKeysOfWhichNoTokenIsLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in := install(t, db)
		in.operator(t, "ann@example.org")
		s := in.replica(t)
		first := signIn(t, s, "ann@example.org").AccessToken
		must(t, s.Rotate(ctx))
		in.move(accessTTL - time.Second)
		must(t, s.Rotate(ctx))
		if _, err := s.Verify(context.Background(), first); err != nil {
			t.Fatalf("a key went before its tokens: %v", err)
		}
		in.move(accessTTL + time.Hour)
		must(t, s.Rotate(ctx))
		if n := in.db.Client().SigningKey.Query().CountX(ctx); n != 2 {
			t.Errorf("%d keys, want the one that signed until now and the new one", n)
		}
		_, err := s.Verify(context.Background(), signIn(t, s, "ann@example.org").AccessToken)
		must(t, err)
	})
}

func TestANewKeySignsEvenIfTheClockIsBehind(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	in.operator(t, "ann@example.org")
	s := in.replica(t)
	before := kid(t, signIn(t, s, "ann@example.org").AccessToken)
	in.move(-time.Minute)
	must(t, s.Rotate(context.Background()))
	if kid(t, signIn(t, s, "ann@example.org").AccessToken) == before {
		t.Error("the key of the replica whose clock is ahead still signs")
	}
}

func TestAFloodOfUnknownKeysReadsTheRingAtMostOnceInAWhile(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	in.operator(t, "ann@example.org")
	s := in.replica(t)
	good := signIn(t, s, "ann@example.org").AccessToken
	stranger := strangersToken(t, in)
	in.move(time.Minute)
	_, err := s.Verify(context.Background(), stranger) // reads the ring
	wantCode(t, err, fault.Unauthenticated)

	must(t, in.db.Close()) // from here, reading it would fail
	for range 100 {
		_, err := s.Verify(context.Background(), stranger)
		wantCode(t, err, fault.Unauthenticated)
	}
	in.move(5 * time.Second)
	if _, err := s.Verify(context.Background(), stranger); err == nil || fault.CodeOf(err) != "" {
		t.Errorf("that the ring could not be read was put down to the token: %v", err)
	}
	if _, err := s.Verify(context.Background(), good); err != nil {
		t.Errorf("a known key needs no database: %v", err)
	}
}

// strangersToken is signed by another installation of the same name.
func strangersToken(t *testing.T, in *installation) string {
	t.Helper()
	other := install(t, storetest.SQLite(t))
	other.move(in.now().Sub(other.now()))
	other.operator(t, "eve@example.org")
	return signIn(t, other.replica(t), "eve@example.org").AccessToken
}

func TestOneCallersPatienceIsNotEverybodys(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	in.operator(t, "ann@example.org")
	s := in.replica(t)
	tokens := signIn(t, s, "ann@example.org")
	in.move(time.Minute) // the ring has to be read again
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Refresh(gone, tokens.RefreshToken); err == nil {
		t.Fatal("a cancelled request succeeded")
	}
	signIn(t, s, "ann@example.org")
}

func TestSigningKeysAreSealedAndRotatingRenewsTheirSeal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		older, newer := seal.Generate(), seal.Generate()
		in := install(t, db)
		in.keys = newBox(t, older)
		in.operator(t, "ann@example.org")
		token := signIn(t, in.replica(t), "ann@example.org").AccessToken

		in.keys = newBox(t, newer+","+older)
		must(t, in.replica(t).Rotate(ctx))
		in.keys = newBox(t, newer) // the older one is gone
		if _, err := in.replica(t).Verify(context.Background(), token); err != nil {
			t.Errorf("a token from before: %v", err)
		}
	})
}

func TestWithoutItsSecretKeyAReplicaDoesNotStart(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	in.replica(t)
	in.keys = newBox(t, seal.Generate())
	err := in.unstarted().Start(context.Background())
	if err == nil || !strings.Contains(err.Error(), "secret key") {
		t.Errorf("it does not say what is wrong: %v", err)
	}
}
