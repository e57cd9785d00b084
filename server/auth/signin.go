package auth

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"parley/ent"
	"parley/ent/operator"
	"parley/ent/signinattempt"
	"parley/server/fault"
	"parley/server/store"
)

// How many sign-ins may fail in a window that begins with the first of them.
const (
	attemptWindow      = 15 * time.Minute
	attemptsPerEmail   = 10
	attemptsPerAddress = 50 // a whole office may share one
)

// SignIn lets an operator in by e-mail and password and opens a session.
// address is the caller's, with or without a port.
func (s *Service) SignIn(ctx context.Context, email, password, address string) (Tokens, error) {
	email, impossible := Email(email)
	counted := attempt{address: "address:" + network(address)}
	if impossible == nil {
		counted.email = "email:" + email
	}
	if err := s.countAttempt(ctx, counted); err != nil {
		return Tokens{}, err
	}
	op, err := s.store.Client().Operator.Query().Where(operator.Email(email)).Only(ctx)
	if ent.IsNotFound(err) {
		op, err = &ent.Operator{}, nil // whose password is nobody's, at the same cost
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("find operator: %w", err)
	}
	match, stale, err := check(ctx, password, op.PasswordHash)
	if err != nil {
		return Tokens{}, err
	}
	if !match {
		return Tokens{}, fault.New(fault.Unauthenticated, "", "The e-mail or the password is wrong.")
	}
	return s.admit(ctx, op, password, stale, counted)
}

// attempt is the rows that an attempt counts in; email is empty for what can be
// nobody's.
type attempt struct{ address, email string }

// countAttempt comes before the password is looked at: so no attempt slips past
// the limit beside others. The address is first, because one that is over its
// limit must not use up the attempts of an e-mail's owner.
func (s *Service) countAttempt(ctx context.Context, a attempt) error {
	if err := s.count(ctx, a.address, attemptsPerAddress); err != nil || a.email == "" {
		return err
	}
	return s.count(ctx, a.email, attemptsPerEmail)
}

// network is what an address is counted under. A site has 2^64 addresses of
// IPv6, so they count as one.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		withPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return "unknown"
		}
		ip = withPort.Addr()
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}

// count adds an attempt, and refuses it if there were too many.
func (s *Service) count(ctx context.Context, subject string, limit int) error {
	now, failures := s.now(), 0
	err := s.store.InTx(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `INSERT INTO sign_in_attempts AS a (subject, failures, window_ends_at) VALUES ($1, 1, $2)
			ON CONFLICT (subject) DO UPDATE SET
				failures = CASE WHEN a.window_ends_at <= $3 THEN 1 ELSE a.failures + 1 END,
				window_ends_at = CASE WHEN a.window_ends_at <= $3 THEN $2 ELSE a.window_ends_at END
			RETURNING failures`, subject, now.Add(attemptWindow), now).Scan(&failures)
	})
	if err != nil {
		return fmt.Errorf("count sign-in: %w", err)
	}
	if failures > limit {
		return fault.New(fault.RateLimited, "", "Too many failed attempts. Try again in %d minutes.", int(attemptWindow.Minutes()))
	}
	return nil
}

// admit opens a session, takes back the attempt that was counted, and renews a
// stale hash.
func (s *Service) admit(ctx context.Context, op *ent.Operator, password string, stale bool, counted attempt) (Tokens, error) {
	hash := op.PasswordHash
	if stale {
		// A password from before today's rules of length cannot be hashed again:
		// its hash stays.
		if renewed, err := Hash(password); err == nil {
			hash = renewed
		} else if fault.CodeOf(err) == "" {
			return Tokens{}, err
		}
	}
	return s.openSession(ctx, op, func(tx *store.Tx) error {
		if hash != op.PasswordHash {
			// The condition lets a password win that was changed in between.
			if err := tx.Operator.Update().Where(operator.ID(op.ID), operator.PasswordHash(op.PasswordHash)).
				SetPasswordHash(hash).Exec(ctx); err != nil {
				return err
			}
		}
		if _, err := tx.SignInAttempt.Delete().Where(signinattempt.ID(counted.email)).Exec(ctx); err != nil {
			return err
		}
		return tx.SignInAttempt.Update().Where(signinattempt.ID(counted.address), signinattempt.FailuresGT(0)).
			AddFailures(-1).Exec(ctx)
	})
}
