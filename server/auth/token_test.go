package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"parley/ent/operator"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/store/storetest"
)

func kid(t testing.TB, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	must(t, err)
	return parsed.Header["kid"].(string)
}

func TestATokenSaysWhoseItIsUntilItEnds(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	op := in.operator(t, "ann@example.org")
	s := in.replica(t)
	tokens := signIn(t, s, "ann@example.org")
	p, err := s.Verify(context.Background(), tokens.AccessToken)
	must(t, err)
	if p.OperatorID != op.ID || p.Role != operator.RoleOperator || p.SessionID == uuid.Nil || !p.ExpiresAt.Equal(tokens.ExpiresAt) {
		t.Errorf("principal %+v", p)
	}
	if life := p.ExpiresAt.Sub(in.now()); life < accessTTL || life >= accessTTL+time.Second {
		t.Errorf("it lives for %v", life)
	}
	in.move(p.ExpiresAt.Sub(in.now()) - time.Microsecond)
	_, err = s.Verify(context.Background(), tokens.AccessToken)
	must(t, err)
	in.move(time.Microsecond)
	_, err = s.Verify(context.Background(), tokens.AccessToken)
	wantCode(t, err, fault.Unauthenticated)
}

// forge makes tokens with the installation's own key.
type forge struct {
	in      *installation
	private *ecdsa.PrivateKey
	kid     string
}

func newForge(t *testing.T, in *installation) forge {
	t.Helper()
	row := in.db.Client().SigningKey.Query().OnlyX(context.Background())
	der, err := in.keys.Open(row.PrivateKey, "signing-key:"+row.ID)
	must(t, err)
	key, err := x509.ParsePKCS8PrivateKey(der)
	must(t, err)
	return forge{in, key.(*ecdsa.PrivateKey), row.ID}
}

func (f forge) claims() jwt.MapClaims {
	now := f.in.now()
	return jwt.MapClaims{
		"iss": issuer, "aud": "parley", "sub": globalid.Of("operator", uuid.New()).String(),
		"sid": uuid.NewString(), "role": "OPERATOR", "jti": "1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
}

func (f forge) sign(t *testing.T, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	unsigned := jwt.NewWithClaims(method, claims)
	unsigned.Header["kid"] = kid
	token, err := unsigned.SignedString(key)
	must(t, err)
	return token
}

func TestATokenIsTakenOnlyIfAllItsClaimsAreRight(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := in.replica(t)
	f := newForge(t, in)
	now := in.now()
	cases := []struct {
		name, claim string
		value       any // nil removes the claim
		ok          bool
	}{
		{"as made", "jti", "2", true},
		{"started by a clock a little ahead", "nbf", now.Add(5 * time.Second).Unix(), true},
		{"issued by a clock a little ahead", "iat", now.Add(5 * time.Second).Unix(), true},
		{"for several, and us", "aud", []string{"other", "parley"}, true},
		{"another issuer", "iss", "https://evil.example", false},
		{"no issuer", "iss", nil, false},
		{"another audience", "aud", "other", false},
		{"no audience", "aud", nil, false},
		{"ended a moment ago", "exp", now.Unix(), false},
		{"without end", "exp", nil, false},
		{"not yet", "nbf", now.Add(7 * time.Second).Unix(), false},
		{"without start", "nbf", nil, false},
		{"issued later", "iat", now.Add(7 * time.Second).Unix(), false},
		{"no subject", "sub", nil, false},
		{"subject of another kind", "sub", globalid.Of("contact", uuid.New()).String(), false},
		{"no session", "sid", nil, false},
		{"unknown role", "role", "ROOT", false},
		{"no role", "role", nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			claims := f.claims()
			if claims[c.claim] = c.value; c.value == nil {
				delete(claims, c.claim)
			}
			_, err := s.Verify(t.Context(), f.sign(t, jwt.SigningMethodES256, f.private, f.kid, claims))
			if c.ok {
				must(t, err)
			} else {
				wantCode(t, err, fault.Unauthenticated)
			}
		})
	}
}

