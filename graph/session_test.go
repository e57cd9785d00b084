package graph_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"parley/server/app/apptest"
)

const (
	signIn  = `mutation($e: String!, $p: String!) { signIn(input: {email: $e, password: $p}) { accessToken refreshToken expiresAt operator { id } userErrors { code } } }`
	refresh = `mutation($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken refreshToken operator { id } userErrors { code } } }`
	signOut = `mutation { signOut { userErrors { code } } }`
	whoAmI  = `{ viewer { operator { id email } } }`
)

// clock goes with real time, and can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func TestASessionLastsFromSignInOverRefreshesToSignOut(t *testing.T) {
	var c clock
	apptest.Each(t, apptest.Options{Now: c.now}, func(t *testing.T, w *world) {
		nobody := w.Anonymous()
		first := nobody.Must(signIn, vars{"e": "ADMIN@test.example", "p": apptest.Password})
		as := func(token string) *client { c := w.Anonymous(); c.Token = token; return c }
		if a := as(first.String("signIn.accessToken")).Must(whoAmI, nil); a.Get("viewer.operator.email") != apptest.AdminEmail {
			t.Error(a.Body)
		}
		second := nobody.Must(refresh, vars{"t": first.Get("signIn.refreshToken")})
		session := as(second.String("refreshSession.accessToken"))
		session.Must(whoAmI, nil)

		// Its access token ends; the refresh token goes on.
		c.advance(20 * time.Minute)
		if a := session.Do(whoAmI, nil); a.Status != http.StatusUnauthorized || a.Code() != "UNAUTHENTICATED" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		third := nobody.Must(refresh, vars{"t": second.Get("refreshSession.refreshToken")})
		as(third.String("refreshSession.accessToken")).Must(signOut, nil)
		if a := nobody.Do(refresh, vars{"t": third.Get("refreshSession.refreshToken")}); a.Code() != "UNAUTHENTICATED" || len(a.Errors) != 1 {
			t.Errorf("after signing out: %s", a.Body)
		}
	})
}

func TestARefreshTokenThatComesTwiceEndsTheSession(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		nobody := w.Anonymous()
		stolen := nobody.Must(signIn, vars{"e": apptest.AdminEmail, "p": apptest.Password}).Get("signIn.refreshToken")
		next := nobody.Must(refresh, vars{"t": stolen}).Get("refreshSession.refreshToken")
		for _, token := range []any{stolen, next, "nonsense", ""} {
			if a := nobody.Do(refresh, vars{"t": token}); a.Code() != "UNAUTHENTICATED" {
				t.Errorf("%v: %s", token, a.Body)
			}
		}
		nobody.Must(refresh, vars{"t": w.Admin.RefreshToken}) // another session of the same person goes on
	})
}

func TestPasswordsAreNotGuessedForLong(t *testing.T) {
	var c clock
	apptest.Each(t, apptest.Options{Now: c.now}, func(t *testing.T, w *world) {
		nobody := w.Anonymous()
		for range 10 {
			if a := nobody.Do(signIn, vars{"e": apptest.AdminEmail, "p": "wrong password"}); a.Code() != "UNAUTHENTICATED" || a.Data != nil {
				t.Fatal(a.Body)
			}
		}
		if a := nobody.Do(signIn, vars{"e": apptest.AdminEmail, "p": apptest.Password}); a.Code() != "RATE_LIMITED" {
			t.Error(a.Body)
		}
		w.Add("Ann", "OPERATOR") // somebody else still gets in
		c.advance(16 * time.Minute)
		nobody.Must(signIn, vars{"e": apptest.AdminEmail, "p": apptest.Password})
	})
}
