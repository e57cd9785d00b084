// Package settings owns the system settings: what there is to set, the values,
// and the sealing of those that are secret.
//
// Safe for concurrent use. Every replica has all values in memory, its own
// changes at once and others' after a second.
//
// Invariants: a secret's value is in the database only sealed, and leaves this
// package only towards the code that needs it. A change, its entry in the audit
// log and its event commit together.
package settings

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/event"
	"parley/ent/setting"
	"parley/server/audit"
	"parley/server/eventlog"
	"parley/server/fault"
	"parley/server/seal"
	"parley/server/store"
)

// Settings are the system settings of an installation.
type Settings struct {
	store   *store.Store
	box     *seal.Box
	options Options
	current atomic.Pointer[Values]
}

// Options are what Settings need beside their database.
type Options struct {
	Changed func() // called after a commit with an event
	Now     func() time.Time
	Log     *slog.Logger
}

// Values are all settings at a moment. They never change.
type Values struct {
	// Version grows with each change of a setting.
	Version int64

	values  map[Code]string
	changed map[Code]time.Time
}

// Text is the value of a setting, its default if it has none.
func (v *Values) Text(c Code) string {
	if value := v.values[c]; value != "" {
		return value
	}
	return definitions[c].Default
}

// Number is the value of a setting of that kind.
func (v *Values) Number(c Code) int {
	n, _ := strconv.Atoi(v.Text(c)) // it was checked when it was set
	return n
}

// Setting is a setting as it may be shown.
type Setting struct {
	Definition
	Value     *string // nil of a secret, and where there is neither a value nor a default
	IsSet     bool
	UpdatedAt *time.Time // nil until it is set or cleared
}

// List shows all settings.
func (v *Values) List() []*Setting {
	list := make([]*Setting, len(All))
	for i, d := range All {
		s := &Setting{Definition: d, IsSet: v.values[d.Code] != ""}
		if at, ok := v.changed[d.Code]; ok {
			s.UpdatedAt = &at
		}
		if value := v.Text(d.Code); d.Kind != Secret && value != "" {
			s.Value = &value
		}
		list[i] = s
	}
	return list
}

// Open reads the settings of a migrated database. Run must follow where they are
// to be followed.
func Open(ctx context.Context, s *store.Store, box *seal.Box, o Options) (*Settings, error) {
	all := &Settings{store: s, box: box, options: o}
	return all, all.read(ctx)
}

// Current are the values as this replica knows them.
func (s *Settings) Current() *Values { return s.current.Load() }

// lookEvery is how often a replica looks for what another one has changed.
const lookEvery = time.Second

// Run follows what other replicas change, until the context ends.
func (s *Settings) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.Error("the settings cannot be read, the last ones stay", "error", err)
		}
	}
}

func (s *Settings) follow(ctx context.Context) error {
	var version int64
	row := s.store.DB.QueryRowContext(ctx, "SELECT COALESCE(SUM(version), 0) FROM settings")
	if err := row.Scan(&version); err != nil || version == s.Current().Version {
		return err
	}
	return s.read(ctx)
}

func (s *Settings) read(ctx context.Context) error {
	v, err := s.load(ctx, s.store.Client())
	if err == nil {
		s.show(v)
	}
	return err
}

// show makes values current, unless later ones are.
func (s *Settings) show(v *Values) {
	for {
		now := s.current.Load()
		if now != nil && now.Version > v.Version || s.current.CompareAndSwap(now, v) {
			return
		}
	}
}

func (s *Settings) load(ctx context.Context, client *ent.Client) (*Values, error) {
	rows, err := client.Setting.Query().All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	v := &Values{values: map[Code]string{}, changed: map[Code]time.Time{}}
	for _, row := range rows {
		code := Code(row.ID)
		v.Version += row.Version
		v.changed[code], v.values[code] = row.UpdatedAt, row.Value
		if len(row.Sealed) == 0 {
			continue
		}
		value, err := s.box.Open(row.Sealed, place(code))
		if err != nil {
			return nil, fmt.Errorf("open setting %s: %w", code, err)
		}
		v.values[code] = string(value)
	}
	return v, nil
}

