package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/operator"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/store"
	"parley/server/store/storetest"
)

const (
	skew      = 30 * time.Second // as in the package
	keysAge   = 5 * time.Minute
	missEvery = 3 * time.Second
)

// idp is an outside identity server over HTTP, which signs whatever it is told.
type idp struct {
	*httptest.Server
	in      *installation
	service *auth.Service
	reads   atomic.Int64 // of its keys

	mu   sync.Mutex
	keys []jose.JSONWebKey
	down bool
	hold chan struct{} // its keys are not given before this is closed; nil is at once
	set  auth.Outside
}

// outside is an installation whose settings name an outside identity server with
// one key, and an operator Ann.
func outside(t *testing.T, db *store.Store) *idp {
	t.Helper()
	p := &idp{in: install(t, db)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) {
		p.reads.Add(1)
		p.mu.Lock()
		keys, down, hold := p.keys, p.down, p.hold
		p.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	p.set = auth.Outside{URL: p.URL, ClientID: "desk", OperatorClaim: "email"}
	p.service = p.replica(t)
	p.publish("1", rsaKey.Public())
	p.in.operator(t, "ann@example.org")
	return p
}

// replica is one more process with the same settings.
func (p *idp) replica(t testing.TB) *auth.Service {
	t.Helper()
	s := auth.New(p.in.db, p.in.keys, auth.Options{
		Issuer: issuer, AccessTTL: accessTTL, RefreshTTL: refreshTTL, Now: p.in.now,
		Outside: func() auth.Outside { p.mu.Lock(); defer p.mu.Unlock(); return p.set },
	})
	must(t, s.Start(context.Background()))
	return s
}

func (p *idp) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// publish adds a key.
func (p *idp) publish(kid string, public crypto.PublicKey) {
	p.change(func() { p.keys = append(p.keys, jose.JSONWebKey{Key: public, KeyID: kid, Use: "sig"}) })
}

var (
	rsaKey   = generated(rsa.GenerateKey(rand.Reader, 2048))
	otherRSA = generated(rsa.GenerateKey(rand.Reader, 2048))
	p256Key  = generated(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384Key  = generated(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, edKey = pair(ed25519.GenerateKey(rand.Reader))
)

func generated[K any](key K, err error) K {
	if err != nil {
		panic(err)
	}
	return key
}

func pair(public ed25519.PublicKey, private ed25519.PrivateKey, err error) (ed25519.PublicKey, ed25519.PrivateKey) {
	return public, generated(private, err)
}

// claims are those of Ann's token, changed; nil takes one away.
func (p *idp) claims(change jwt.MapClaims) jwt.MapClaims {
	now := p.in.now()
	claims := jwt.MapClaims{
		"iss": p.URL, "aud": "desk", "sub": "a7", "client_id": "spa", "email": "Ann@Example.org", "email_verified": true,
		"scope": "openid email", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func signed(method jwt.SigningMethod, key any, header, claims map[string]any) string {
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	for name, value := range header {
		token.Header[name] = value
	}
	return generated(token.SignedString(key))
}

// token is Ann's, changed, by the first key.
func (p *idp) token(change jwt.MapClaims) string {
	return signed(jwt.SigningMethodRS256, rsaKey, vars{"kid": "1"}, p.claims(change))
}

type vars = map[string]any

func (p *idp) verify(token string) (auth.Principal, error) {
	return p.service.Verify(context.Background(), token)
}

// machine makes an API client of a client of the identity server.
func (p *idp) machine(t testing.TB, external string, role apiclient.Role, scopes ...string) *ent.APIClient {
	t.Helper()
	client, err := p.in.db.Client().APIClient.Create().SetName(external).SetRole(role).SetScopes(scopes).SetSecretHash([]byte{}).
		SetExternalClientID(external).SetCreatedAt(p.in.now()).Save(context.Background())
	must(t, err)
	return client
}

// wantRefusal is one of the token, with words that say why.
func wantRefusal(t testing.TB, err error, says string) {
	t.Helper()
	wantCode(t, err, fault.Unauthenticated)
	if !strings.Contains(err.Error(), says) {
		t.Errorf("it says %q, not %q", err, says)
	}
}

func TestATokenFromOutsideIsTheOperatorsThatItsClaimNames(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		p := outside(t, db)
		who, err := p.verify(p.token(jwt.MapClaims{"role": "ADMIN", "roles": []string{"ADMIN"}}))
		must(t, err)
		ann := db.Client().Operator.Query().Where(operator.Email("ann@example.org")).OnlyX(t.Context())
		end := time.Unix(p.claims(nil)["exp"].(int64), 0).Add(skew)
		if who.OperatorID != ann.ID || who.ClientID != uuid.Nil || who.Role != operator.RoleOperator || who.Scope != "" || !who.ExpiresAt.Equal(end) {
			t.Errorf("%+v", who)
		}
		for name, c := range map[string]struct {
			claims jwt.MapClaims
			says   string // empty is accepted
		}{
			"its e-mail is not said to be verified": {jwt.MapClaims{"email_verified": nil}, ""},
			"verified, as a text":                   {jwt.MapClaims{"email_verified": "true"}, ""},
			"not verified":                          {jwt.MapClaims{"email_verified": false}, "not verified"},
			"not verified, as a text":               {jwt.MapClaims{"email_verified": "false"}, "not verified"},
			"verified by a number":                  {jwt.MapClaims{"email_verified": 1}, "not verified"},
			"nobody here":                           {jwt.MapClaims{"email": "ben@example.org"}, "no operator"},
			"no e-mail":                             {jwt.MapClaims{"email": nil}, "no claim email"},
			"another claim's letters":               {jwt.MapClaims{"email": nil, "Email": "ann@example.org"}, "no claim email"},
			"an e-mail that is none":                {jwt.MapClaims{"email": "ann"}, "no e-mail"},
			"several e-mails":                       {jwt.MapClaims{"email": []string{"ann@example.org"}}, "no claim email"},
			"for several, and us":                   {jwt.MapClaims{"aud": []string{"other", "desk"}}, ""},
			"for our public URL":                    {jwt.MapClaims{"aud": issuer}, ""},
			"another audience":                      {jwt.MapClaims{"aud": "spa"}, "another audience"},
			"no audience":                           {jwt.MapClaims{"aud": nil}, "not valid"},
			"an empty audience":                     {jwt.MapClaims{"aud": ""}, "not valid"},
			"an ID token of ours":                   {jwt.MapClaims{"client_id": nil, "azp": "desk", "nonce": "n", "typ": "ID"}, ""},
			"an ID token of another client":         {jwt.MapClaims{"client_id": nil, "aud": "spa", "azp": "spa", "typ": "ID"}, "another audience"},
			"a refresh token":                       {jwt.MapClaims{"typ": "Refresh"}, "not valid"},
			"a logout token":                        {jwt.MapClaims{"events": vars{}}, "not valid"},
			"bound to a key of its holder":          {jwt.MapClaims{"cnf": vars{"jkt": "x"}}, "not valid"},
			"without end":                           {jwt.MapClaims{"exp": nil}, "not valid"},
			"an end that is a text":                 {jwt.MapClaims{"exp": "tomorrow"}, "not valid"},
		} {
			_, err := p.verify(p.token(c.claims))
			if c.says == "" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if c.says != "" && (fault.CodeOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestTheClaimAndTheAudienceAreThoseOfTheSettings(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	p.change(func() { p.set.OperatorClaim, p.set.Audience = "upn", "api://desk" })
	right := jwt.MapClaims{"upn": "ann@example.org", "email": nil, "email_verified": false, "aud": "api://desk"}
	_, err := p.verify(p.token(right))
	must(t, err) // that another claim is not verified says nothing of this one
	_, err = p.verify(p.token(jwt.MapClaims{"aud": "api://desk"}))
	wantRefusal(t, err, "no claim upn")
	for _, aud := range []string{"desk", issuer} {
		right["aud"] = aud
		_, err = p.verify(p.token(right))
		wantRefusal(t, err, "another audience")
	}
}

func TestATokenFromOutsideIsAMachinesOnlyWhereNoPersonCanHaveIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		p := outside(t, db)
		client := p.machine(t, "Jobs", apiclient.RoleIntegrator, "chats:read")
		p.machine(t, "spa", apiclient.RoleIntegrator, "chats:read")
		for name, c := range map[string]struct {
			claims jwt.MapClaims
			says   string // empty is that it is the machine's
		}{
			"oidc-provider":                        {jwt.MapClaims{"sub": "Jobs", "client_id": "Jobs"}, ""},
			"named by azp":                         {jwt.MapClaims{"sub": "Jobs", "client_id": nil, "azp": "Jobs"}, ""},
			"Keycloak":                             {jwt.MapClaims{"client_id": "Jobs", "azp": "Jobs", "typ": "Bearer", "preferred_username": "service-account-jobs"}, ""},
			"an unknown client":                    {jwt.MapClaims{"sub": "other", "client_id": "other"}, "no API client"},
			"letters of another case":              {jwt.MapClaims{"sub": "jobs", "client_id": "jobs"}, "no API client"},
			"two clients":                          {jwt.MapClaims{"sub": "Jobs", "client_id": "Jobs", "azp": "spa"}, "no claim email"},
			"a person without a claim":             {jwt.MapClaims{}, "no claim email"},
			"a person of the machine's client":     {jwt.MapClaims{"client_id": "Jobs", "azp": "Jobs", "preferred_username": "jobs"}, "no claim email"},
			"a person who took the account's name": {jwt.MapClaims{"client_id": nil, "azp": "spa", "preferred_username": "service-account-spa"}, "no claim email"},
			"a subject and no client":              {jwt.MapClaims{"sub": "Jobs", "client_id": nil}, "no claim email"},
			"neither":                              {jwt.MapClaims{"sub": "", "client_id": ""}, "no claim email"},
			"another audience":                     {jwt.MapClaims{"sub": "Jobs", "client_id": "Jobs", "aud": "other"}, "another audience"},
		} {
			c.claims["email"] = nil
			who, err := p.verify(p.token(c.claims))
			if c.says == "" && (err != nil || who.ClientID != client.ID || who.OperatorID != uuid.Nil || who.Role != operator.RoleIntegrator) {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
			if c.says != "" && (fault.CodeOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
		}
		if used := db.Client().APIClient.GetX(t.Context(), client.ID).LastUsedAt; used == nil || !used.Equal(p.in.now()) {
			t.Errorf("last used at %v", used)
		}
	})
}

func TestAMachinesTokenIsForTheScopesOfOursThatItNames(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	p.machine(t, "jobs", apiclient.RoleIntegrator, "chats:read", "chats:write")
	for _, c := range []struct {
		scope, scp any
		want       string
	}{
		{nil, nil, "chats:read chats:write"},
		{"openid profile", nil, "chats:read chats:write"},
		{"openid chats:read", nil, "chats:read"},
		{"chats:write chats:read", nil, "chats:read chats:write"},
		{nil, []string{"chats:write"}, "chats:write"},
		{[]any{"chats:read", 7}, nil, "chats:read"},
		{"chats:readers", nil, "chats:read chats:write"},
	} {
		who, err := p.verify(p.token(jwt.MapClaims{"sub": "jobs", "client_id": "jobs", "scope": c.scope, "scp": c.scp}))
		if err != nil || who.Scope != c.want {
			t.Errorf("%v, %v: %q, %v", c.scope, c.scp, who.Scope, err)
		}
	}
}

func TestAMachineFromOutsideHasNoSecretHere(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	client := p.machine(t, "jobs", apiclient.RoleIntegrator)
	for _, secret := range []string{"", "anything"} {
		_, err := p.service.ClientToken(t.Context(), client.GlobalID().String(), secret, nil, address)
		wantCode(t, err, fault.Unauthenticated)
	}
}

func TestARevokedMachineIsRefusedAtLatestWhenTheKeysAreReadAgain(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	client := p.machine(t, "jobs", apiclient.RoleIntegrator)
	token := p.token(jwt.MapClaims{"sub": "jobs", "client_id": "jobs"})
	_, err := p.verify(token)
	must(t, err)
	p.in.db.Client().APIClient.UpdateOne(client).SetRevokedAt(p.in.now()).ExecX(t.Context())
	p.in.move(keysAge)
	storetest.Until(t, "the machine is refused", func() bool {
		_, err = p.verify(token)
		return fault.CodeOf(err) == fault.Unauthenticated
	})
}

func TestTheClocksOfTwoMayDifferALittle(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	now := p.in.now().Truncate(time.Second)
	p.in.move(now.Sub(p.in.now()))
	for name, c := range map[string]struct {
		claim string
		at    time.Duration
		ok    bool
	}{
		"ended within the skew":  {"exp", -skew + time.Second, true},
		"ended before":           {"exp", -skew, false},
		"begins within the skew": {"nbf", skew, true},
		"begins later":           {"nbf", skew + time.Second, false},
		"made within the skew":   {"iat", skew, true},
		"made later":             {"iat", skew + time.Second, false},
	} {
		_, err := p.verify(p.token(jwt.MapClaims{c.claim: now.Add(c.at).Unix()}))
		if (err == nil) != c.ok || err != nil && fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	token := p.token(nil)
	who, err := p.verify(token)
	must(t, err)
	p.in.move(who.ExpiresAt.Sub(p.in.now()))
	_, err = p.verify(token) // is known, and has ended
	wantRefusal(t, err, "expired")
}

func TestEachAlgorithmOfTwoKeysIsAcceptedByAKeyOfItsOwn(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	p.publish("p256", p256Key.Public())
	p.publish("p384", p384Key.Public())
	p.publish("ed", edKey.Public())
	keys := map[string]any{"1": rsaKey, "p256": p256Key, "p384": p384Key, "ed": edKey}
	for method, kid := range map[jwt.SigningMethod]string{
		jwt.SigningMethodRS256: "1", jwt.SigningMethodRS512: "1", jwt.SigningMethodPS256: "1", jwt.SigningMethodPS384: "1",
		jwt.SigningMethodES256: "p256", jwt.SigningMethodES384: "p384", jwt.SigningMethodEdDSA: "ed",
	} {
		_, err := p.verify(signed(method, keys[kid], vars{"kid": kid, "typ": "at+jwt"}, p.claims(nil)))
		if err != nil {
			t.Errorf("%s: %v", method.Alg(), err)
		}
	}
}

func TestATokenFromOutsideIsTakenOnlyWithItsServersSignature(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	small := smallKey(t)
	p.publish("small", small.Public())
	p.publish("p256", p256Key.Public())
	p.change(func() {
		p.keys = append(p.keys,
			jose.JSONWebKey{Key: otherRSA.Public(), KeyID: "ps", Algorithm: "PS256"},
			jose.JSONWebKey{Key: otherRSA.Public(), KeyID: "enc", Use: "enc"},
			jose.JSONWebKey{Key: []byte("a secret of 32 bytes, published!"), KeyID: "oct"})
	})
	der := generated(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	claims := p.claims(nil)
	forged := p.claims(jwt.MapClaims{"email": "admin@example.org"})
	good := p.token(nil)
	own := newForge(t, p.in)
	for name, token := range map[string]string{
		"none":                         signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, vars{"kid": "1"}, claims),
		"HMAC with the public key":     signed(jwt.SigningMethodHS256, der, vars{"kid": "1"}, claims),
		"HMAC with its modulus":        signed(jwt.SigningMethodHS256, rsaKey.N.Bytes(), vars{"kid": "1"}, claims),
		"HMAC with a published secret": signed(jwt.SigningMethodHS256, []byte("a secret of 32 bytes, published!"), vars{"kid": "oct"}, claims),
		"another key under its kid":    signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "1"}, claims),
		"a key for something else":     signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "enc"}, claims),
		"a key of another algorithm":   signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "ps"}, claims),
		"a key of another kind":        signed(jwt.SigningMethodES256, p256Key, vars{"kid": "1"}, claims),
		"a key that is too short":      signed(jwt.SigningMethodRS256, small, vars{"kid": "small"}, claims),
		"no kid where keys are many":   signed(jwt.SigningMethodRS256, rsaKey, nil, claims),
		"a kid that is no text":        signed(jwt.SigningMethodRS256, rsaKey, vars{"kid": 1}, claims),
		"a key of its own":             signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "1", "jwk": jose.JSONWebKey{Key: otherRSA.Public()}}, claims),
		"something critical":           signed(jwt.SigningMethodRS256, rsaKey, vars{"kid": "1", "crit": []string{"x"}, "x": 1}, claims),
		"an introspection":             signed(jwt.SigningMethodRS256, rsaKey, vars{"kid": "1", "typ": "token-introspection+jwt"}, claims),
		"the claims of another":        strings.Split(good, ".")[0] + "." + strings.Split(signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "1"}, forged), ".")[1] + "." + strings.Split(good, ".")[2],
		"no signature":                 good[:strings.LastIndex(good, ".")+1],
		"our issuer, their key":        p.token(jwt.MapClaims{"iss": issuer, "aud": "parley"}),
		"their issuer, our key":        own.sign(t, jwt.SigningMethodES256, own.private, own.kid, claims),
		"a third issuer":               p.token(jwt.MapClaims{"iss": "https://evil.example"}),
		"their issuer with a slash":    p.token(jwt.MapClaims{"iss": p.URL + "/"}),
		"no issuer":                    p.token(jwt.MapClaims{"iss": nil}),
		"several issuers":              p.token(jwt.MapClaims{"iss": []string{p.URL}}),
	} {
		p.in.move(missEvery) // the keys may be read for each
		if _, err := p.verify(token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := p.verify(good)
	must(t, err)
}

// smallKey has 1024 bits; the last one that Go makes.
func smallKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	return generated(rsa.GenerateKey(rand.Reader, 1024))
}

