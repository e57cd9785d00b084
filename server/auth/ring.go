package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/signingkey"
	"parley/server/store"
)

const (
	// ringAge is how old a replica's copy of the ring may be when it signs, so
	// that every replica soon signs with a new key.
	ringAge = time.Minute
	// missEvery is how often tokens with an unknown key may make a replica read
	// the ring: enough for a key just made, too seldom to hurt as a flood.
	missEvery   = 3 * time.Second
	readTimeout = 5 * time.Second
	// dropAfter a key's successor was made and its tokens have ended, it goes.
	// It covers replicas that were late to read the ring and clocks that differ.
	dropAfter = 10 * time.Minute
)

// ring is one reading of the signing keys, oldest first; the last one signs.
type ring []signer

type signer struct {
	kid     string
	private *ecdsa.PrivateKey
}

func (s *Service) loadOrCreateRing(ctx context.Context) error {
	err := s.store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.Lock(ctx, signingkey.Table); err != nil {
			return err
		}
		there, err := tx.SigningKey.Query().Exist(ctx)
		if there || err != nil {
			return err
		}
		return s.addKey(ctx, tx, s.now())
	})
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	return s.readRing(ctx, 0)
}

// Rotate makes a new key, which signs from now on, drops the keys of which no
// valid token can be left, and seals the rest again where their seal is stale.
func (s *Service) Rotate(ctx context.Context) error {
	err := s.store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.Lock(ctx, signingkey.Table); err != nil {
			return err
		}
		rows, err := inOrder(tx.Client).All(ctx)
		if err != nil {
			return err
		}
		now := s.now()
		for i, row := range rows {
			// A replica's clock may be behind the one that made the last key.
			if !row.CreatedAt.Before(now) {
				now = row.CreatedAt.Add(time.Microsecond)
			}
			done := i+1 < len(rows) && rows[i+1].CreatedAt.Add(s.opts.AccessTTL+dropAfter).Before(now)
			if err := s.keep(ctx, tx, row, !done); err != nil {
				return err
			}
		}
		return s.addKey(ctx, tx, now)
	})
	if err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	return s.readRing(ctx, 0)
}

// keep drops a key or sees to it that its seal is not stale.
func (s *Service) keep(ctx context.Context, tx *store.Tx, row *ent.SigningKey, keep bool) error {
	if !keep {
		return tx.SigningKey.DeleteOne(row).Exec(ctx)
	}
	if !s.box.Stale(row.PrivateKey) {
		return nil
	}
	plain, err := s.box.Open(row.PrivateKey, sealedAs(row.ID))
	if err != nil {
		return err
	}
	return tx.SigningKey.UpdateOne(row).SetPrivateKey(s.box.Seal(plain, sealedAs(row.ID))).Exec(ctx)
}

func (s *Service) addKey(ctx context.Context, tx *store.Tx, at time.Time) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	sealed := s.box.Seal(der, sealedAs(id.String()))
	return tx.SigningKey.Create().SetID(id.String()).SetPrivateKey(sealed).SetCreatedAt(at).Exec(ctx)
}

func sealedAs(kid string) string { return "signing-key:" + kid }

func inOrder(client *ent.Client) *ent.SigningKeyQuery {
	return client.SigningKey.Query().Order(signingkey.ByCreatedAt(), signingkey.ByID())
}

// readRing reads the ring unless that was done within the given time. After a
// failure it waits no longer than after a miss.
func (s *Service) readRing(ctx context.Context, within time.Duration) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.readErr != nil {
		within = min(within, missEvery)
	}
	if s.now().Sub(s.readAt).Abs() < within { // Abs: a clock set back must not stop it
		return s.readErr
	}
	var r ring
	if r, s.readErr = s.loadRing(ctx); s.readErr == nil {
		s.ring.Store(&r)
	}
	s.readAt = s.now()
	return s.readErr
}

func (s *Service) loadRing(ctx context.Context) (ring, error) {
	// The outcome is everybody's: it must not hang on one caller's patience.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	rows, err := inOrder(s.store.Client()).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	r := make(ring, len(rows))
	for i, row := range rows {
		if r[i], err = s.open(row); err != nil {
			return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
		}
	}
	return r, nil
}

func (s *Service) open(row *ent.SigningKey) (signer, error) {
	der, err := s.box.Open(row.PrivateKey, sealedAs(row.ID))
	if err != nil {
		return signer{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return signer{}, errors.New("not a PKCS#8 key") // the cause may quote it
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return signer{}, errors.New("not an elliptic curve key")
	}
	return signer{row.ID, private}, nil
}

// signer is the key that signs now.
func (s *Service) signer(ctx context.Context) (signer, error) {
	if err := s.readRing(ctx, ringAge); err != nil {
		return signer{}, err
	}
	r := *s.ring.Load()
	if len(r) == 0 {
		return signer{}, errors.New("auth: not started")
	}
	return r[len(r)-1], nil
}

// public finds the key that a token names; nil if there is none.
func (s *Service) public(kid string) (*ecdsa.PublicKey, error) {
	if key := s.ring.Load().find(kid); key != nil {
		return key, nil
	}
	if err := s.readRing(context.Background(), missEvery); err != nil {
		return nil, err
	}
	return s.ring.Load().find(kid), nil
}

func (r ring) find(kid string) *ecdsa.PublicKey {
	for _, key := range r {
		if key.kid == kid {
			return &key.private.PublicKey
		}
	}
	return nil
}
