package settings_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent/event"
	"parley/ent/setting"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/paging"
	"parley/server/seal"
	"parley/server/settings"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

const (
	key      = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	otherKey = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="
	secret   = "hunter2-of-the-app"
)

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC) }

func open(s *store.Store, keys string) (*settings.Settings, error) {
	box, err := seal.New(keys)
	if err != nil {
		return nil, err
	}
	return settings.Open(ctx, s, box, settings.Options{Changed: func() {}, Now: now, Log: slog.New(slog.DiscardHandler)})
}

func with(t *testing.T, s *store.Store, keys string) *settings.Settings {
	t.Helper()
	all, err := open(s, keys)
	must(t, err)
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func to(code settings.Code, value string) settings.Value {
	return settings.Value{Code: code, Value: &value}
}

func change(values ...settings.Value) settings.Change { return settings.Change{Values: values} }

func TestWhatWasSetOrClearedIsNotFilledIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := with(t, s, key)
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookAppID: "1", settings.FacebookAppSecret: "", settings.FacebookWebhookVerifyToken: "v"}))
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookAppID: "2", settings.FacebookAppSecret: "first", settings.FacebookWebhookVerifyToken: ""}))
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookAppSecret: "second"}))
		must(t, all.Fill(ctx, nil))
		_, err := all.Update(ctx, audit.Actor{}, change(settings.Value{Code: settings.FacebookWebhookVerifyToken}))
		must(t, err)
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookWebhookVerifyToken: "w"}))
		for _, got := range []*settings.Values{all.Current(), with(t, s, key).Current()} {
			if got.Text(settings.FacebookAppID) != "1" || got.Text(settings.FacebookAppSecret) != "first" || got.Text(settings.FacebookWebhookVerifyToken) != "" {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestReplicasThatFillAtOnceAgree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var both sync.WaitGroup
		for i := range 8 {
			both.Go(func() {
				all, err := open(s, key)
				if err == nil {
					value := fmt.Sprint(i)
					err = all.Fill(ctx, map[settings.Code]string{
						settings.FacebookAppID: value, settings.FacebookAppSecret: value, settings.FacebookWebhookVerifyToken: value,
					})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		v := with(t, s, key).Current()
		if id := v.Text(settings.FacebookAppID); id == "" || id != v.Text(settings.FacebookAppSecret) || v.Version != 3 {
			t.Errorf("%+v", v)
		}
	})
}

func TestASettingTakesWhatItsKindAllowsAndSaysWhatItMustBe(t *testing.T) {
	s := storetest.SQLite(t)
	all := with(t, s, key)
	for _, c := range []struct {
		code         settings.Code
		given, taken string
	}{
		{settings.IdentityServerURL, " https://id.example/realm/ ", "https://id.example/realm/"}, // as it calls itself
		{settings.IdentityServerURL, "id.example", ""},
		{settings.IdentityServerURL, "https://u:p@id.example", ""},
		{settings.IdentityServerURL, "https://id.example?x=1", ""},
		{settings.FacebookAppID, " 123 ", "123"},
		{settings.FacebookAppID, "12a", ""},
		{settings.FacebookAppID, "", ""},
		{settings.SimultaneousChats, "007", "7"},
		{settings.SimultaneousChats, "0", ""},
		{settings.SimultaneousChats, "101", ""},
		{settings.SimultaneousChats, "3.5", ""},
		{settings.DefaultLanguage, " pt_br ", "pt-BR"},
		{settings.DefaultLanguage, "german", ""},
		{settings.DefaultLanguage, "und", ""},
		{settings.SupportContact, "  Ada, +1 555 ", "Ada, +1 555"},
		{settings.SupportContact, "two\nlines", ""},
		{settings.SupportContact, strings.Repeat("x", 2001), ""},
		{settings.FacebookAppSecret, secret, secret},
		{settings.FacebookAppSecret, "\xff", ""},
		{"Nonsense", "1", ""},
	} {
		before := all.Current().Text(c.code)
		v, err := all.Update(ctx, audit.Actor{}, change(to(c.code, c.given)))
		switch {
		case c.taken == "" && fault.CodeOf(err) != fault.Invalid:
			t.Errorf("%s takes %q", c.code, c.given)
		case c.taken == "" && (strings.Contains(err.Error(), secret) || all.Current().Text(c.code) != before):
			t.Errorf("%s %q: %v", c.code, c.given, err)
		case c.taken != "" && (err != nil || v.Text(c.code) != c.taken):
			t.Errorf("%s %q becomes %v, %v", c.code, c.given, v, err)
		}
	}
	_, err := all.Update(ctx, audit.Actor{}, change(to(settings.SupportContact, "a"), to(settings.SupportContact, "b")))
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("twice the same: %v", err)
	}
}

func TestASettingWithoutAValueHasItsDefault(t *testing.T) {
	s := storetest.SQLite(t)
	all := with(t, s, key)
	if got := all.Current().Number(settings.SimultaneousChats); got != 5 {
		t.Errorf("%d", got)
	}
	for _, c := range []struct {
		value settings.Value
		want  int
	}{{to(settings.SimultaneousChats, "8"), 8}, {settings.Value{Code: settings.SimultaneousChats}, 5}} {
		v, err := all.Update(ctx, audit.Actor{}, change(c.value))
		must(t, err)
		if got := v.Number(settings.SimultaneousChats); got != c.want {
			t.Errorf("%d, not %d", got, c.want)
		}
	}
}

func TestAChangeIsWholeCountedAndRecordedWithoutSecrets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := with(t, s, key)
		_, err := all.Update(ctx, audit.Actor{}, change(to(settings.FacebookAppID, "1"), to(settings.SimultaneousChats, "many")))
		if fault.CodeOf(err) != fault.Invalid || all.Current().Version != 0 {
			t.Fatalf("%v, version %d", err, all.Current().Version)
		}
		dry := change(to(settings.FacebookAppID, "1"), to(settings.FacebookAppSecret, secret))
		dry.DryRun = true
		v, err := all.Update(ctx, audit.Actor{}, dry)
		must(t, err)
		if v.Text(settings.FacebookAppID) != "1" || v.Version != 0 || all.Current().Version != 0 || rows(t, s) != 0 {
			t.Errorf("a dry run: %+v", v)
		}
		for range 2 { // the second time nothing changes
			v, err = all.Update(ctx, audit.Actor{}, change(dry.Values...))
			must(t, err)
			if v.Version != 2 || all.Current() != v && all.Current().Version != 2 {
				t.Errorf("version %d", v.Version)
			}
		}
		stale := change(to(settings.FacebookAppID, "2"))
		stale.ExpectedVersion = new(int64)
		if _, err = all.Update(ctx, audit.Actor{}, stale); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("of another version: %v", err)
		}
		must(t, func() error {
			*stale.ExpectedVersion = 2
			_, err := all.Update(ctx, audit.Actor{}, stale)
			return err
		}())

		entries, err := audit.Open(s).Entries(ctx, paging.Args{})
		must(t, err)
		var told []string
		for _, e := range entries.Nodes {
			told = append(told, e.Subject+" "+said(e.Before)+" "+said(e.After))
		}
		if got := strings.Join(told, ", "); got != "FacebookAppId 1 2, FacebookAppSecret - -, FacebookAppId - 1" &&
			got != "FacebookAppId 1 2, FacebookAppId - 1, FacebookAppSecret - -" {
			t.Errorf("the audit log: %s", got)
		}
		events := s.Client().Event.Query().Order(event.ByID()).AllX(ctx)
		if len(events) != 2 || fmt.Sprint(settings.Codes(events[0])) != "[FacebookAppId FacebookAppSecret]" {
			t.Errorf("events: %v", events)
		}
	})
}

