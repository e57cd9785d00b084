package app

import (
	"context"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/server/audit"
	"parley/server/auth"
	"parley/server/settings"
	"parley/server/store"
)

// ownClient is the API client that the identity server inside the process knows
// the installation by.
const ownClient = "Parley"

// openIdentity names, at the first start, the identity server inside the process
// in the settings, with a client that it knows. An outside one is set in their
// place. While they name the one inside, its address is the public URL, whatever
// that was when they were filled in.
func (a *App) openIdentity(ctx context.Context) error {
	now, own := a.Settings.Current(), a.options.Config.PublicURL
	if !now.WasSet(settings.IdentityServerURL) && !now.WasSet(settings.IdentityServerClientID) {
		secret := auth.NewSecret()
		_, _, err := a.Auth.EnsureClient(ctx, auth.NewClient{Name: ownClient, Secret: secret, Role: apiclient.RoleIntegrator},
			func(tx *store.Tx, client *ent.APIClient) error {
				return a.Settings.FillIn(ctx, tx, map[settings.Code]string{
					settings.IdentityServerURL:          own,
					settings.IdentityServerClientID:     client.GlobalID().String(),
					settings.IdentityServerClientSecret: secret,
				})
			})
		if err != nil {
			return err
		}
		if err := a.Settings.Refresh(ctx); err != nil {
			return err
		}
		now = a.Settings.Current()
	}
	if now.Text(settings.IdentityServerURL) == own || !a.isOwnClient(ctx, now) {
		return nil
	}
	_, err := a.Settings.Update(ctx, audit.Actor{}, settings.Change{Values: []settings.Value{{Code: settings.IdentityServerURL, Value: &own}}})
	return err
}

// isOwnClient says whether the settings hold credentials of the identity server
// inside.
func (a *App) isOwnClient(ctx context.Context, v *settings.Values) bool {
	if v.Text(settings.IdentityServerURL) == "" {
		return false // an administrator has taken it away
	}
	_, err := a.Auth.CheckClient(ctx, v.Text(settings.IdentityServerClientID), v.Text(settings.IdentityServerClientSecret))
	return err == nil
}

// outside is the identity server that the settings name, for its tokens.
func (a *App) outside() auth.Outside {
	now := a.Settings.Current()
	return auth.Outside{
		URL: now.Text(settings.IdentityServerURL), ClientID: now.Text(settings.IdentityServerClientID),
		Audience: now.Text(settings.IdentityServerAudience), OperatorClaim: now.Text(settings.IdentityServerClaim),
	}
}
