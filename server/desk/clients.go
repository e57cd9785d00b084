package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/auditentry"
	"parley/ent/event"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/store"
)

// NewAPIClient is an API client to make; of its secret there is only the hash.
// One with an external id signs in elsewhere and has no secret.
type NewAPIClient struct {
	Name       string
	Role       operator.Role
	Scopes     []string
	SecretHash []byte
	ExternalID *string
	Key        string // of idempotency
}

// asked is what the same mutation has to ask for again. What clients without an
// external id ask for is as it was before there were any.
func (n *NewAPIClient) asked() []any {
	asked := []any{n.Name, n.Role, n.Scopes}
	if n.ExternalID != nil {
		asked = append(asked, *n.ExternalID)
	}
	return asked
}

// CreateAPIClient makes an API client. made is false when the same was made
// before with the same key: then the secret is the one of then.
func (d *Desk) CreateAPIClient(ctx context.Context, v Viewer, n NewAPIClient) (result *ent.APIClient, made bool, err error) {
	n.Name = clean(n.Name)
	if err := checkName("name", n.Name); err != nil {
		return nil, false, err
	}
	role := apiclient.Role(n.Role)
	if apiclient.RoleValidator(role) != nil {
		return nil, false, fault.New(fault.Invalid, "role", "an API client's role is INTEGRATOR or BOT")
	}
	if n.Scopes, err = checkScopes(role, n.Scopes); err != nil {
		return nil, false, err
	}
	if n.ExternalID != nil {
		if err := checkExternalID(*n.ExternalID); err != nil {
			return nil, false, err
		}
		n.SecretHash = []byte{} // which is that of no secret
	}
	err = d.write(ctx, func(c *change) error {
		made = false // of a try before
		id, err := c.once(ctx, v, "createApiClient", n.Key, n.asked(), func() (uuid.UUID, error) {
			made = true
			id := schema.NewID()
			create := c.APIClient.Create().SetID(id).SetName(n.Name).SetRole(role).SetScopes(n.Scopes).
				SetSecretHash(n.SecretHash).SetNillableExternalClientID(n.ExternalID).SetCreatedAt(c.now)
			if v.Operator != nil {
				create.SetCreatedBy(v.Operator.ID)
			}
			var made *ent.APIClient
			err := c.Savepoint(ctx, func() (err error) { made, err = create.Save(ctx); return err })
			if err != nil {
				return id, c.clientTaken(ctx, err, n.Name, n.ExternalID)
			}
			return id, c.auditClient(ctx, v.actor(), auditentry.ActionAPIClientCreated, nil, made)
		})
		if err != nil {
			return err
		}
		result, err = c.APIClient.Get(ctx, id)
		return err
	})
	return result, made && err == nil, err
}

// clientTaken says which client has the name or the external id already.
func (c *change) clientTaken(ctx context.Context, err error, name string, externalID *string) error {
	if !store.IsUnique(err) {
		return err
	}
	taken, err := c.APIClient.Query().Where(apiclient.Name(name)).Only(ctx)
	if ent.IsNotFound(err) && externalID != nil {
		taken, err = c.APIClient.Query().Where(apiclient.ExternalClientID(*externalID)).Only(ctx)
		if err == nil {
			return fault.New(fault.NameTaken, "externalClientId", "this client of the identity server is %s already", taken.GlobalID())
		}
	}
	if err != nil {
		return err
	}
	return fault.New(fault.NameTaken, "name", "this name is in use by %s", taken.GlobalID())
}

// checkExternalID takes it as it is: it is compared with what tokens say.
func checkExternalID(id string) error {
	if id == "" || utf8.RuneCountInString(id) > 200 || strings.TrimSpace(id) != id || strings.ContainsFunc(id, unicode.IsControl) {
		return fault.New(fault.Invalid, "externalClientId", "a client id has 1 to 200 characters, and no spaces around them")
	}
	return nil
}

// checkScopes gives scopes in order and each once. A bot has the chats that it
// holds, by its role, and no others.
func checkScopes(role apiclient.Role, scopes []string) ([]string, error) {
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	for _, scope := range scopes {
		if !slices.Contains(schema.Scopes, scope) {
			return nil, fault.New(fault.Invalid, "scopes", "the scopes are %s", strings.Join(schema.Scopes, " and "))
		}
	}
	if role == apiclient.RoleBot && len(scopes) > 0 {
		return nil, fault.New(fault.Invalid, "scopes", "a bot has no scopes: its chats are those that it holds")
	}
	if scopes == nil {
		scopes = []string{}
	}
	return scopes, nil
}