func TestATokenNeedsNameNoKeyWhereThereIsOne(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	_, err := p.verify(signed(jwt.SigningMethodRS256, rsaKey, nil, p.claims(nil)))
	must(t, err)
}

func TestTokensOfTheEmbeddedIssuerAreAlwaysAccepted(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	p.change(func() { p.down = true })
	_, err := p.verify(signIn(t, p.service, "ann@example.org").AccessToken)
	must(t, err)
	if n := p.reads.Load(); n != 0 {
		t.Errorf("%d readings of the outside server's keys", n)
	}
}

func TestANewKeyOfTheIdentityServerIsKnownAtOnceAndAnOldOneGoes(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	before := p.token(nil)
	_, err := p.verify(before)
	must(t, err)
	p.change(func() { p.keys = []jose.JSONWebKey{} })
	p.publish("2", otherRSA.Public())
	after := signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "2"}, p.claims(nil))
	_, err = p.verify(after)
	wantCode(t, err, fault.Overloaded) // the keys were read a moment ago: it cannot be told
	p.in.move(missEvery)
	_, err = p.verify(after)
	must(t, err)
	p.in.move(missEvery)
	_, err = p.verify(before)
	wantRefusal(t, err, "not valid")
}

func TestAKeyThatWasTakenAwayGoesThoughNobodyNamesAnother(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	token := p.token(nil)
	_, err := p.verify(token)
	must(t, err)
	p.change(func() { p.keys = []jose.JSONWebKey{} })
	p.in.move(keysAge - time.Second)
	_, err = p.verify(token)
	must(t, err)
	p.in.move(time.Second)
	_, err = p.verify(token) // is not kept waiting
	must(t, err)
	storetest.Until(t, "the token is refused", func() bool {
		p.in.move(missEvery)
		_, err := p.verify(token)
		return fault.CodeOf(err) == fault.Unauthenticated
	})
}

