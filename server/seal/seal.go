// Package seal owns secrets at rest: a Box encrypts and authenticates values
// with AES-256-GCM under the installation's secret keys.
//
// The keys come as a list: the first seals, all of them open. To replace a key
// without a stop, first append the new one on every replica, then put it first,
// seal the stale values again, and only then take the old one out. A Box never
// changes and is safe for concurrent use.
//
// Invariant: a sealed value opens only under the context it was sealed for, so
// that it cannot be moved to another row or column; and no error holds a key or
// a secret.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	keySize   = 32
	version   = 1 // of the format: version, key id, nonce, ciphertext and tag
	headerLen = 1 + len(keyID{})
)

// keyID names a key without giving it away.
type keyID [8]byte

// ErrUnopened is wrapped by every failure of Open.
var ErrUnopened = errors.New("sealed value cannot be opened")

// Box seals and opens.
type Box struct {
	first keyID
	keys  map[keyID]cipher.AEAD
}

// New reads a list of keys: base64 of 32 bytes each, separated by commas.
func New(list string) (*Box, error) {
	b := &Box{keys: map[keyID]cipher.AEAD{}}
	for i, text := range strings.Split(list, ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil { // whose text would quote the key
			return nil, fmt.Errorf("secret key %d is not base64", i+1)
		}
		if len(key) != keySize {
			return nil, fmt.Errorf("secret key %d has %d bytes, not %d", i+1, len(key), keySize)
		}
		aead, err := newAEAD(key)
		if err != nil {
			return nil, fmt.Errorf("secret key %d: %w", i+1, err)
		}
		id := idOf(key)
		if i == 0 {
			b.first = id
		}
		b.keys[id] = aead
	}
	return b, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func idOf(key []byte) (id keyID) {
	sum := sha256.Sum256(append([]byte("parley seal key id:"), key...))
	copy(id[:], sum[:])
	return id
}

// Generate makes a new key, as New reads it.
func Generate() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(key)
}

// Seal encrypts a secret for one place, such as "channel-token:<id>".
func (b *Box) Seal(plaintext []byte, context string) []byte {
	sealed := append([]byte{version}, b.first[:]...)
	return b.keys[b.first].Seal(sealed, nil, plaintext, bound(sealed, context))
}

// Open gives back what was sealed for the same place.
func (b *Box) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < headerLen || sealed[0] != version {
		return nil, fmt.Errorf("%w: not in a known format", ErrUnopened)
	}
	header, body := sealed[:headerLen], sealed[headerLen:]
	aead, ok := b.keys[keyID(header[1:])]
	if !ok {
		return nil, fmt.Errorf("%w: its secret key %x is not in the list", ErrUnopened, header[1:])
	}
	plaintext, err := aead.Open(nil, nil, body, bound(header, context))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed or belongs elsewhere", ErrUnopened)
	}
	return plaintext, nil
}

// Stale says that a value was sealed by another key than the first, and should
// be sealed again.
func (b *Box) Stale(sealed []byte) bool {
	return len(sealed) < headerLen || keyID(sealed[1:headerLen]) != b.first
}

// bound is what is authenticated beside the secret; the header has one length,
// so no two pairs give the same bytes.
func bound(header []byte, context string) []byte {
	return append(append(make([]byte, 0, len(header)+len(context)), header...), context...)
}
