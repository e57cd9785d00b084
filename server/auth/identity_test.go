package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/store"
	"parley/server/store/storetest"
)

// identity is an identity server on the wire. Its replicas share their URL, as
// behind a proxy that asks one and then the other.
type identity struct {
	*installation
	url      string
	replicas []*auth.Service
}

func serve(t *testing.T, db *store.Store, replicas int) *identity {
	t.Helper()
	id := &identity{installation: install(t, db)}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := id.replicas[int(asked.Add(1))%len(id.replicas)]
		map[string]http.HandlerFunc{auth.DiscoveryPath: s.Discovery, auth.KeysPath: s.Keys, auth.TokenPath: s.Token}[r.URL.Path](w, r)
	}))
	t.Cleanup(server.Close)
	id.url = server.URL
	for range replicas {
		s := auth.New(id.db, id.keys, auth.Options{Issuer: id.url, AccessTTL: accessTTL, RefreshTTL: refreshTTL, Now: id.now})
		must(t, s.Start(context.Background()))
		id.replicas = append(id.replicas, s)
	}
	return id
}

// client makes an API client.
func (in *installation) client(t testing.TB, name string, scopes ...string) (id, secret string) {
	t.Helper()
	secret = auth.NewSecret()
	row, created, err := in.unstarted().EnsureClient(context.Background(),
		auth.NewClient{Name: name, Secret: secret, Role: apiclient.RoleIntegrator, Scopes: scopes}, nil)
	must(t, err)
	if !created {
		t.Fatal("there is one already")
	}
	return row.GlobalID().String(), secret
}

func (id *identity) revoke(t *testing.T, name string) {
	t.Helper()
	must(t, id.db.Client().APIClient.Update().Where(apiclient.Name(name)).SetRevokedAt(id.now()).Exec(context.Background()))
}

// config is what somebody else's client of an identity server is told.
func (id *identity) config(clientID, secret string, style oauth2.AuthStyle, scopes ...string) *clientcredentials.Config {
	return &clientcredentials.Config{ClientID: clientID, ClientSecret: secret, TokenURL: id.url + auth.TokenPath, Scopes: scopes, AuthStyle: style}
}

// accepts says whether a library that others wrote takes a token, with what it
// finds out about the issuer by itself.
func (id *identity) accepts(t *testing.T, token string) (*oidc.IDToken, error) {
	t.Helper()
	provider, err := oidc.NewProvider(context.Background(), id.url)
	must(t, err)
	return provider.Verifier(&oidc.Config{ClientID: "parley", Now: id.now}).Verify(context.Background(), token)
}

func TestOthersLibrariesGetAndVerifyTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 2)
		clientID, secret := in.client(t, "Importer", "chats:read", "chats:write")
		for name, style := range map[string]oauth2.AuthStyle{"basic": oauth2.AuthStyleInHeader, "post": oauth2.AuthStyleInParams} {
			token, err := in.config(clientID, secret, style, "chats:read").Token(context.Background())
			must(t, err)
			if token.Type() != "Bearer" || token.Extra("scope") != "chats:read" || token.Extra("expires_in") != float64(accessTTL.Seconds()) {
				t.Errorf("%s: %s, scope %v, ends in %v", name, token.Type(), token.Extra("scope"), token.Extra("expires_in"))
			}
			if head, _, err := jwt.NewParser().ParseUnverified(token.AccessToken, jwt.MapClaims{}); err != nil || head.Header["typ"] != "at+jwt" {
				t.Errorf("%s: the token's head is %v", name, head.Header)
			}
			verified, err := in.accepts(t, token.AccessToken)
			must(t, err)
			var claims map[string]any
			must(t, verified.Claims(&claims))
			if verified.Subject != clientID || claims["client_id"] != clientID || claims["scope"] != "chats:read" || claims["role"] != "INTEGRATOR" || claims["sid"] != nil {
				t.Errorf("%s: claims %v", name, claims)
			}
			for _, replica := range in.replicas {
				p, err := replica.Verify(context.Background(), token.AccessToken)
				must(t, err)
				if globalid.Of("apiclient", p.ClientID).String() != clientID || p.Role != "INTEGRATOR" || !slices.Equal(p.Scopes(), []string{"chats:read"}) ||
					p.OperatorID != uuid.Nil || p.SessionID != uuid.Nil || !p.ExpiresAt.Equal(in.now().Add(accessTTL+time.Second-1).Truncate(time.Second)) {
					t.Errorf("%s: principal %+v", name, p)
				}
			}
		}
	})
}

