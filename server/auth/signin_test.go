package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"parley/server/auth"
	"parley/server/fault"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestTheRightPasswordLetsIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		op := in.operator(t, "ann@example.org")
		tokens := signIn(t, in.replica(t), "  Ann@Example.ORG ")
		if tokens.Operator.ID != op.ID || tokens.AccessToken == "" || tokens.RefreshToken == "" {
			t.Errorf("got %v", tokens.Operator)
		}
	})
}

func TestWhatWasWrongIsNotTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		s := in.replica(t)
		answers := map[string]bool{}
		for _, email := range []string{"ann@example.org", "nobody@example.org", "", "a\x00@b", strings.Repeat("x", 9000) + "@b"} {
			_, err := s.SignIn(context.Background(), email, "wrong password", address)
			wantCode(t, err, fault.Unauthenticated)
			answers[err.Error()] = true
		}
		if len(answers) != 1 {
			t.Errorf("answers differ: %v", answers)
		}
	})
}

func TestWhoHasNoPasswordCannotSignInWithOne(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	in.operator(t, "ann@example.org").Update().SetPasswordHash("").ExecX(context.Background())
	for _, guess := range []string{"", password} {
		_, err := in.replica(t).SignIn(context.Background(), "ann@example.org", guess, address)
		wantCode(t, err, fault.Unauthenticated)
	}
}

func TestParallelGuessesAtAllReplicasDoNotPassTheLimit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		replicas := []*auth.Service{in.replica(t), in.replica(t)}
		var looked, limited atomic.Int32
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				_, err := replicas[i%2].SignIn(context.Background(), "ann@example.org", "wrong password", fmt.Sprintf("192.0.2.%d", i))
				switch fault.CodeOf(err) {
				case fault.Unauthenticated:
					looked.Add(1)
				case fault.RateLimited:
					limited.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if looked.Load() != 10 || limited.Load() != 20 {
			t.Errorf("%d guesses were looked at, %d refused", looked.Load(), limited.Load())
		}
	})
}

func TestOverTheLimitTheRightPasswordDoesNotHelpUntilTheWindowEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		s := in.replica(t)
		failures(t, in, "email:ann@example.org", 10)
		_, err := s.SignIn(context.Background(), "ann@example.org", password, address)
		wantCode(t, err, fault.RateLimited)
		in.move(15*time.Minute - time.Microsecond)
		_, err = s.SignIn(context.Background(), "ann@example.org", password, address)
		wantCode(t, err, fault.RateLimited)
		in.move(time.Microsecond)
		signIn(t, s, "ann@example.org")
	})
}

// failures says that sign-ins failed before, in a window that begins now.
func failures(t *testing.T, in *installation, subject string, n int) {
	t.Helper()
	must(t, in.db.Client().SignInAttempt.Create().SetID(subject).SetFailures(n).
		SetWindowEndsAt(in.now().Add(15*time.Minute)).Exec(context.Background()))
}

func TestOnlyFailuresCount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in := install(t, db)
		in.operator(t, "ann@example.org")
		s := in.replica(t)
		failures(t, in, "email:ann@example.org", 9)
		failures(t, in, "address:192.0.2.1", 49)
		for range 2 { // the second would be one too many for the address
			signIn(t, s, "ann@example.org")
		}
		rows := in.db.Client().SignInAttempt.Query().AllX(ctx)
		if len(rows) != 1 || rows[0].Failures != 49 {
			t.Errorf("counts are %v, want none for the e-mail and the earlier ones for the address", rows)
		}
	})
}

func TestAnAddressOverItsLimitDoesNotUseUpAnEmailsAttempts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		in.operator(t, "ann@example.org")
		s := in.replica(t)
		failures(t, in, "address:192.0.2.66", 50)
		for range 11 {
			_, err := s.SignIn(context.Background(), "ann@example.org", "wrong password", "192.0.2.66:1")
			wantCode(t, err, fault.RateLimited)
		}
		signIn(t, s, "ann@example.org")
	})
}

func TestAnAddressCountsAsItsNetwork(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := in.replica(t)
	for address, subject := range map[string]string{
		"192.0.2.7":                     "address:192.0.2.7",
		"192.0.2.8:55":                  "address:192.0.2.8",
		"::ffff:192.0.2.9":              "address:192.0.2.9",
		"[2001:db8:1:2:3:4:5:6]:55":     "address:2001:db8:1:2::/64",
		"2001:db8:1:3:ffff:ffff:ffff:1": "address:2001:db8:1:3::/64",
		"fe80::1%eth0":                  "address:fe80::/64",
		"@":                             "address:unknown",
	} {
		_, err := s.SignIn(context.Background(), "", "", address)
		wantCode(t, err, fault.Unauthenticated)
		if _, err := in.db.Client().SignInAttempt.Get(context.Background(), subject); err != nil {
			t.Errorf("%s is not counted as %s: %v", address, subject, err)
		}
	}
}

func TestAHashOfOtherParametersIsRenewedAtSignIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in := install(t, db)
		op := in.operator(t, "ann@example.org")
		today := op.PasswordHash
		old, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 16})
		must(t, err)
		op.Update().SetPasswordHash(old).ExecX(ctx)
		s := in.replica(t)
		signIn(t, s, "ann@example.org")
		renewed := in.db.Client().Operator.GetX(ctx, op.ID).PasswordHash
		if parameters(renewed) != parameters(today) {
			t.Fatalf("the hash has %s", parameters(renewed))
		}
		signIn(t, s, "ann@example.org")
		if again := in.db.Client().Operator.GetX(ctx, op.ID).PasswordHash; again != renewed {
			t.Error("a hash of today's parameters was renewed")
		}
	})
}

func parameters(hash string) string { return strings.Split(hash, "$")[3] }
