package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// FuzzTokenRequest: whatever comes, it is read or refused as the standard says,
// and what is read is what was sent.
func FuzzTokenRequest(f *testing.F) {
	const grant = "grant_type=client_credentials"
	for _, seed := range [][2]string{
		{"", grant + "&client_id=a&client_secret=b&scope=x+y"}, {"Basic YTpi", grant}, {"Basic YTpi", grant + "&client_id=a"},
		{"basic JTNBOiUzQQ==", grant}, {"Basic %", grant}, {"Bearer x", grant}, {"", "%zz"}, {"", "grant_type=&grant_type="}, {"Basic Og==", "a;b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		var headers []string
		if header != "" {
			headers = []string{header}
		}
		request, refused := parseTokenRequest(headers, body)
		if refused != nil {
			if refused.status < 400 || refused.status > 401 || refused.Code == "" || refused.Description == "" || request.id+request.secret != "" {
				t.Fatalf("refused with %+v and %+v", refused, request)
			}
			return
		}
		form, err := url.ParseQuery(body)
		if err != nil || form.Get("grant_type") != "client_credentials" || len(form["client_secret"]) > 1 {
			t.Fatalf("taken: %q, %v", body, err)
		}
		for _, scope := range request.scopes {
			if scope == "" || !strings.Contains(form.Get("scope"), scope) {
				t.Fatalf("scope %q of %q", scope, form.Get("scope"))
			}
		}
		if headers == nil {
			if request.id != form.Get("client_id") || request.secret != form.Get("client_secret") {
				t.Fatalf("%+v of %q", request, body)
			}
			return
		}
		// What was read, encoded again, is read as the same.
		pair := url.QueryEscape(request.id) + ":" + url.QueryEscape(request.secret)
		again, refused := parseTokenRequest([]string{"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}, body)
		if refused != nil || again.id != request.id || again.secret != request.secret || form.Get("client_secret") != "" {
			t.Fatalf("%+v, then %+v %+v", request, again, refused)
		}
	})
}

// FuzzOutsideToken: whatever comes, nothing is taken but what the key has signed.
func FuzzOutsideToken(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	s := &Service{opts: Options{Issuer: "https://desk.example", Now: time.Now}}
	o := s.newOutside(Outside{URL: "https://id.example", ClientID: "desk", OperatorClaim: "email"})
	o.keys.current.Store(&keySet{[]jose.JSONWebKey{{Key: private.Public(), KeyID: "1"}}, s.now()})
	claims := jwt.MapClaims{"iss": o.URL, "aud": "desk", "exp": 1 << 40, "email": "ann@example.org"}
	made := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	made.Header["kid"] = "1"
	good, err := made.SignedString(private)
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := o.read(f.Context(), good); err != nil {
		f.Fatal(err)
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, none, good + "=", good[:len(good)-1], "a.b.c", "..", `eyJhbGciOiJFUzI1NiJ9.e30.AA`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		o.keys.began = s.now() // nothing is read
		o.issued(token)
		if claims, _, err := o.read(t.Context(), token); err == nil && token != good {
			t.Fatalf("taken: %s, %v", token, claims)
		}
	})
}

// FuzzKeys: whatever an identity server publishes, what is found in it is the
// public key of a pair, and of the algorithm.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{
		`{"keys": []}`, `{"keys": null}`, `{"keys": [{"kty": "oct", "k": "AAAA", "kid": "1"}]}`, `{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}`, `[]`,
		`{"keys": [7, {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "ed"}]}`,
		`{"keys": [{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": "ec"}]}`,
	} {
		f.Add([]byte(seed), "1", "ES256")
	}
	f.Fuzz(func(t *testing.T, body []byte, kid, alg string) {
		keys, err := parseKeys(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q is no JSON", body)
		}
		set := &keySet{keys: keys}
		for _, key := range keys {
			if !key.IsPublic() || key.Use != "" && key.Use != "sig" {
				t.Fatalf("%+v", key)
			}
			_, known := set.find(key.KeyID, alg)
			if !known {
				t.Fatalf("%q is not found", key.KeyID)
			}
		}
		if key, _ := set.find(kid, "HS256"); key != nil {
			t.Fatalf("%v for HMAC", key)
		}
	})
}