func TestKeysAreReadAgainThoughNobodyComes(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	_, err := p.verify(p.token(nil))
	must(t, err)
	p.in.move(keysAge)
	go p.service.Run(t.Context())
	storetest.Until(t, "the keys are read again", func() bool { return p.reads.Load() == 2 })
}

func TestKnownKeysGoOnWhileTheIdentityServerIsDown(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	p.change(func() { p.down = true })
	_, err := p.verify(p.token(nil))
	wantCode(t, err, fault.Overloaded) // no key is known
	p.change(func() { p.down = false })
	_, err = p.verify(p.token(nil))
	wantCode(t, err, fault.Overloaded) // nor is it asked again so soon
	p.in.move(missEvery)
	_, err = p.verify(p.token(nil))
	must(t, err)
	p.Close()
	for range 3 {
		p.in.move(keysAge)
		_, err = p.verify(p.token(nil))
		must(t, err)
	}
	p.in.move(missEvery)
	_, err = p.verify(signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": "2"}, p.claims(nil)))
	wantCode(t, err, fault.Overloaded)
}

func TestWhoWaitsForKeysWaitsOnlyAsLongAsTheyWant(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	hold := make(chan struct{})
	p.change(func() { p.hold = hold })
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan error)
	go func() {
		_, err := p.service.Verify(ctx, p.token(nil))
		refused <- err
	}()
	storetest.Until(t, "the keys are read", func() bool { return p.reads.Load() > 0 })
	cancel()
	wantCode(t, <-refused, fault.Overloaded)
	close(hold) // the reading goes on for the others
	_, err := p.verify(p.token(nil))
	must(t, err)
}

