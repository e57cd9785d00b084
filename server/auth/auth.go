// Package auth owns who may come in: passwords, sessions, the credentials of API
// clients, and the access tokens of this installation. There is one issuer with
// one ring of signing keys, and whoever lets a caller in, by whatever proof, mints
// the same kind of token and puts the same Principal into the context. For others
// the issuer is an identity server (identity.go), found by OpenID discovery.
// Beside its tokens, those of one outside identity server are accepted
// (outside_token.go): they say who somebody is, and what they may do is said here.
//
// A Service is safe for concurrent use, and several replicas on one database
// act as one. Invariants: an access token is accepted only if this
// installation's ring, or the identity server that the settings name now, signed
// it for us and it has not ended; no role comes from outside; a refresh token works
// once; passwords are guessed no faster than the limits in signin.go allow,
// however many replicas are asked at once; whether an e-mail has an account, or an
// id a client, is told neither by answers nor by their timing; and no secret of a
// client is stored.
//
// Access tokens are checked without the database. So one lives on for at most
// its lifetime, minutes, after its session or its client was revoked or its
// operator's role changed; what must know sooner reads the operator or the
// client. A token from outside is checked against it when it is first seen, and
// every few minutes.
package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"parley/ent/operator"
	"parley/server/seal"
	"parley/server/store"
)

// Principal is who a request comes from: an operator or an API client.
type Principal struct {
	OperatorID uuid.UUID // nil of a client
	SessionID  uuid.UUID // nil of a client
	ClientID   uuid.UUID // nil of an operator
	Role       operator.Role
	Scope      string    // of a client: what its token is for, as in the token
	ExpiresAt  time.Time // of the token: what outlives a request ends then

	trusted context.Context // ends when the token's issuer is trusted no more; nil is never
}

// Distrusted calls f once the token's issuer is not trusted any more, unless the
// context ends before: what outlives a request ends then too.
func (p Principal) Distrusted(ctx context.Context, f func()) {
	if p.trusted == nil {
		return
	}
	stop := context.AfterFunc(p.trusted, f)
	context.AfterFunc(ctx, func() { stop() })
}

// Scopes are the words of the principal's scope.
func (p Principal) Scopes() []string { return strings.Fields(p.Scope) }

type contextKey struct{}

// With puts the principal into a context.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From says who a request comes from; ok is false for an anonymous one.
func From(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// Options are what a Service needs to know; all but Now and Outside are required.
type Options struct {
	Issuer     string        // the installation's public URL
	AccessTTL  time.Duration // how long an access token lives
	RefreshTTL time.Duration // how long a session lives without being used
	Now        func() time.Time
	Outside    func() Outside // the outside identity server as it is set now; nil is none ever
}

// Service lets operators and API clients in and knows them by their tokens.
type Service struct {
	store  *store.Store
	box    *seal.Box
	opts   Options
	parser *jwt.Parser

	ring    atomic.Pointer[ring]
	known   knownTokens[ring]
	outside atomic.Pointer[outside] // nil is none
	reading sync.Mutex              // held while the ring is read; guards what follows
	readAt  time.Time
	readErr error
}

// New makes a service; it can do nothing before Start.
func New(db *store.Store, box *seal.Box, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Outside == nil {
		opts.Outside = func() Outside { return Outside{} }
	}
	s := &Service{store: db, box: box, opts: opts}
	s.parser = s.newParser()
	s.ring.Store(&ring{})
	return s
}

// Start loads the ring of signing keys, and makes it at the very first start.
func (s *Service) Start(ctx context.Context) error {
	if s.opts.Issuer == "" || s.opts.AccessTTL <= 0 || s.opts.RefreshTTL <= 0 {
		return errors.New("auth: issuer and lifetimes of tokens must be set")
	}
	return s.loadOrCreateRing(ctx)
}

func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }
