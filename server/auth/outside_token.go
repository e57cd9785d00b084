package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/fault"
)

// Outside is an identity server whose tokens are accepted beside our own. The zero
// value is none, and so is our own.
type Outside struct {
	URL           string // exactly what it calls itself, the issuer of its tokens
	ClientID      string // of the installation there
	Audience      string // of tokens for us; empty is the client id or our own issuer
	OperatorClaim string // the claim that is an operator's e-mail
}

// skew forgives the clock of an outside identity server, at the start of its
// tokens and at their end.
const skew = 30 * time.Second

// outside is an outside identity server while the settings are as they are. When
// they change there is another one, which trusts none of the keys and knows none of
// the tokens of this one.
type outside struct {
	Outside
	service *Service
	parser  *jwt.Parser
	keys    outsideKeys
	known   knownTokens[keySet]
	trusted context.Context
	end     context.CancelFunc
}

// trusted is the outside identity server of this moment, nil if there is none. Its
// keys are no older than they may be, or will soon not be.
func (s *Service) trusted() *outside {
	for {
		now, is := s.opts.Outside(), s.outside.Load()
		if now.URL == "" || now.URL == s.opts.Issuer {
			now = Outside{}
		}
		if is == nil && now == (Outside{}) {
			return nil
		}
		if is != nil && is.Outside == now {
			is.keys.refresh()
			return is
		}
		if s.outside.CompareAndSwap(is, s.newOutside(now)) && is != nil {
			is.end()
		}
	}
}

func (s *Service) newOutside(is Outside) *outside {
	if is == (Outside{}) {
		return nil
	}
	audiences := []string{is.Audience}
	if is.Audience == "" {
		audiences = slices.DeleteFunc([]string{is.ClientID, s.opts.Issuer}, func(a string) bool { return a == "" })
	}
	o := &outside{Outside: is, service: s, keys: outsideKeys{issuer: is.URL, now: s.now}}
	o.trusted, o.end = context.WithCancel(context.Background())
	o.parser = jwt.NewParser(
		jwt.WithValidMethods(algorithms),
		jwt.WithIssuer(is.URL),
		jwt.WithAudience(audiences...),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(skew),
		jwt.WithTimeFunc(s.now),
		jwt.WithStrictDecoding(),
	)
	return o
}

// Run notices that the settings name another identity server, or that its keys have
// changed, though nobody comes: what the earlier one's tokens have opened ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s.trusted()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// issued says whether a token claims to be of this issuer.
func (o *outside) issued(token string) bool {
	if _, known := o.known.get(o.keys.current.Load(), token); known {
		return true
	}
	claims := jwt.MapClaims{}
	_, _, err := o.parser.ParseUnverified(token, claims)
	return err == nil && claims["iss"] == o.URL
}

// verify says whose a token is.
func (o *outside) verify(ctx context.Context, token string) (Principal, error) {
	if p, known := o.known.get(o.keys.current.Load(), token); known {
		return p, nil
	}
	claims, by, err := o.read(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	p, err := o.principal(ctx, claims)
	if err != nil {
		return Principal{}, err
	}
	end, _ := claims.GetExpirationTime() // it is there
	p.ExpiresAt, p.trusted = end.UTC().Add(skew), o.trusted
	o.known.put(by, token, p)
	return p, nil
}

var errAudience = fault.New(fault.Unauthenticated, "", "The access token is for another audience than this installation.")

// read gives the claims of a token that is good, and the keys that say so.
func (o *outside) read(ctx context.Context, token string) (claims jwt.MapClaims, by *keySet, err error) {
	claims = jwt.MapClaims{}
	_, err = o.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if !isAccess(t) {
			return nil, errToken
		}
		kid, _ := t.Header["kid"].(string)
		key, set, err := o.keys.find(ctx, kid, t.Method.Alg())
		if by = set; err == nil && key == nil {
			err = errToken
		}
		return key, err
	})
	switch {
	case err == nil:
		return claims, by, nil
	case errors.Is(err, errKeys):
		return nil, nil, errKeys
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return nil, nil, errAudience
	}
	return nil, nil, errToken
}