func TestManyAtOnceReadTheKeysOnce(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	hold := make(chan struct{})
	p.change(func() { p.hold = hold })
	token := p.token(nil)
	errs := make(chan error, 50)
	for range cap(errs) {
		go func() {
			_, err := p.verify(token)
			errs <- err
		}()
	}
	storetest.Until(t, "somebody reads them", func() bool { return p.reads.Load() > 0 })
	close(hold)
	for range cap(errs) {
		must(t, <-errs)
	}
	if n := p.reads.Load(); n != 1 {
		t.Errorf("%d readings", n)
	}
}

func TestAFloodOfUnknownKeysReadsThemNowAndThen(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	const rounds = 3
	for round := range rounds {
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				_, err := p.verify(signed(jwt.SigningMethodRS256, otherRSA, vars{"kid": fmt.Sprint(round, i)}, p.claims(nil)))
				if code := fault.CodeOf(err); code != fault.Unauthenticated && code != fault.Overloaded {
					t.Error(err)
				}
			})
		}
		all.Wait()
		_, err := p.verify(p.token(nil)) // those with a known key notice nothing
		must(t, err)
		p.in.move(missEvery)
	}
	if n := p.reads.Load(); n != rounds {
		t.Errorf("%d readings", n)
	}
}

func TestWhenTheSettingsChangeTokensOfTheEarlierServerAreRefused(t *testing.T) {
	earlier := outside(t, storetest.SQLite(t))
	token := earlier.token(nil)
	who, err := earlier.verify(token)
	must(t, err)
	ended := make(chan struct{})
	who.Distrusted(t.Context(), func() { close(ended) })
	first := earlier.set
	for name, change := range map[string]func(*auth.Outside){
		"another server":   func(o *auth.Outside) { o.URL = "https://id.example" },
		"another audience": func(o *auth.Outside) { o.Audience = "other" },
		"another client":   func(o *auth.Outside) { o.ClientID = "other" },
		"another claim":    func(o *auth.Outside) { o.OperatorClaim = "upn" },
		"ours":             func(o *auth.Outside) { o.URL = issuer },
		"none":             func(o *auth.Outside) { *o = auth.Outside{} },
	} {
		earlier.change(func() { earlier.set = first; change(&earlier.set) })
		if _, err := earlier.verify(token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		earlier.change(func() { earlier.set = first })
		if _, err := earlier.verify(token); err != nil {
			t.Errorf("back from %s: %v", name, err)
		}
	}
	<-ended
}

func TestThatTheSettingsHaveChangedIsNoticedThoughNobodyComes(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	who, err := p.verify(p.token(nil))
	must(t, err)
	ended := make(chan struct{})
	who.Distrusted(t.Context(), func() { close(ended) })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	go p.service.Run(t.Context())
	p.change(func() { p.set = auth.Outside{} })
	<-ended
	own, err := p.verify(signIn(t, p.service, "ann@example.org").AccessToken)
	must(t, err)
	for _, p := range []auth.Principal{own, {}} {
		p.Distrusted(gone, func() { t.Error("our own tokens are trusted for ever") })
	}
}

func TestARequestHearsWhyATokenFromOutsideIsRefused(t *testing.T) {
	p := outside(t, storetest.SQLite(t))
	answer, _, _, handled := ask(p.service, []string{"Bearer " + p.token(jwt.MapClaims{"email": "ben@example.org"})})
	if handled || answer.Code != http.StatusUnauthorized || errorCode(t, answer) != "UNAUTHENTICATED" {
		t.Errorf("handled %v, status %d: %s", handled, answer.Code, answer.Body)
	}
	if header := answer.Header().Get("WWW-Authenticate"); !strings.HasPrefix(header, "Bearer ") {
		t.Errorf("WWW-Authenticate %q", header)
	}
	answer, _, _, handled = ask(p.service, []string{"Bearer " + signed(jwt.SigningMethodRS256, rsaKey, vars{"kid": "2"}, p.claims(nil))})
	if handled || answer.Code != http.StatusServiceUnavailable || errorCode(t, answer) != "OVERLOADED" || answer.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("handled %v, status %d: %s", handled, answer.Code, answer.Body)
	}
}
