// Package channelstest gives tests what Channels need besides a database.
package channelstest

import (
	"context"
	"log/slog"
	"time"

	"parley/server/auth"
	"parley/server/channels"
	"parley/server/messenger"
	"parley/server/seal"
	"parley/server/settings"
	"parley/server/store"
)

// The installation is at a host that only the simulator's client knows, see
// messengertest.Reaching.
const (
	Host      = "parley.test"
	PublicURL = "http://" + Host
)

// key seals the settings, whatever key the test gives to what it tests.
const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// Options are those of an installation that is set up: its Facebook app is set,
// and an identity server that knows it.
func Options(ctx context.Context, s *store.Store, app messenger.App, now func() time.Time, log *slog.Logger) (channels.Options, error) {
	box, err := seal.New(key)
	if err != nil {
		return channels.Options{}, err
	}
	all, err := settings.Open(ctx, s, box, settings.Options{Changed: func() {}, Now: now, Log: log})
	if err != nil {
		return channels.Options{}, err
	}
	err = all.Fill(ctx, map[settings.Code]string{
		settings.FacebookAppID: app.ID, settings.FacebookAppSecret: app.Secret, settings.FacebookWebhookVerifyToken: "a verify token",
		settings.IdentityServerURL: "https://id.test", settings.IdentityServerClientID: "desk", settings.IdentityServerClientSecret: "a client secret",
	})
	return channels.Options{
		PublicURL: PublicURL, Settings: all, Now: now, Log: log,
		TestIdentityServer: func(context.Context, auth.IdentityServer) (*auth.IdentityFailure, error) { return nil, nil },
		Connected:          func(context.Context, string) error { return nil },
	}, err
}