func TestPeoplesTokensAreOfTheSameIssuerAndRing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 1)
		op := in.operator(t, "ann@example.org")
		verified, err := in.accepts(t, signIn(t, in.replicas[0], "ann@example.org").AccessToken)
		must(t, err)
		if verified.Subject != op.GlobalID().String() || verified.Issuer != in.url {
			t.Errorf("the token is %+v", verified)
		}
	})
}

func TestTheTokenEndsAndIsForUs(t *testing.T) {
	in := serve(t, storetest.SQLite(t), 1)
	token, err := in.basic(in.client(t, "Importer")).Token(context.Background())
	must(t, err)
	provider, err := oidc.NewProvider(context.Background(), in.url)
	must(t, err)
	if _, err := provider.Verifier(&oidc.Config{ClientID: "other", Now: in.now}).Verify(context.Background(), token.AccessToken); err == nil {
		t.Error("it is for anybody")
	}
	in.move(accessTTL + time.Second)
	expired := &oidc.TokenExpiredError{}
	if _, err := in.accepts(t, token.AccessToken); !errors.As(err, &expired) {
		t.Errorf("it goes on: %v", err)
	}
	_, err = in.replicas[0].Verify(context.Background(), token.AccessToken)
	wantCode(t, err, fault.Unauthenticated)
}

func TestTokensAndKeysGoOnWhileKeysAreRotated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 2)
		in.operator(t, "ann@example.org")
		clientID, secret := in.client(t, "Importer")
		provider, err := oidc.NewProvider(context.Background(), in.url) // keeps its copy of the keys
		must(t, err)
		verifier := provider.Verifier(&oidc.Config{ClientID: "parley", Now: in.now})
		kids := map[string]bool{}
		var tokens []string
		for range 3 {
			in.move(5 * time.Second)
			must(t, in.replicas[0].Rotate(context.Background()))
			got, err := in.replicas[0].ClientToken(context.Background(), clientID, secret, nil, address)
			must(t, err)
			person := signIn(t, in.replicas[0], "ann@example.org").AccessToken
			if kid(t, got.AccessToken) != kid(t, person) {
				t.Error("people's tokens and machines' have different keys")
			}
			kids[kid(t, got.AccessToken)] = true
			tokens = append(tokens, got.AccessToken, person)
			for _, token := range tokens {
				if _, err := verifier.Verify(context.Background(), token); err != nil {
					t.Error(err)
				}
				for _, replica := range in.replicas {
					_, err := replica.Verify(context.Background(), token)
					must(t, err)
				}
			}
		}
		if shown := in.shownKeys(t); len(kids) != 3 || len(shown) != 4 || !containsAll(shown, kids) {
			t.Errorf("keys are shown as %v, of %v", shown, kids)
		}
	})
}

// shownKeys are the ids of the keys that anybody can read.
func (id *identity) shownKeys(t *testing.T) (kids []string) {
	t.Helper()
	answer, body := id.get(t, auth.KeysPath)
	if answer.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("keys may be kept: %v", answer.Header)
	}
	var set struct{ Keys []map[string]string }
	must(t, json.Unmarshal(body, &set))
	for _, key := range set.Keys {
		if key["kty"] != "EC" || key["d"] != "" || len(key) != 7 {
			t.Errorf("a key is %v", key)
		}
		kids = append(kids, key["kid"])
	}
	return kids
}

func (id *identity) get(t *testing.T, path string) (*http.Response, []byte) {
	t.Helper()
	answer, err := http.Get(id.url + path)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %d %v", path, answer.StatusCode, answer.Header)
	}
	return answer, body
}