// place ties a sealed value to its setting.
func place(code Code) string { return "setting:" + string(code) }

// Value is what a setting is to be: nil takes its value away.
type Value struct {
	Code  Code
	Value *string
}

// Change is what is to be changed, all of it or nothing.
type Change struct {
	Values          []Value
	Restricted      bool   // by somebody who may not say whose tokens are accepted
	DryRun          bool   // only say what would be
	ExpectedVersion *int64 // fault.Conflict unless this is the version
}

// Update changes settings and gives them as they are then.
func (s *Settings) Update(ctx context.Context, by audit.Actor, c Change) (*Values, error) {
	asked, err := c.check()
	if err != nil {
		return nil, err
	}
	return s.write(ctx, by, func(now *Values) (map[Code]string, error) {
		if c.ExpectedVersion != nil && *c.ExpectedVersion != now.Version {
			return nil, fault.New(fault.Conflict, "expectedVersion", "the settings have version %d", now.Version)
		}
		return asked, nil
	}, c.DryRun)
}

// Fill sets what was never set; empty values fill nothing. What an administrator
// has set or cleared stays.
func (s *Settings) Fill(ctx context.Context, values map[Code]string) error {
	_, err := s.write(ctx, audit.Actor{}, unset(values), false)
	return err
}

// FillIn is Fill within a transaction; Refresh must follow its commit.
func (s *Settings) FillIn(ctx context.Context, tx *store.Tx, values map[Code]string) error {
	_, _, err := s.writeIn(ctx, tx, audit.Actor{}, unset(values), false)
	return err
}

// Refresh reads what was changed elsewhere.
func (s *Settings) Refresh(ctx context.Context) error { return s.follow(ctx) }

func unset(values map[Code]string) func(*Values) (map[Code]string, error) {
	return func(now *Values) (map[Code]string, error) {
		fresh := map[Code]string{}
		for code, value := range values {
			if !now.WasSet(code) && value != "" {
				fresh[code] = value
			}
		}
		return fresh, nil
	}
}

// WasSet says whether a setting was ever set, be it cleared since.
func (v *Values) WasSet(c Code) bool {
	_, was := v.changed[c]
	return was
}

// check gives values their form.
func (c Change) check() (map[Code]string, error) {
	asked := make(map[Code]string, len(c.Values))
	for i, v := range c.Values {
		field := fmt.Sprintf("settings.%d", i)
		d, known := definitions[v.Code]
		if _, twice := asked[v.Code]; twice || !known {
			return nil, fault.New(fault.Invalid, field+".code", "there is no such setting, or it is given twice")
		}
		if c.Restricted && d.trust() {
			return nil, fault.New(fault.Forbidden, "", "only administrators may change %s", d.Code)
		}
		asked[v.Code] = ""
		if v.Value == nil {
			continue
		}
		value, err := d.check(*v.Value)
		if err != nil {
			return nil, fault.New(fault.Invalid, field+".value", "%s %s", d.Code, err)
		}
		asked[v.Code] = value
	}
	return asked, nil
}

// write gives settings the values that are wanted, given those there are.
func (s *Settings) write(ctx context.Context, by audit.Actor, want func(*Values) (map[Code]string, error), dryRun bool) (after *Values, err error) {
	changed := false
	err = s.store.InTx(ctx, func(tx *store.Tx) error {
		after, changed, err = s.writeIn(ctx, tx, by, want, dryRun)
		return err
	})
	if err != nil || !changed {
		return after, err
	}
	s.show(after)
	s.options.Changed()
	return after, nil
}

