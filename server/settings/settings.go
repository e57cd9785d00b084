// Package settings owns the system settings: typed codes, their values, and the
// sealing of those that are secret. Safe for concurrent use. Invariant: a
// secret's value is in the database only sealed, and leaves this package only
// towards the code that needs it.
package settings

import (
	"context"
	"fmt"
	"time"

	"parley/ent/setting"
	"parley/server/seal"
	"parley/server/store"
)

// Code names a setting.
type Code string

// The settings of the Facebook app, shared by all channels.
const (
	FacebookAppID              Code = "FacebookAppId"
	FacebookAppSecret          Code = "FacebookAppSecret"
	FacebookWebhookVerifyToken Code = "FacebookWebhookVerifyToken"
)

var secret = map[Code]bool{FacebookAppSecret: true, FacebookWebhookVerifyToken: true}

// Settings reads and fills the system settings.
type Settings struct {
	store *store.Store
	box   *seal.Box
	now   func() time.Time
}

// New gives the settings of a migrated database.
func New(s *store.Store, box *seal.Box, now func() time.Time) *Settings {
	return &Settings{store: s, box: box, now: now}
}

// Fill sets what has no value yet; empty values fill nothing. What an
// administrator has set stays.
func (s *Settings) Fill(ctx context.Context, values map[Code]string) error {
	return s.store.InTx(ctx, func(tx *store.Tx) error {
		for code, value := range values {
			if value == "" {
				continue
			}
			create := tx.Setting.Create().SetID(string(code)).SetUpdatedAt(s.now().UTC().Truncate(time.Microsecond))
			if secret[code] {
				create.SetSealed(s.box.Seal([]byte(value), place(code)))
			} else {
				create.SetValue(value)
			}
			if err := create.OnConflictColumns(setting.FieldID).Ignore().Exec(ctx); err != nil {
				return fmt.Errorf("fill setting %s: %w", code, err)
			}
		}
		return nil
	})
}

// Read gives the values of all settings that have one.
func (s *Settings) Read(ctx context.Context) (map[Code]string, error) {
	rows, err := s.store.Client().Setting.Query().All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	values := make(map[Code]string, len(rows))
	for _, row := range rows {
		code := Code(row.ID)
		values[code] = row.Value
		if len(row.Sealed) > 0 {
			value, err := s.box.Open(row.Sealed, place(code))
			if err != nil {
				return nil, fmt.Errorf("open setting %s: %w", code, err)
			}
			values[code] = string(value)
		}
	}
	return values, nil
}

// place ties a sealed value to its setting.
func place(code Code) string { return "setting:" + string(code) }
