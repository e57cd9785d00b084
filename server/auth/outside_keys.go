package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"parley/server/fault"
)

const (
	// keysAge is how old the keys of an outside identity server get before they
	// are read again, so that one that it has taken away is soon nobody's.
	keysAge = 5 * time.Minute
	// maxKeys is how long its answers may be.
	maxKeys = 1 << 20
)

// errKeys is what is said of a token while its key cannot be known.
var errKeys = fault.New(fault.Overloaded, "",
	"Whether the access token is good cannot be told now, because the keys of the identity server cannot be read. Try again in a few seconds.")

// outsideKeys are the public keys of an outside identity server. They are read
// when a token names an unknown one, but whatever tokens name, not more often than
// every missEvery, and once for all who wait; and in the background when they are
// old. While they cannot be read, those that are known go on.
type outsideKeys struct {
	issuer  string
	now     func() time.Time
	current atomic.Pointer[keySet] // nil is none yet

	mu      sync.Mutex // guards what follows
	reading *reading   // that is under way; nil is none
	began   time.Time  // the last one
}

// keySet is what one reading gave.
type keySet struct {
	keys []jose.JSONWebKey
	at   time.Time
}

// reading is one that some may wait for; its error is there when it is done.
type reading struct {
	done chan struct{}
	err  error
}

// find gives the key that a token names, nil if it is none of them, and the set
// that it is in. An error means that it cannot be told.
func (k *outsideKeys) find(ctx context.Context, kid, alg string) (any, *keySet, error) {
	set := k.current.Load()
	if key, known := set.find(kid, alg); known {
		return key, set, nil
	}
	// Where the keys were read a moment ago, this one may have been made since: to
	// call its token bad would sign somebody out.
	reading := k.read()
	if reading == nil {
		return nil, nil, errKeys
	}
	select {
	case <-ctx.Done():
		return nil, nil, errKeys
	case <-reading.done:
	}
	if reading.err != nil {
		return nil, nil, errKeys
	}
	set = k.current.Load()
	key, _ := set.find(kid, alg)
	return key, set, nil
}

// refresh has keys that are old read again, and waits for nothing.
func (k *outsideKeys) refresh() {
	if set := k.current.Load(); set != nil && k.now().Sub(set.at).Abs() >= keysAge {
		k.read()
	}
}

// read gives the reading that is under way, or begins one; nil if the last one
// was a moment ago.
func (k *outsideKeys) read() *reading {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.reading != nil || now.Sub(k.began).Abs() < missEvery { // Abs: a clock set back must not stop it
		return k.reading
	}
	k.reading, k.began = &reading{done: make(chan struct{})}, now
	go k.finish(k.reading)
	return k.reading
}

// finish reads for whoever waits: it must not hang on one caller's patience.
func (k *outsideKeys) finish(r *reading) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	keys, err := readKeys(ctx, k.issuer)
	if err != nil {
		slog.Warn("the keys of the identity server cannot be read, those that are known go on", "error", err)
	} else {
		k.current.Store(&keySet{keys, k.now()})
	}
	k.mu.Lock()
	k.reading, r.err = nil, err
	k.mu.Unlock()
	close(r.done)
}

// readKeys goes the way from the discovery document each time: keys may move.
func readKeys(ctx context.Context, issuer string) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, outsideClient), issuer)
	if err != nil {
		return nil, errors.New(discoveryReason(issuer, err))
	}
	var says struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, says.KeysURL, nil)
	if err != nil {
		return nil, err
	}
	response, err := outsideClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with HTTP status %d", says.KeysURL, response.StatusCode)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

// parseKeys reads a JWK set (RFC 7517), and of it what can verify tokens; the rest
// is passed over, as section 5 there wants it.
func parseKeys(set []byte) ([]jose.JSONWebKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &raw); err != nil || raw.Keys == nil {
		return nil, errors.New("the identity server's keys are no JWK set")
	}
	keys := []jose.JSONWebKey{}
	for _, one := range raw.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) == nil && key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// find gives the key of a name, and says whether it is known. A token needs name
// none where there is only one (OpenID Connect Core 1.0, section 10.1). A key that
// is not for the algorithm is none.
func (s *keySet) find(kid, alg string) (key any, known bool) {
	if s == nil {
		return nil, false
	}
	if kid == "" && len(s.keys) != 1 {
		return nil, true
	}
	for _, k := range s.keys {
		if kid != "" && k.KeyID != kid {
			continue
		}
		if known = true; suits(k, alg) {
			return k.Key, true
		}
	}
	return nil, known
}

// algorithms that tokens from outside may be signed with: only those of two keys.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// suits says whether a key is one of the algorithm, which is the token's word.
func suits(k jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048 && (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS"))
	case *ecdsa.PublicKey:
		return key.Curve == curves[alg]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// outsideClient asks identity servers.
var outsideClient = &http.Client{Timeout: identityTime, Transport: limited{http.DefaultTransport}}

// limited cuts answers that are too long.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxKeys)
	}
	return response, err
}
