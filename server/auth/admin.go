package auth

import (
	"context"
	"crypto/rand"
	"fmt"

	"parley/ent/operator"
	"parley/server/store"
)

// Credentials say how to sign in. Password is empty where it was given, not
// made: it is known then, and must not be printed.
type Credentials struct{ Email, Password string }

const firstEmail = "admin@parley.local"

// EnsureAdmin makes an administrator if there is none, so that somebody can
// sign in. Of replicas that start together, one does.
func (s *Service) EnsureAdmin(ctx context.Context, email, password string) (created bool, signIn Credentials, err error) {
	isAdmin := operator.RoleEQ(operator.RoleAdmin)
	there, err := s.store.Client().Operator.Query().Where(isAdmin).Exist(ctx)
	if there || err != nil {
		return false, Credentials{}, err
	}
	if email == "" {
		email = firstEmail
	}
	if signIn.Email, err = Email(email); err != nil {
		return false, Credentials{}, err
	}
	if password == "" {
		password = rand.Text()
		signIn.Password = password
	}
	hash, err := Hash(password)
	if err != nil {
		return false, Credentials{}, err
	}
	err = s.store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.Lock(ctx, operator.Table); err != nil {
			return err
		}
		there, err := tx.Operator.Query().Where(isAdmin).Exist(ctx)
		if created = !there && err == nil; !created {
			return err
		}
		return tx.Operator.Create().SetEmail(signIn.Email).SetName("Administrator").SetPasswordHash(hash).
			SetRole(operator.RoleAdmin).SetCreatedAt(s.now()).Exec(ctx)
	})
	if err != nil {
		return false, Credentials{}, fmt.Errorf("make the first administrator: %w", err)
	}
	if !created {
		signIn = Credentials{}
	}
	return created, signIn, nil
}
