package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/server/auth"
	"parley/server/fault"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestOfReplicasThatStartTogetherOneMakesTheClientAndKeepsItsSecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		in := install(t, db)
		var all sync.WaitGroup
		var made atomic.Int32
		kept := make(chan string, 6)
		for range cap(kept) {
			s := in.unstarted()
			all.Go(func() {
				secret := auth.NewSecret()
				_, created, err := s.EnsureClient(ctx, auth.NewClient{Name: "Built in", Secret: secret, Role: apiclient.RoleIntegrator},
					func(*store.Tx, *ent.APIClient) error { kept <- secret; return nil })
				if err != nil {
					t.Error(err)
				}
				if created {
					made.Add(1)
				}
			})
		}
		all.Wait()
		if n := in.db.Client().APIClient.Query().CountX(ctx); n != 1 || made.Load() != 1 || len(kept) != 1 {
			t.Fatalf("%d clients, %d say that they made one, %d kept a secret", n, made.Load(), len(kept))
		}
		row := in.db.Client().APIClient.Query().OnlyX(ctx)
		client, err := in.replica(t).CheckClient(ctx, row.GlobalID().String(), <-kept)
		must(t, err)
		if client.ID != row.ID || client.Name != "Built in" || client.CreatedBy != nil {
			t.Errorf("the client is %v", client)
		}
	})
}

func TestAClientWhoseSecretCannotBeKeptIsNotMade(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		full := errors.New("no room")
		_, created, err := in.unstarted().EnsureClient(context.Background(),
			auth.NewClient{Name: "Built in", Secret: auth.NewSecret(), Role: apiclient.RoleIntegrator},
			func(*store.Tx, *ent.APIClient) error { return full })
		if !errors.Is(err, full) || created || in.db.Client().APIClient.Query().ExistX(context.Background()) {
			t.Errorf("created %v, %v", created, err)
		}
	})
}

func TestAClientThatIsThereStaysAsItIs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		in := install(t, db)
		id, secret := in.client(t, "Built in", "chats:read")
		row, created, err := in.unstarted().EnsureClient(context.Background(),
			auth.NewClient{Name: "Built in", Secret: auth.NewSecret(), Role: apiclient.RoleIntegrator, Scopes: []string{"chats:write"}},
			func(*store.Tx, *ent.APIClient) error { t.Error("it was made again"); return nil })
		must(t, err)
		if created || row.GlobalID().String() != id || strings.Join(row.Scopes, " ") != "chats:read" {
			t.Errorf("created %v, %v", created, row)
		}
		_, err = in.replica(t).CheckClient(context.Background(), id, secret)
		must(t, err)
	})
}

func TestAClientThatCannotBeIsNotMade(t *testing.T) {
	s := install(t, storetest.SQLite(t)).unstarted()
	for name, n := range map[string]auth.NewClient{
		"no name":           {Secret: auth.NewSecret(), Role: apiclient.RoleBot},
		"a long name":       {Name: strings.Repeat("ü", 201), Secret: auth.NewSecret(), Role: apiclient.RoleBot},
		"a short secret":    {Name: "A", Secret: "0123456789abcdef0123456789abcde", Role: apiclient.RoleBot},
		"an unknown scope":  {Name: "A", Secret: auth.NewSecret(), Role: apiclient.RoleIntegrator, Scopes: []string{"everything"}},
		"a bot with scopes": {Name: "A", Secret: auth.NewSecret(), Role: apiclient.RoleBot, Scopes: []string{"chats:read"}},
	} {
		if _, _, err := s.EnsureClient(context.Background(), n, nil); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.EnsureClient(context.Background(), auth.NewClient{Name: "A", Secret: auth.NewSecret(), Role: "ADMIN"}, nil); err == nil {
		t.Error("a machine is an administrator")
	}
}

// TestNoSecretIsStoredOrLogged reads the database's files as they are.
func TestNoSecretIsStoredOrLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	in := serve(t, storetest.SQLite(t), 1)
	id, secret := in.client(t, "Importer", "chats:read")
	token, err := in.basic(id, secret).Token(context.Background())
	must(t, err)
	in.post(t, encoded("grant_type", "client_credentials", "client_id", id, "client_secret", secret+"x"))
	must(t, in.db.Close())
	in.post(t, encoded("grant_type", "client_credentials", "client_id", id, "client_secret", secret))
	if !strings.Contains(log.String(), "token cannot be given") {
		t.Errorf("that the database is away is not logged: %s", log.String())
	}
	files, err := filepath.Glob(in.db.URL + "*")
	must(t, err)
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		found = found || bytes.Contains(content, []byte("Importer"))
		for _, hidden := range []string{secret, token.AccessToken} {
			if bytes.Contains(content, []byte(hidden)) {
				t.Errorf("a secret is in %s", file)
			}
		}
	}
	if !found {
		t.Errorf("these are not the database's files: %v", files)
	}
	if strings.Contains(log.String(), secret) || strings.Contains(log.String(), token.AccessToken) {
		t.Error("a secret is in the log")
	}
}
