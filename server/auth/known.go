package auth

import (
	"strings"
	"sync"
)

// maxKnown tokens are remembered, some megabytes; then all are forgotten.
const maxKnown = 10_000

// knownTokens are those whose signature was found good by one reading of the
// ring: to check it again takes longer than all else about a small request. A
// new reading forgets them, for it may lack the key that signed.
type knownTokens struct {
	mu     sync.RWMutex
	ring   *ring
	tokens map[string]Principal
}

func (k *knownTokens) get(r *ring, token string) (Principal, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	p, ok := k.tokens[token]
	return p, ok && k.ring == r
}

func (k *knownTokens) put(r *ring, token string, p Principal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring != r || len(k.tokens) >= maxKnown {
		k.ring, k.tokens = r, map[string]Principal{}
	}
	k.tokens[strings.Clone(token)] = p // the rest of the request's head can go
}