// APIClientChange is what to change of an API client; nil stays.
type APIClientChange struct {
	ID              globalid.ID
	Name            *string
	Scopes          []string
	ExpectedVersion *int64
}

// UpdateAPIClient changes an API client. A scope that is taken from it is gone at
// once, from its tokens as well; one that is given is in its next token.
func (d *Desk) UpdateAPIClient(ctx context.Context, by audit.Actor, a APIClientChange) (*ent.APIClient, error) {
	return d.changeClient(ctx, by, a.ID, a.ExpectedVersion, auditentry.ActionAPIClientChanged, func(c *change, found *ent.APIClient) (*ent.APIClient, error) {
		name, scopes := found.Name, found.Scopes
		if a.Name != nil {
			name = clean(*a.Name)
		}
		if err := checkName("name", name); err != nil {
			return nil, err
		}
		if a.Scopes != nil {
			var err error
			if scopes, err = checkScopes(found.Role, a.Scopes); err != nil {
				return nil, err
			}
		}
		var result *ent.APIClient
		err := c.Savepoint(ctx, func() (err error) {
			result, err = found.Update().SetName(name).SetScopes(scopes).AddVersion(1).Save(ctx)
			return err
		})
		if !slices.Equal(scopes, found.Scopes) {
			c.operatorEvent(event.KindRightsChanged, found.ID)
		}
		return result, c.clientTaken(ctx, err, name, nil)
	})
}

// RotateAPIClientSecret gives an API client another secret. The one before is
// worth nothing any more; the tokens that it gave live on for their few minutes.
func (d *Desk) RotateAPIClientSecret(ctx context.Context, by audit.Actor, id globalid.ID, hash []byte, expectedVersion *int64) (*ent.APIClient, error) {
	return d.changeClient(ctx, by, id, expectedVersion, auditentry.ActionAPIClientSecretRotated, func(_ *change, found *ent.APIClient) (*ent.APIClient, error) {
		if found.RevokedAt != nil {
			return nil, fault.New(fault.Refused, "id", "the API client was revoked: make another one")
		}
		if found.ExternalClientID != nil {
			return nil, fault.New(fault.Refused, "id", "the API client signs in at an outside identity server: its secret is there")
		}
		return found.Update().SetSecretHash(hash).AddVersion(1).Save(ctx)
	})
}

// RevokeAPIClient ends an API client for ever: it gets no token, those that it
// has are nobody's, and its streams end. Again changes nothing.
func (d *Desk) RevokeAPIClient(ctx context.Context, by audit.Actor, id globalid.ID) (*ent.APIClient, error) {
	return d.changeClient(ctx, by, id, nil, auditentry.ActionAPIClientRevoked, func(c *change, found *ent.APIClient) (*ent.APIClient, error) {
		if found.RevokedAt != nil {
			return found, nil
		}
		c.operatorEvent(event.KindRightsChanged, found.ID)
		return found.Update().SetRevokedAt(c.now).AddVersion(1).Save(ctx)
	})
}

// changeClient runs f over a client that nobody else changes meanwhile. A change
// of its rights is an event as operators have, by its id, which has its streams
// look at them anew.
func (d *Desk) changeClient(ctx context.Context, by audit.Actor, id globalid.ID, expectedVersion *int64, did auditentry.Action,
	f func(*change, *ent.APIClient) (*ent.APIClient, error)) (result *ent.APIClient, err error) {
	err = d.write(ctx, func(c *change) error {
		query := c.APIClient.Query().Where(apiclient.ID(id.UUID))
		if c.Postgres() {
			query.ForUpdate()
		}
		found, err := query.Only(ctx)
		if ent.IsNotFound(err) || id.Kind != "apiclient" {
			return fault.New(fault.NotFound, "id", "there is no such API client")
		}
		if err != nil {
			return err
		}
		if err := checkVersion(expectedVersion, found.Version); err != nil {
			return err
		}
		if result, err = f(c, found); err != nil || result.Version == found.Version {
			return err
		}
		return c.auditClient(ctx, by, did, found, result)
	})
	return result, err
}

// auditClient records a change of an API client; before is nil of a new one. That
// it got a secret shows in neither.
func (c *change) auditClient(ctx context.Context, by audit.Actor, did auditentry.Action, before, after *ent.APIClient) error {
	facts := func(of *ent.APIClient) *string {
		if of == nil || of.RevokedAt != nil {
			return nil
		}
		return pointer(fmt.Sprintf("name: %q, role: %s, scopes: %s", of.Name, of.Role, strings.Join(of.Scopes, " ")))
	}
	return audit.Add(ctx, c.Tx, c.now, by, audit.Change{Action: did, Subject: after.GlobalID().String(), Before: facts(before), After: facts(after)})
}
