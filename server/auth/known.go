package auth

import (
	"strings"
	"sync"
)

// maxKnown tokens are remembered, some megabytes; then all are forgotten.
const maxKnown = 10_000

// knownTokens are those that were found good by one reading of an issuer's keys:
// to check it again takes longer than all else about a small request. A new
// reading forgets them, for it may lack the key that signed.
type knownTokens[Keys any] struct {
	mu     sync.RWMutex
	keys   *Keys
	tokens map[string]Principal
}

func (k *knownTokens[Keys]) get(by *Keys, token string) (Principal, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	p, ok := k.tokens[token]
	return p, ok && k.keys == by
}

func (k *knownTokens[Keys]) put(by *Keys, token string, p Principal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys != by || len(k.tokens) >= maxKnown {
		k.keys, k.tokens = by, map[string]Principal{}
	}
	k.tokens[strings.Clone(token)] = p // the rest of the request's head can go
}