func containsAll(list []string, want map[string]bool) bool {
	for one := range want {
		if !slices.Contains(list, one) {
			return false
		}
	}
	return true
}

// basic has the credentials in the header.
func (id *identity) basic(clientID, secret string) *clientcredentials.Config {
	return id.config(clientID, secret, oauth2.AuthStyleInHeader)
}

// post asks for a token with a form, and with the Authorization headers given.
func (id *identity) post(t *testing.T, form string, authorization ...string) (status int, header http.Header, body map[string]any) {
	t.Helper()
	return id.ask(t, http.MethodPost, "application/x-www-form-urlencoded", form, authorization...)
}

func (id *identity) ask(t *testing.T, method, kind, form string, authorization ...string) (status int, header http.Header, body map[string]any) {
	t.Helper()
	request, err := http.NewRequest(method, id.url+auth.TokenPath, strings.NewReader(form))
	must(t, err)
	request.Header["Content-Type"], request.Header["Authorization"] = []string{kind}, authorization
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	defer answer.Body.Close()
	if h := answer.Header; h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" {
		t.Errorf("an answer may be kept: %v", h)
	}
	if method != http.MethodHead {
		must(t, json.NewDecoder(answer.Body).Decode(&body))
	}
	return answer.StatusCode, answer.Header, body
}

func encoded(pairs ...string) string {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form.Encode()
}

func basicHeader(id, secret string) string {
	request := http.Request{Header: http.Header{}}
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return request.Header.Get("Authorization")
}

func TestWhatIsWrongWithARequestForATokenIsSaidAsTheStandardSays(t *testing.T) {
	in := serve(t, storetest.SQLite(t), 1)
	id, secret := in.client(t, "Importer", "chats:read")
	gone, goneSecret := in.client(t, "Gone")
	in.revoke(t, "Gone")
	grant := encoded("grant_type", "client_credentials")
	good := basicHeader(id, secret)
	for name, c := range map[string]struct {
		form   string
		header []string
		status int
		code   string
	}{
		"right, in the header":         {grant, []string{good}, 200, ""},
		"right, in the form":           {grant + "&" + encoded("client_id", id, "client_secret", secret), nil, 200, ""},
		"right, id in both":            {grant + "&" + encoded("client_id", id), []string{good}, 200, ""},
		"right, with what is not ours": {grant + "&foo=bar&scope=", []string{good}, 200, ""},
		"right, its scope":             {grant + "&scope=chats%3Aread", []string{good}, 200, ""},
		"right, its scope twice":       {grant + "&scope=chats%3Aread+chats%3Aread", []string{good}, 200, ""},
		"a scope that it has not":      {grant + "&scope=chats%3Aread+chats%3Awrite", []string{good}, 400, "invalid_scope"},
		"a scope that is none":         {grant + "&scope=everything", []string{good}, 400, "invalid_scope"},
		"no grant type":                {"scope=", []string{good}, 400, "invalid_request"},
		"an empty grant type":          {"grant_type=", []string{good}, 400, "invalid_request"},
		"another grant type":           {"grant_type=password", []string{good}, 400, "unsupported_grant_type"},
		"the grant type twice":         {grant + "&" + grant, []string{good}, 400, "invalid_request"},
		"the id twice":                 {grant + "&client_id=a&client_id=a", nil, 400, "invalid_request"},
		"credentials in both":          {grant + "&" + encoded("client_id", id, "client_secret", secret), []string{good}, 400, "invalid_request"},
		"another id in the form":       {grant + "&" + encoded("client_id", gone), []string{good}, 400, "invalid_request"},
		"no form":                      {"%zz", []string{good}, 400, "invalid_request"},
		"no credentials":               {grant, nil, 401, "invalid_client"},
		"no secret":                    {grant + "&" + encoded("client_id", id), nil, 401, "invalid_client"},
		"a wrong secret":               {grant, []string{basicHeader(id, secret+"x")}, 401, "invalid_client"},
		"another's secret":             {grant, []string{basicHeader(id, goneSecret)}, 401, "invalid_client"},
		"an unknown client":            {grant, []string{basicHeader("apiclient_00000000000000000000000000", secret)}, 401, "invalid_client"},
		"no client's id":               {grant, []string{basicHeader("admin@example.org", secret)}, 401, "invalid_client"},
		"nothing":                      {grant, []string{basicHeader("", "")}, 401, "invalid_client"},
		"NUL":                          {grant, []string{basicHeader("\x00", "\x00")}, 401, "invalid_client"},
		"a revoked client":             {grant, []string{basicHeader(gone, goneSecret)}, 401, "invalid_client"},
		"another scheme":               {grant, []string{"Bearer abc"}, 401, "invalid_client"},
		"a header that is none":        {grant, []string{"Basic %%%"}, 401, "invalid_client"},
		"escapes that are none":        {grant, []string{"Basic JXp6Onp6"}, 401, "invalid_client"},
		"two headers":                  {grant, []string{good, good}, 401, "invalid_client"},
	} {
		status, header, body := in.post(t, c.form, c.header...)
		if status != c.status || c.code != "" && (body["error"] != c.code || body["error_description"] == "") || c.code == "" && body["access_token"] == "" {
			t.Errorf("%s: %d %v", name, status, body)
		}
		if asked := strings.HasPrefix(header.Get("WWW-Authenticate"), "Basic "); asked != (status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", name, header.Get("WWW-Authenticate"))
		}
	}
}

