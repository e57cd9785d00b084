package auth_test

import (
	"context"
	"testing"

	"parley/ent/apiclient"
	"parley/ent/operator"
	"parley/server/auth"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestAReplicaWaitsForTheOneThatIsMakingTheFirstKey(t *testing.T) {
	ctx := context.Background()
	in := install(t, storetest.Postgres(t))
	in.operator(t, "ann@example.org")
	late := in.unstarted()
	err := during(t, in.db, func(tx *store.Tx) error {
		sealed := in.keys.Seal([]byte("of no use"), "signing-key:first")
		return tx.SigningKey.Create().SetID("first").SetPrivateKey(sealed).SetCreatedAt(in.now()).Exec(ctx)
	}, func() error { return late.Start(ctx) })
	if err == nil {
		t.Error("the other replica's key was not read")
	}
	if n := in.db.Client().SigningKey.Query().CountX(ctx); n != 1 {
		t.Errorf("there are %d first keys", n)
	}
}

func TestAReplicaWaitsForTheOneThatIsMakingTheAdministrator(t *testing.T) {
	ctx := context.Background()
	in := install(t, storetest.Postgres(t))
	late := in.replica(t)
	var created bool
	must(t, during(t, in.db, func(tx *store.Tx) error {
		return tx.Operator.Create().SetEmail("first@example.org").SetName("First").SetPasswordHash("").
			SetRole(operator.RoleAdmin).SetCreatedAt(in.now()).Exec(ctx)
	}, func() (err error) {
		created, _, err = late.EnsureAdmin(ctx, "", "")
		return err
	}))
	if n := in.db.Client().Operator.Query().CountX(ctx); n != 1 || created {
		t.Errorf("there are %d first administrators", n)
	}
}

func TestAReplicaWaitsForTheOneThatIsMakingTheSameClient(t *testing.T) {
	ctx := context.Background()
	in := install(t, storetest.Postgres(t))
	late := in.replica(t)
	var created bool
	must(t, during(t, in.db, func(tx *store.Tx) error {
		return tx.APIClient.Create().SetName("Built in").SetRole(apiclient.RoleIntegrator).SetScopes([]string{}).
			SetSecretHash(auth.HashSecret("of the other")).SetCreatedAt(in.now()).Exec(ctx)
	}, func() (err error) {
		_, created, err = late.EnsureClient(ctx, auth.NewClient{Name: "Built in", Secret: auth.NewSecret(), Role: apiclient.RoleIntegrator}, nil)
		return err
	}))
	if n := in.db.Client().APIClient.Query().CountX(ctx); n != 1 || created {
		t.Errorf("there are %d clients of a name", n)
	}
}

// during runs late while a transaction that did first is still open, commits it
// when late waits, and gives late's outcome.
func during(t *testing.T, db *store.Store, first func(*store.Tx) error, late func() error) error {
	t.Helper()
	outcome := make(chan error, 1)
	must(t, db.InTx(context.Background(), func(tx *store.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		go func() { outcome <- late() }()
		for waits := false; !waits; {
			select {
			case err := <-outcome:
				t.Errorf("it did not wait")
				outcome <- err
				return nil
			default:
			}
			const waiting = `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`
			if err := db.DB.QueryRow(waiting).Scan(&waits); err != nil {
				return err
			}
		}
		return nil
	}))
	return <-outcome
}
