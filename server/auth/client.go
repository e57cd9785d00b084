package auth

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/store"
)

// ClientToken is what an API client gets for its credentials.
type ClientToken struct {
	AccessToken string
	ExpiresAt   time.Time
	Scopes      []string // that it is for
}

// ClientToken gives an API client an access token by its id, which is that of
// the API, and its secret, at the call of an address, with or without a port. No
// scopes are all that the client has; one that it has not is fault.Invalid.
// Wrong credentials are fault.Unauthenticated, and too many of them
// fault.RateLimited.
//
// Only wrong credentials count, by address, and the right ones are let in however
// many of them came before: so nobody can lock a client out, not even from behind
// the same proxy. To be slowed down is not what keeps a secret: it has 256 random
// bits, which are guessed at no rate. The limit is for what asks again and again
// with a secret that is none any more. It is a count of its own, so that such a
// client does not lock the people of its network out of signing in.
func (s *Service) ClientToken(ctx context.Context, clientID, secret string, scopes []string, address string) (ClientToken, error) {
	client, err := s.CheckClient(ctx, clientID, secret)
	if fault.CodeOf(err) == fault.Unauthenticated {
		if limited := s.count(ctx, "token:"+network(address), attemptsPerAddress); limited != nil {
			err = limited
		}
	}
	if err != nil {
		return ClientToken{}, err
	}
	if len(scopes) == 0 {
		scopes = client.Scopes
	}
	for _, scope := range scopes {
		if !slices.Contains(client.Scopes, scope) {
			return ClientToken{}, fault.New(fault.Invalid, "scope", "The client does not have one of these scopes.")
		}
	}
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	key, err := s.signer(ctx)
	if err != nil {
		return ClientToken{}, err
	}
	if err := s.used(ctx, client); err != nil {
		return ClientToken{}, err
	}
	id := client.GlobalID()
	token, expiresAt, err := s.mint(key, id, claims{
		ClientID: id.String(), Scope: strings.Join(scopes, " "), Role: operator.Role(client.Role),
	})
	if err != nil {
		return ClientToken{}, fmt.Errorf("mint token: %w", err)
	}
	return ClientToken{token, expiresAt, scopes}, nil
}

// CheckClient finds the API client that an id and a secret are the credentials
// of. Whether the id, the secret or the client's being revoked is what is wrong,
// the error is the same fault.Unauthenticated at the same cost. It counts
// nothing.
func (s *Service) CheckClient(ctx context.Context, clientID, secret string) (*ent.APIClient, error) {
	id, err := globalid.Parse(clientID)
	if err != nil || id.Kind != clientKind {
		id.UUID = uuid.Nil // which no client has
	}
	client, err := s.store.Client().APIClient.Query().Where(apiclient.ID(id.UUID)).Only(ctx)
	if ent.IsNotFound(err) {
		client, err = &ent.APIClient{SecretHash: make([]byte, 32)}, nil // of no known secret
	}
	if err != nil {
		return nil, fmt.Errorf("find API client: %w", err)
	}
	if subtle.ConstantTimeCompare(client.SecretHash, HashSecret(secret)) != 1 || client.RevokedAt != nil {
		return nil, fault.New(fault.Unauthenticated, "", "The client or its secret is wrong.")
	}
	return client, nil
}

// useEvery is how often it is noted that a client is in use.
const useEvery = time.Minute

// used notes that a client is in use; of several replicas that would, one does.
func (s *Service) used(ctx context.Context, client *ent.APIClient) error {
	now := s.now()
	if client.LastUsedAt != nil && now.Sub(*client.LastUsedAt) < useEvery {
		return nil
	}
	err := s.store.InTx(ctx, func(tx *store.Tx) error {
		return tx.APIClient.Update().Where(apiclient.ID(client.ID), apiclient.Or(apiclient.LastUsedAtIsNil(), apiclient.LastUsedAtLTE(now.Add(-useEvery)))).
			SetLastUsedAt(now).Exec(ctx)
	})
	if err != nil {
		return fmt.Errorf("note use of API client: %w", err)
	}
	return nil
}

// NewClient is an API client to make. The secret is one of NewSecret, or as hard
// to guess: only its SHA-256 is stored.
type NewClient struct {
	Name, Secret string
	Role         apiclient.Role
	Scopes       []string
}

// minSecret is the least length of a secret that was not made here, in bytes:
// the 43 of NewSecret, or 128 bits in hexadecimal digits.
const minSecret = 32

// EnsureClient makes an API client, unless there is one of this name, and gives
// the one that there is. with, if not nil, runs in the same transaction when one
// is made, so that what remembers its secret commits with it; an error of with
// undoes both. Of replicas that start together, one makes it. It can be called
// before Start.
func (s *Service) EnsureClient(ctx context.Context, n NewClient, with func(*store.Tx, *ent.APIClient) error) (client *ent.APIClient, created bool, err error) {
	if err := n.check(); err != nil {
		return nil, false, err
	}
	err = s.store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.Lock(ctx, apiclient.Table); err != nil {
			return err
		}
		client, err = tx.APIClient.Query().Where(apiclient.Name(n.Name)).Only(ctx)
		if created = ent.IsNotFound(err); !created {
			return err
		}
		client, err = tx.APIClient.Create().SetName(n.Name).SetRole(n.Role).SetScopes(n.Scopes).
			SetSecretHash(HashSecret(n.Secret)).SetCreatedAt(s.now()).Save(ctx)
		if err != nil || with == nil {
			return err
		}
		return with(tx, client)
	})
	if err != nil {
		return nil, false, fmt.Errorf("make API client: %w", err)
	}
	return client, created, nil
}

func (n *NewClient) check() error {
	switch {
	case n.Name == "" || utf8.RuneCountInString(n.Name) > 200:
		return fault.New(fault.Invalid, "name", "A name has 1 to 200 characters.")
	case len(n.Secret) < minSecret:
		return fault.New(fault.Invalid, "secret", "A client's secret has at least %d characters.", minSecret)
	case slices.ContainsFunc(n.Scopes, func(scope string) bool { return !slices.Contains(schema.Scopes, scope) }):
		return fault.New(fault.Invalid, "scopes", "The scopes are %s.", strings.Join(schema.Scopes, " and "))
	case n.Role == apiclient.RoleBot && len(n.Scopes) > 0:
		return fault.New(fault.Invalid, "scopes", "A bot has no scopes.")
	}
	if n.Scopes == nil {
		n.Scopes = []string{}
	}
	return nil
}