func said(value *string) string {
	if value == nil {
		return "-"
	}
	return *value
}

func rows(t *testing.T, s *store.Store) int {
	t.Helper()
	client := s.Client()
	return client.Setting.Query().CountX(ctx) + client.AuditEntry.Query().CountX(ctx) + client.Event.Query().CountX(ctx)
}

func TestReplicasFollowEachOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		here, there := with(t, s, key), with(t, s, key)
		following, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { there.Run(following) })
		defer running.Wait()
		defer stop()
		for _, value := range []string{"first", "second"} {
			_, err := here.Update(ctx, audit.Actor{}, change(to(settings.FacebookAppSecret, value)))
			must(t, err)
			if here.Current().Text(settings.FacebookAppSecret) != value {
				t.Errorf("its own change is not %s", value)
			}
			storetest.Until(t, "the other replica has it", func() bool { return there.Current().Text(settings.FacebookAppSecret) == value })
		}
	})
}

func TestTwoWhoChangeAtOnceBothCount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var both sync.WaitGroup
		for i := range 8 {
			both.Go(func() {
				all, err := open(s, key)
				if err == nil {
					_, err = all.Update(ctx, audit.Actor{}, change(to(settings.SupportContact, fmt.Sprint("desk ", i))))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if v := with(t, s, key).Current(); v.Version != 8 {
			t.Errorf("version %d", v.Version)
		}
	})
}

func TestSecretsAreStoredSealedAndOpenOnlyInTheirPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		must(t, with(t, s, key).Fill(ctx, map[settings.Code]string{
			settings.FacebookAppID: "1", settings.FacebookAppSecret: secret, settings.FacebookWebhookVerifyToken: secret,
		}))
		for _, row := range s.Client().Setting.Query().AllX(ctx) {
			if strings.Contains(row.Value, secret) || bytes.Contains(row.Sealed, []byte(secret)) || strings.Contains(row.String(), secret) {
				t.Errorf("%s shows its secret", row.ID)
			}
			if (row.ID == string(settings.FacebookAppID)) != (len(row.Sealed) == 0) {
				t.Errorf("%s: %q, %d bytes sealed", row.ID, row.Value, len(row.Sealed))
			}
		}
		for _, shown := range with(t, s, key).Current().List() {
			if shown.Kind == settings.Secret && shown.Value != nil {
				t.Errorf("%s is shown", shown.Code)
			}
		}

		// Another key, and another place.
		_, err := open(s, otherKey)
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "Facebook") {
			t.Errorf("%v", err)
		}
		client := s.Client()
		from := client.Setting.GetX(ctx, string(settings.FacebookAppSecret))
		client.Setting.Update().Where(setting.ID(string(settings.FacebookWebhookVerifyToken))).SetSealed(from.Sealed).ExecX(ctx)
		if _, err := open(s, key); err == nil {
			t.Error("a secret opens in another's place")
		}
	})
}

func TestAfterSealingAgainTheOldKeyCanGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		must(t, with(t, s, key).Fill(ctx, map[settings.Code]string{settings.FacebookAppID: "1", settings.FacebookAppSecret: secret}))
		both := with(t, s, otherKey+","+key)
		if both.Current().Text(settings.FacebookAppSecret) != secret {
			t.Fatal("the old key does not read")
		}
		must(t, both.Reseal(ctx))
		if v := with(t, s, otherKey).Current(); v.Text(settings.FacebookAppSecret) != secret || v.Version != 2 {
			t.Errorf("%d", v.Version)
		}
	})
}
