package auth

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"parley/ent/apiclient"
	"parley/ent/operator"
	"parley/server/fault"
	"parley/server/globalid"
)

const (
	audience = "parley"
	// Kinds of the subject's global id.
	operatorKind = "operator"
	clientKind   = "apiclient"
	// leeway forgives replicas whose clocks differ a little at a token's start.
	// Its end is exact.
	leeway = 5 * time.Second
)

// claims are what an access token says (RFC 9068, October 2021). The subject is
// the id of the operator or the client as the API shows it; the client's is its
// client_id too.
type claims struct {
	jwt.RegisteredClaims
	Session  uuid.UUID     `json:"sid,omitzero"`
	ClientID string        `json:"client_id,omitempty"`
	Scope    string        `json:"scope,omitempty"`
	Role     operator.Role `json:"role"`
}

func (s *Service) newParser() *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
		jwt.WithIssuer(s.opts.Issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithNotBeforeRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(s.now),
		jwt.WithStrictDecoding(),
	)
}

// mint signs an access token for a subject; what is the same in all is filled in.
func (s *Service) mint(key signer, sub globalid.ID, c claims) (token string, expiresAt time.Time, err error) {
	now := s.now()
	// Tokens count in whole seconds: rounded up, a short life is not cut to none.
	expiresAt = now.Add(s.opts.AccessTTL + time.Second - 1).Truncate(time.Second)
	c.RegisteredClaims = jwt.RegisteredClaims{
		Issuer:    s.opts.Issuer,
		Subject:   sub.String(),
		Audience:  jwt.ClaimStrings{audience},
		ExpiresAt: jwt.NewNumericDate(expiresAt),
		NotBefore: jwt.NewNumericDate(now),
		IssuedAt:  jwt.NewNumericDate(now),
		ID:        uuid.NewString(),
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	unsigned.Header["kid"], unsigned.Header["typ"] = key.kid, "at+jwt"
	token, err = unsigned.SignedString(key.private)
	return token, expiresAt, err
}

// errRing marks a failure to read the ring, which says nothing of the token.
var errRing = errors.New("auth: signing keys cannot be read")

// Verify says whose an access token is. fault.Overloaded, or an error without a
// fault's code, means that it could not be told, because the keys of its issuer
// could not be read.
func (s *Service) Verify(ctx context.Context, token string) (Principal, error) {
	verify := s.verifyOwn
	if o := s.trusted(); o != nil && o.issued(token) {
		verify = o.verify
	}
	p, err := verify(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	if !s.now().Before(p.ExpiresAt) {
		return Principal{}, errToken
	}
	return p, nil
}

func (s *Service) verifyOwn(_ context.Context, token string) (Principal, error) {
	ring := s.ring.Load()
	p, known := s.known.get(ring, token)
	if known {
		return p, nil
	}
	p, err := s.verify(token)
	if err == nil {
		s.known.put(ring, token, p)
	}
	return p, err
}

var errToken = fault.New(fault.Unauthenticated, "", "The access token is not valid or has expired.")

func (s *Service) verify(token string) (Principal, error) {
	var c claims
	_, err := s.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, err := s.public(kid)
		if err != nil {
			return nil, errors.Join(errRing, err)
		}
		if key == nil {
			return nil, errors.New("unknown key")
		}
		return key, nil
	})
	if errors.Is(err, errRing) {
		return Principal{}, err
	}
	p, ok := c.principal()
	if err != nil || !ok {
		return Principal{}, errToken
	}
	return p, nil
}

func (c *claims) principal() (Principal, bool) {
	sub, err := globalid.Parse(c.Subject)
	if err != nil || c.ExpiresAt == nil {
		return Principal{}, false
	}
	p := Principal{SessionID: c.Session, Role: c.Role, Scope: c.Scope, ExpiresAt: c.ExpiresAt.UTC()}
	switch sub.Kind {
	case operatorKind:
		p.OperatorID = sub.UUID
		return p, c.Session != uuid.Nil && c.ClientID == "" && c.Scope == "" && operator.RoleValidator(c.Role) == nil
	case clientKind:
		p.ClientID = sub.UUID
		return p, c.Session == uuid.Nil && c.ClientID == c.Subject && apiclient.RoleValidator(apiclient.Role(c.Role)) == nil
	}
	return Principal{}, false
}