func TestTokensAreAskedForByAFormThatIsPosted(t *testing.T) {
	in := serve(t, storetest.SQLite(t), 1)
	good := basicHeader(in.client(t, "Importer"))
	form, kind := encoded("grant_type", "client_credentials"), "application/x-www-form-urlencoded"
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions} {
		if status, header, _ := in.ask(t, method, kind, form, good); status != http.StatusMethodNotAllowed || header.Get("Allow") != "POST" {
			t.Errorf("%s: %d %v", method, status, header)
		}
	}
	for _, other := range []string{"", "application/json", "multipart/form-data; boundary=x"} {
		if status, _, body := in.ask(t, http.MethodPost, other, form, good); status != http.StatusBadRequest || body["error"] != "invalid_request" {
			t.Errorf("%q: %d %v", other, status, body)
		}
	}
	if status, _, _ := in.ask(t, http.MethodPost, kind+"; charset=UTF-8", form, good); status != http.StatusOK {
		t.Errorf("with a character set: %d", status)
	}
	if status, _, body := in.post(t, form+"&x="+strings.Repeat("x", 8<<10), good); status != http.StatusRequestEntityTooLarge || body["error"] != "invalid_request" {
		t.Errorf("a large form: %d %v", status, body)
	}
	for _, path := range []string{auth.DiscoveryPath, auth.KeysPath} {
		answer, err := http.Post(in.url+path, kind, strings.NewReader(form))
		must(t, err)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
}

// A given secret can have any characters: it is encoded as in a form before it is
// put into the header.
func TestAnySecretComesThroughTheHeader(t *testing.T) {
	in := serve(t, storetest.SQLite(t), 1)
	secret := "a:b+c%2Bd e&f=ü~" + strings.Repeat("!", 20)
	row, _, err := in.replicas[0].EnsureClient(context.Background(), auth.NewClient{Name: "Odd", Secret: secret, Role: apiclient.RoleBot}, nil)
	must(t, err)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		_, err = in.config(row.GlobalID().String(), secret, style).Token(context.Background())
		must(t, err)
	}
}