func (s *Settings) writeIn(ctx context.Context, tx *store.Tx, by audit.Actor, want func(*Values) (map[Code]string, error), dryRun bool) (_ *Values, changed bool, err error) {
	if err := tx.Lock(ctx, setting.Table); err != nil {
		return nil, false, err
	}
	before, err := s.load(ctx, tx.Client)
	if err != nil {
		return nil, false, err
	}
	values, err := want(before)
	if err != nil {
		return nil, false, err
	}
	at := s.options.Now().UTC().Truncate(time.Microsecond)
	after, codes := before.with(values, at)
	if dryRun {
		after.Version = before.Version
	}
	if dryRun || len(codes) == 0 {
		return after, false, nil
	}
	if err := s.save(ctx, tx, after, codes); err != nil {
		return nil, false, err
	}
	if err := audit.Add(ctx, tx, at, by, changesOf(before, after, codes)...); err != nil {
		return nil, false, err
	}
	return after, true, eventlog.Append(ctx, tx, []*ent.Event{{At: at, Kind: event.KindSettingsUpdated, Facts: map[string]string{"codes": joined(codes)}}})
}

// with gives the values after a change, and which of them it changes.
func (v *Values) with(values map[Code]string, at time.Time) (*Values, []Code) {
	after := &Values{v.Version, maps.Clone(v.values), maps.Clone(v.changed)}
	var codes []Code
	for code, value := range values {
		if value != v.values[code] {
			codes = append(codes, code)
			after.values[code], after.changed[code] = value, at
			after.Version++
		}
	}
	slices.Sort(codes)
	return after, codes
}

// save writes what has changed. A row stays when its value goes, so that the sum
// of the versions only ever grows.
func (s *Settings) save(ctx context.Context, tx *store.Tx, v *Values, changed []Code) error {
	for _, code := range changed {
		create := tx.Setting.Create().SetID(string(code)).SetUpdatedAt(v.changed[code])
		value := v.values[code]
		if definitions[code].Kind == Secret && value != "" {
			create.SetSealed(s.box.Seal([]byte(value), place(code)))
		} else {
			create.SetValue(value)
		}
		err := create.OnConflictColumns(setting.FieldID).Update(func(u *ent.SettingUpsert) {
			u.UpdateValue().UpdateSealed().UpdateUpdatedAt().AddVersion(1)
		}).Exec(ctx)
		if err != nil {
			return fmt.Errorf("save setting %s: %w", code, err)
		}
	}
	return nil
}

func changesOf(before, after *Values, codes []Code) []audit.Change {
	changes := make([]audit.Change, len(codes))
	for i, code := range codes {
		changes[i] = audit.Change{
			Action: auditentry.ActionSettingChanged, Subject: string(code), Before: before.shown(code), After: after.shown(code),
		}
	}
	return changes
}

// shown is the value that was given to a setting, nil if none was or nobody may
// see it.
func (v *Values) shown(code Code) *string {
	if value := v.values[code]; value != "" && definitions[code].Kind != Secret {
		return &value
	}
	return nil
}

func joined(codes []Code) string {
	words := make([]string, len(codes))
	for i, code := range codes {
		words[i] = string(code)
	}
	return strings.Join(words, ",")
}

// Codes are those that an event tells of.
func Codes(e *ent.Event) []Code {
	var codes []Code
	for word := range strings.SplitSeq(e.Facts["codes"], ",") {
		codes = append(codes, Code(word))
	}
	return codes
}

// Reseal seals with the first secret key what is sealed with another one.
func (s *Settings) Reseal(ctx context.Context) error {
	return s.store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.Lock(ctx, setting.Table); err != nil {
			return err
		}
		rows, err := tx.Setting.Query().Where(setting.SealedNotNil()).All(ctx)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !s.box.Stale(row.Sealed) {
				continue
			}
			value, err := s.box.Open(row.Sealed, place(Code(row.ID)))
			if err != nil {
				return fmt.Errorf("open setting %s: %w", row.ID, err)
			}
			if err := row.Update().SetSealed(s.box.Seal(value, place(Code(row.ID)))).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
