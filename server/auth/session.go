package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/session"
	"parley/ent/signinattempt"
	"parley/server/fault"
	"parley/server/store"
)

// Tokens are what a signed-in client holds.
type Tokens struct {
	AccessToken  string
	RefreshToken string
	ExpiresAt    time.Time // of the access token
	Operator     *ent.Operator
}

// openSession begins a session in one transaction with what goes with it.
func (s *Service) openSession(ctx context.Context, op *ent.Operator, with func(*store.Tx) error) (Tokens, error) {
	key, err := s.signer(ctx)
	if err != nil {
		return Tokens{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Tokens{}, err
	}
	refresh, now := NewSecret(), s.now()
	err = s.store.InTx(ctx, func(tx *store.Tx) error {
		if err := with(tx); err != nil {
			return err
		}
		return tx.Session.Create().SetID(id).SetOperatorID(op.ID).SetTokenHash(HashSecret(refresh)).
			SetCreatedAt(now).SetExpiresAt(now.Add(s.opts.RefreshTTL)).Exec(ctx)
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("open session: %w", err)
	}
	return s.tokens(key, op, id, refresh)
}

func (s *Service) tokens(key signer, op *ent.Operator, session uuid.UUID, refresh string) (Tokens, error) {
	access, expiresAt, err := s.mint(key, op.GlobalID(), claims{Session: session, Role: op.Role})
	if err != nil {
		return Tokens{}, fmt.Errorf("mint token: %w", err)
	}
	return Tokens{access, refresh, expiresAt, op}, nil
}

// NewSecret makes a refresh token or a client's secret: 256 random bits, as 43
// letters, digits, hyphens and underscores.
func NewSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(secret)
}

// HashSecret is what is stored of a secret that NewSecret made, 32 bytes. It is
// random enough to need neither salt nor a slow hash.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Refresh gives new tokens for a refresh token, which is then used up. One that
// comes again is in two hands, and nobody can tell whose is stolen: the session
// is revoked.
func (s *Service) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	key, err := s.signer(ctx) // first: after the exchange nothing may fail
	if err != nil {
		return Tokens{}, err
	}
	var row *ent.Session
	var op *ent.Operator
	next := NewSecret()
	err = s.store.InTx(ctx, func(tx *store.Tx) (err error) {
		if row, err = s.exchange(ctx, tx, HashSecret(refreshToken), HashSecret(next)); err != nil || row == nil {
			return err
		}
		op, err = tx.Operator.Get(ctx, row.OperatorID)
		return err
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("refresh session: %w", err)
	}
	if row == nil {
		return Tokens{}, fault.New(fault.Unauthenticated, "", "The session has ended. Sign in again.")
	}
	return s.tokens(key, op, row.ID, next)
}

// exchange replaces a refresh token and gives its session, or revokes the
// session of one that was replaced before and gives nil.
func (s *Service) exchange(ctx context.Context, tx *store.Tx, hash, next []byte) (*ent.Session, error) {
	now := s.now()
	row, err := tx.Session.Query().
		Where(session.TokenHash(hash), session.RevokedAtIsNil(), session.ExpiresAtGT(now)).Only(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return nil, err
	}
	if row != nil {
		// Of two at once, the later one waits here and then finds the hash gone.
		n, err := tx.Session.Update().Where(session.ID(row.ID), session.TokenHash(hash), session.RevokedAtIsNil()).
			SetTokenHash(next).SetPreviousHash(hash).SetExpiresAt(now.Add(s.opts.RefreshTTL)).Save(ctx)
		if n == 1 || err != nil {
			return row, err
		}
	}
	return nil, tx.Session.Update().Where(session.PreviousHash(hash), session.RevokedAtIsNil()).SetRevokedAt(now).Exec(ctx)
}

// SignOut ends the principal's session. Its access token lives on for its few
// minutes. A client has no session to end.
func (s *Service) SignOut(ctx context.Context, p Principal) error {
	return s.store.InTx(ctx, func(tx *store.Tx) error {
		return tx.Session.Update().
			Where(session.ID(p.SessionID), session.OperatorID(p.OperatorID), session.RevokedAtIsNil()).
			SetRevokedAt(s.now()).Exec(ctx)
	})
}

// Purge removes sessions that have expired and counts of attempts whose window
// is over. Revoked sessions stay until they would have expired.
func (s *Service) Purge(ctx context.Context) error {
	now := s.now()
	err := s.store.InTx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Session.Delete().Where(session.ExpiresAtLTE(now)).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.SignInAttempt.Delete().Where(signinattempt.WindowEndsAtLTE(now)).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("purge sessions: %w", err)
	}
	return nil
}
