package settings_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent/setting"
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
)

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC) }

func with(t *testing.T, s *store.Store, keys string) *settings.Settings {
	t.Helper()
	box, err := seal.New(keys)
	must(t, err)
	return settings.New(s, box, now)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheFirstValueOfASettingStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := with(t, s, key)
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookAppID: "1", settings.FacebookAppSecret: "", settings.FacebookWebhookVerifyToken: "v"}))
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookAppID: "2", settings.FacebookAppSecret: "first", settings.FacebookWebhookVerifyToken: ""}))
		must(t, all.Fill(ctx, map[settings.Code]string{settings.FacebookAppSecret: "second"}))
		must(t, all.Fill(ctx, nil))
		got, err := all.Read(ctx)
		must(t, err)
		want := map[settings.Code]string{settings.FacebookAppID: "1", settings.FacebookAppSecret: "first", settings.FacebookWebhookVerifyToken: "v"}
		if !maps.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

func TestReplicasThatFillAtOnceAgree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var both sync.WaitGroup
		for i := range 8 {
			both.Go(func() {
				if err := with(t, s, key).Fill(ctx, map[settings.Code]string{
					settings.FacebookAppID: fmt.Sprint(i), settings.FacebookAppSecret: fmt.Sprint(i), settings.FacebookWebhookVerifyToken: fmt.Sprint(i),
				}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		first, err := with(t, s, key).Read(ctx)
		must(t, err)
		if len(first) != 3 || first[settings.FacebookAppID] != first[settings.FacebookAppSecret] {
			t.Errorf("%v", first)
		}
	})
}

func TestSecretsAreStoredSealedAndOpenOnlyInTheirPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const secret = "hunter2-of-the-app"
		must(t, with(t, s, key).Fill(ctx, map[settings.Code]string{
			settings.FacebookAppID: "1", settings.FacebookAppSecret: secret, settings.FacebookWebhookVerifyToken: secret,
		}))
		rows, err := s.Client().Setting.Query().All(ctx)
		must(t, err)
		for _, row := range rows {
			if strings.Contains(row.Value, secret) || bytes.Contains(row.Sealed, []byte(secret)) || strings.Contains(row.String(), secret) {
				t.Errorf("%s shows its secret", row.ID)
			}
			if (row.ID == string(settings.FacebookAppID)) != (len(row.Sealed) == 0) {
				t.Errorf("%s: %q, %d bytes sealed", row.ID, row.Value, len(row.Sealed))
			}
		}

		// Another key, and another place.
		_, err = with(t, s, otherKey).Read(ctx)
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "Facebook") {
			t.Errorf("%v", err)
		}
		if _, err := with(t, s, otherKey+","+key).Read(ctx); err != nil {
			t.Errorf("after a new key: %v", err)
		}
		client := s.Client()
		from, err := client.Setting.Get(ctx, string(settings.FacebookAppSecret))
		must(t, err)
		must(t, client.Setting.Update().Where(setting.ID(string(settings.FacebookWebhookVerifyToken))).SetSealed(from.Sealed).Exec(ctx))
		if _, err := with(t, s, key).Read(ctx); err == nil {
			t.Error("a secret opens in another's place")
		}
	})
}