func TestWrongSecretsAreSlowedDownAndNobodyIsLockedOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 2)
		in.operator(t, "ann@example.org")
		id, secret := in.client(t, "Importer")
		failures(t, in.installation, "token:127.0.0.1", 49)
		form := encoded("grant_type", "client_credentials")
		for i, want := range []int{401, 429, 429} { // the replicas count together
			status, header, _ := in.post(t, form, basicHeader(id, "wrong"))
			if status != want || (header.Get("Retry-After") == "900") != (want == 429) {
				t.Errorf("attempt %d: %d %v", i, status, header)
			}
		}
		for range 2 {
			if status, _, body := in.post(t, form, basicHeader(id, secret)); status != 200 {
				t.Errorf("the client is locked out: %d %v", status, body)
			}
		}
		_, err := in.replicas[0].SignIn(context.Background(), "ann@example.org", password, "127.0.0.1:5")
		must(t, err) // and so is nobody of its network
		in.move(15 * time.Minute)
		if status, _, _ := in.post(t, form, basicHeader(id, "wrong")); status != 401 {
			t.Errorf("after the window: %d", status)
		}
	})
}

func TestARevokedClientGetsNoTokenFromAnyReplica(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 2)
		id, secret := in.client(t, "Importer")
		_, err := in.basic(id, secret).Token(context.Background())
		must(t, err)
		in.revoke(t, "Importer")
		for range in.replicas {
			failed := &oauth2.RetrieveError{}
			if _, err := in.basic(id, secret).Token(context.Background()); !errors.As(err, &failed) || failed.ErrorCode != "invalid_client" {
				t.Error(err)
			}
		}
	})
}

// What differs between who is wrong and how must not show. Each takes the same
// path: one read, one hash, one count.
func TestHowCredentialsAreWrongIsNotTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 1)
		id, _ := in.client(t, "Importer")
		gone, secret := in.client(t, "Gone")
		in.revoke(t, "Gone")
		answers := map[string]bool{}
		for n, header := range []string{
			basicHeader(id, "wrong"), basicHeader(gone, secret), basicHeader(gone, "wrong"), basicHeader("nobody", "wrong"),
			basicHeader("operator_00000000000000000000000000", secret), basicHeader(id, ""), basicHeader("", ""),
		} {
			status, headers, body := in.post(t, encoded("grant_type", "client_credentials"), header)
			headers.Del("Date")
			answers[fmt.Sprint(status, headers, body)] = true
			if counted := in.db.Client().SignInAttempt.GetX(context.Background(), "token:127.0.0.1").Failures; counted != n+1 {
				t.Errorf("%d are counted, not %d", counted, n+1)
			}
		}
		if len(answers) != 1 {
			t.Errorf("answers differ: %v", answers)
		}
	})
}

func TestThatAClientIsUsedIsNotedOnceAMinute(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := serve(t, db, 2)
		id, secret := in.client(t, "Importer")
		used := func() *ent.APIClient { return in.db.Client().APIClient.Query().OnlyX(context.Background()) }
		if used().LastUsedAt != nil {
			t.Fatal("it is in use already")
		}
		start := in.now()
		for _, step := range []struct{ after, want time.Duration }{{0, 0}, {59 * time.Second, 0}, {time.Second, time.Minute}, {time.Second, time.Minute}} {
			in.move(step.after)
			_, err := in.basic(id, secret).Token(context.Background())
			must(t, err)
			if row := used(); !row.LastUsedAt.Equal(start.Add(step.want)) || row.Version != 1 {
				t.Errorf("after %v it was used at %v, version %d", in.now().Sub(start), row.LastUsedAt, row.Version)
			}
		}
	})
}

func TestThatTheDatabaseIsAwayIsNotTheClientsFault(t *testing.T) {
	in := serve(t, storetest.SQLite(t), 1)
	good := basicHeader(in.client(t, "Importer"))
	in.move(time.Hour)
	must(t, in.db.Close())
	if status, header, body := in.post(t, encoded("grant_type", "client_credentials"), good); status != 503 || header.Get("Retry-After") == "" || body["error"] != "temporarily_unavailable" {
		t.Errorf("%d %v", status, body)
	}
	answer, err := http.Get(in.url + auth.KeysPath)
	must(t, err)
	_ = answer.Body.Close()
	if answer.StatusCode != 503 || strings.Contains(answer.Header.Get("Cache-Control"), "public") {
		t.Errorf("keys: %d %v", answer.StatusCode, answer.Header)
	}
}
