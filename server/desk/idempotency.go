package desk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/idempotencykey"
	"parley/server/fault"
	"parley/server/store"
)

const keysLast = 24 * time.Hour

// once runs f unless the same viewer ran the same mutation with the same key
// and input before; then it gives what that made.
func (c *change) once(ctx context.Context, v Viewer, mutation, key string, input any, f func() (uuid.UUID, error)) (uuid.UUID, error) {
	if key == "" {
		return f()
	}
	if len(key) > 200 || strings.ContainsRune(key, 0) || !utf8.ValidString(key) {
		return uuid.Nil, fault.New(fault.Invalid, "idempotencyKey", "a key is a text of at most 200 bytes")
	}
	canonical, err := json.Marshal(input)
	if err != nil {
		return uuid.Nil, err
	}
	hash := sha256.Sum256(canonical)
	if c.Postgres() { // two of the same at the same time: the second waits for the first
		if _, err := c.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", v.id().String()+mutation+key); err != nil {
			return uuid.Nil, err
		}
	}
	before, err := c.IdempotencyKey.Query().Where(idempotencykey.PrincipalID(v.id()),
		idempotencykey.Mutation(mutation), idempotencykey.Key(key)).Only(ctx)
	switch {
	case err == nil && !bytes.Equal(before.InputHash, hash[:]):
		return uuid.Nil, fault.New(fault.KeyReused, "idempotencyKey", "this key was used with another input")
	case err == nil:
		return before.ResultID, nil
	case !ent.IsNotFound(err):
		return uuid.Nil, err
	}
	result, err := f()
	if err != nil {
		return uuid.Nil, err
	}
	return result, c.IdempotencyKey.Create().SetPrincipalID(v.id()).SetMutation(mutation).SetKey(key).
		SetInputHash(hash[:]).SetResultID(result).SetCreatedAt(c.now).Exec(ctx)
}

// Prune removes what has served its time: idempotency keys after a day, events
// after the retention.
func (d *Desk) Prune(ctx context.Context, events time.Duration) error {
	err := d.store.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.IdempotencyKey.Delete().Where(idempotencykey.CreatedAtLT(d.now().Add(-keysLast))).Exec(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return d.events.Trim(ctx, d.now().Add(-events))
}