func TestAClientsTokenIsTakenOnlyIfAllItsClaimsAreRight(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := in.replica(t)
	f := newForge(t, in)
	id := globalid.Of("apiclient", uuid.New())
	for name, c := range map[string]struct {
		change jwt.MapClaims // nil removes a claim
		ok     bool
	}{
		"as made":                   {nil, true},
		"a bot's":                   {jwt.MapClaims{"role": "BOT"}, true},
		"without scopes":            {jwt.MapClaims{"scope": nil}, true},
		"a person's role":           {jwt.MapClaims{"role": "ADMIN"}, false},
		"no role":                   {jwt.MapClaims{"role": nil}, false},
		"no client":                 {jwt.MapClaims{"client_id": nil}, false},
		"another client":            {jwt.MapClaims{"client_id": globalid.Of("apiclient", uuid.New()).String()}, false},
		"a session":                 {jwt.MapClaims{"sid": uuid.NewString()}, false},
		"of an operator":            {jwt.MapClaims{"sub": globalid.Of("operator", id.UUID).String()}, false},
		"of an operator, signed in": {jwt.MapClaims{"sub": globalid.Of("operator", id.UUID).String(), "sid": uuid.NewString()}, false},
		"of anything else":          {jwt.MapClaims{"sub": globalid.Of("queue", id.UUID).String()}, false},
		"another issuer":            {jwt.MapClaims{"iss": "https://evil.example"}, false},
		"another audience":          {jwt.MapClaims{"aud": "other"}, false},
		"ended a moment ago":        {jwt.MapClaims{"exp": in.now().Unix()}, false},
	} {
		t.Run(name, func(t *testing.T) {
			claims := f.claims()
			delete(claims, "sid")
			claims["sub"], claims["client_id"], claims["role"], claims["scope"] = id.String(), id.String(), "INTEGRATOR", "chats:read chats:write"
			for claim, value := range c.change {
				if claims[claim] = value; value == nil {
					delete(claims, claim)
				}
			}
			p, err := s.Verify(t.Context(), f.sign(t, jwt.SigningMethodES256, f.private, f.kid, claims))
			if !c.ok {
				wantCode(t, err, fault.Unauthenticated)
				return
			}
			must(t, err)
			if p.ClientID != id.UUID || p.OperatorID != uuid.Nil {
				t.Errorf("principal %+v", p)
			}
		})
	}
}

func TestATokenIsTakenOnlyWithOurSignature(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	s := in.replica(t)
	f := newForge(t, in)
	public, err := x509.MarshalPKIXPublicKey(&f.private.PublicKey)
	must(t, err)
	good := f.sign(t, jwt.SigningMethodES256, f.private, f.kid, f.claims())
	head, signature := good[:strings.LastIndex(good, ".")], good[strings.LastIndex(good, "."):]
	admin := f.claims()
	admin["role"] = "ADMIN"
	other := f.sign(t, jwt.SigningMethodES256, f.private, f.kid, admin)
	tokens := map[string]string{
		"none":                       f.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, f.kid, f.claims()),
		"HMAC with the public key":   f.sign(t, jwt.SigningMethodHS256, public, f.kid, f.claims()),
		"another key under our kid":  swapKid(t, f, strangersToken(t, in)),
		"no kid":                     f.sign(t, jwt.SigningMethodES256, f.private, "", f.claims()),
		"signature of another token": other[:strings.LastIndex(other, ".")] + signature,
		"no signature":               head + ".",
		"two tokens in one":          good + good,
		"empty":                      "",
		"not a token":                "a.b.c",
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			_, err := s.Verify(context.Background(), token)
			wantCode(t, err, fault.Unauthenticated)
		})
	}
	_, err = s.Verify(context.Background(), good)
	must(t, err)
}

// swapKid gives a stranger's token our key's name.
func swapKid(t *testing.T, f forge, token string) string {
	t.Helper()
	ours := strings.Split(f.sign(t, jwt.SigningMethodES256, f.private, f.kid, f.claims()), ".")
	theirs := strings.Split(token, ".")
	return ours[0] + "." + theirs[1] + "." + theirs[2]
}

func TestAShortLifeIsNotCutToNone(t *testing.T) {
	in := install(t, storetest.SQLite(t))
	in.operator(t, "ann@example.org")
	s := auth.New(in.db, in.keys, auth.Options{Issuer: issuer, AccessTTL: time.Second, RefreshTTL: refreshTTL, Now: in.now})
	must(t, s.Start(context.Background()))
	token := signIn(t, s, "ann@example.org").AccessToken
	in.move(time.Second - time.Microsecond)
	_, err := s.Verify(context.Background(), token)
	must(t, err)
}
