package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"parley/server/fault"
)

// parameters are OWASP's, Password Storage Cheat Sheet, as of May 2023: argon2id
// with 19 MiB, two passes, one lane. Older hashes are renewed at sign-in.
var parameters = argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Lengths of a password, in characters. There are no rules about its kinds of
// characters: they do not help.
const (
	minPassword = 10
	maxPassword = 256
)

// hashing has room for as many computations as there are processors: more would
// not be faster, and each takes the memory above. It is the process's, as they are.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// Hash turns a password into what is stored of it.
func Hash(password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		return "", fault.New(fault.Invalid, "password", "A password has %d to %d characters.", minPassword, maxPassword)
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2id.CreateHash(password, &parameters)
}

// noPassword has the form of a hash and the cost of one, but no known password.
var noPassword = fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
	parameters.Memory, parameters.Iterations, parameters.Parallelism, zeros(parameters.SaltLength), zeros(parameters.KeyLength))

func zeros(n uint32) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }

// check compares a password with its hash, and takes as long where there is
// none. stale says that the hash was made with other parameters than today's.
func check(ctx context.Context, password, hash string) (match, stale bool, err error) {
	if hash == "" {
		hash = noPassword
	}
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return false, false, ctx.Err()
	}
	match, used, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("check password: %w", err)
	}
	return match, *used != parameters, nil
}

// Email gives an e-mail address the one form in which it is stored and compared.
func Email(text string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(text))
	name, domain, _ := strings.Cut(email, "@")
	odd := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '@' || r == utf8.RuneError }
	if name == "" || domain == "" || len(email) > 254 || strings.ContainsFunc(name+domain, odd) {
		return "", fault.New(fault.Invalid, "email", "This is not an e-mail address.")
	}
	return email, nil
}