// isAccess refuses what an identity server signs for other ends with the same keys
// and maybe for the same audience, where it says so: logout tokens, security
// events, answers about tokens. A token that is bound to its holder's key is no
// bearer token (RFC 8705, RFC 9449), and what is critical has to be understood (RFC
// 7515, section 4.1.11). An ID token is taken, as it says who has signed in to us:
// its audience is our client, and those of other clients have another.
func isAccess(t *jwt.Token) bool {
	header, _ := t.Header["typ"].(string)
	claims := t.Claims.(jwt.MapClaims)
	for _, claim := range []string{"cnf", "events"} {
		if _, there := claims[claim]; there {
			return false
		}
	}
	kind, says := claims["typ"].(string) // Keycloak's
	_, critical := t.Header["crit"]
	return !critical && (!says || kind == "Bearer" || kind == "ID") &&
		slices.Contains([]string{"", "jwt", "at+jwt"}, strings.TrimPrefix(strings.ToLower(header), "application/"))
}

func (o *outside) principal(ctx context.Context, claims jwt.MapClaims) (Principal, error) {
	if client := machine(claims); client != "" {
		return o.service.machine(ctx, client, claims)
	}
	return o.person(ctx, claims)
}

// machine is the client id of a token that a client got for itself; empty is
// another's. Only what people's tokens never have makes it one, so that no person
// gets the rights of the client that they signed in with, least of all by a claim
// that is not there:
//
//   - The subject is the client (RFC 9068, section 2.2), as oidc-provider has it.
//   - The subject is the client's service account, as Keycloak has it: its user
//     service-account-ID, in a session that has a client_id, which those of people
//     have not.
func machine(claims jwt.MapClaims) string {
	text := func(name string) string { value, _ := claims[name].(string); return value }
	client, azp := text("client_id"), text("azp")
	if client != "" && azp != "" && client != azp {
		return ""
	}
	account := client != "" && text("preferred_username") == "service-account-"+strings.ToLower(client)
	if client == "" {
		client = azp
	}
	if client != "" && (account || text("sub") == client) {
		return client
	}
	return ""
}

// machine finds the API client of a client of the outside identity server. What it
// may do is said here; a token can be for less.
func (s *Service) machine(ctx context.Context, id string, claims jwt.MapClaims) (Principal, error) {
	client, err := s.store.Client().APIClient.Query().
		Where(apiclient.ExternalClientID(id), apiclient.RevokedAtIsNil()).Only(ctx)
	if ent.IsNotFound(err) {
		return Principal{}, fault.New(fault.Unauthenticated, "", "There is no API client for this token: none has its client id, or it was revoked.")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find API client: %w", err)
	}
	if err := s.used(ctx, client); err != nil {
		return Principal{}, err
	}
	return Principal{ClientID: client.ID, Role: operator.Role(client.Role), Scope: strings.Join(scopes(claims), " ")}, nil
}

// scopes are those of ours that a token names, and all where it names none of them:
// it may be for scopes of the identity server only. Those that the client has not
// are worth nothing.
func scopes(claims jwt.MapClaims) (ours []string) {
	for _, claim := range []string{"scope", "scp"} { // scp is Okta's and Microsoft's
		var words []string
		switch value := claims[claim].(type) {
		case string:
			words = strings.Fields(value)
		case []any:
			for _, word := range value {
				words = append(words, fmt.Sprint(word))
			}
		}
		for _, scope := range schema.Scopes {
			if slices.Contains(words, scope) && !slices.Contains(ours, scope) {
				ours = append(ours, scope)
			}
		}
	}
	if ours == nil {
		return schema.Scopes
	}
	return ours
}

// person finds the operator that a token's claim names.
func (o *outside) person(ctx context.Context, claims jwt.MapClaims) (Principal, error) {
	value, _ := claims[o.OperatorClaim].(string)
	if value == "" {
		return Principal{}, nobody("it has no claim " + o.OperatorClaim)
	}
	if verified, says := claims["email_verified"]; o.OperatorClaim == "email" && says && verified != true && verified != "true" {
		return Principal{}, nobody("the identity server has not verified its e-mail")
	}
	email, err := Email(value)
	if err != nil {
		return Principal{}, nobody("its claim " + o.OperatorClaim + " is no e-mail")
	}
	op, err := o.service.store.Client().Operator.Query().Where(operator.Email(email)).Only(ctx)
	if ent.IsNotFound(err) {
		return Principal{}, nobody("none has its e-mail")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find operator: %w", err)
	}
	return Principal{OperatorID: op.ID, Role: op.Role}, nil
}

func nobody(why string) error {
	return fault.New(fault.Unauthenticated, "", "There is no operator for this token: %s.", why)
}
