package config_test

import (
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"parley/server/config"
	"parley/server/seal"
)

func load(t *testing.T, args []string, environ ...string) config.Config {
	t.Helper()
	c, err := config.Load(args, environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWithoutBeingToldAnythingItRunsEmbedded(t *testing.T) {
	got := load(t, nil, "HOME=/root", "PARLEY_LOG=")
	want := config.Config{
		Addr: "127.0.0.1:8080", Data: "./data", PublicURL: "http://127.0.0.1:8080",
		GraphURL: "https://graph.facebook.com", FacebookURL: "https://www.facebook.com", GraphVersion: "v26.0",
		AccessTokenTTL: 15 * time.Minute, MaxConnections: 20000, Log: "text",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	if got.Database() != filepath.Join("data", "parley.db") {
		t.Errorf("database %q", got.Database())
	}
}

func TestEveryVariableIsRead(t *testing.T) {
	key := seal.Generate()
	got := load(t, nil, "PARLEY_ADDR=:9090", "DATABASE_URL=postgres://p:w@db/parley", "PARLEY_DATA=/var/lib/parley",
		"PARLEY_PUBLIC_URL=https://desk.example/", "PARLEY_SECRET_KEY="+key, "PARLEY_GRAPH_URL=http://127.0.0.1:1",
		"PARLEY_FACEBOOK_URL=http://127.0.0.1:2/", "PARLEY_GRAPH_VERSION=v27.0", "PARLEY_ACCESS_TOKEN_TTL=5s",
		"PARLEY_ADMIN_EMAIL=a@b", "PARLEY_ADMIN_PASSWORD=p=w", "FACEBOOK_APP_ID=123", "FACEBOOK_APP_SECRET=s",
		"FACEBOOK_WEBHOOK_VERIFY_TOKEN=t", "PARLEY_PRODUCTION=true", "PARLEY_MAX_CONNECTIONS=5",
		"PARLEY_ALLOWED_ORIGINS=https://A.example, capacitor://localhost", "PARLEY_LOG=json", "PARLEY_LOG_LEVEL=debug")
	want := config.Config{
		Addr: ":9090", DatabaseURL: "postgres://p:w@db/parley", Data: "/var/lib/parley",
		PublicURL: "https://desk.example", SecretKey: key, GraphURL: "http://127.0.0.1:1",
		FacebookURL: "http://127.0.0.1:2", GraphVersion: "v27.0", AccessTokenTTL: 5 * time.Second,
		AdminEmail: "a@b", AdminPassword: "p=w", FacebookAppID: "123", FacebookAppSecret: "s",
		FacebookWebhookVerifyToken: "t", Production: true, MaxConnections: 5,
		AllowedOrigins: []string{"https://a.example", "capacitor://localhost"}, Log: "json", LogLevel: slog.LevelDebug,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	if got.Database() != got.DatabaseURL {
		t.Errorf("database %q", got.Database())
	}
}

func TestFlagsWin(t *testing.T) {
	got := load(t, []string{"-addr", ":7070", "--production", "-log=json"}, "PARLEY_ADDR=:9090", "PARLEY_LOG=nonsense")
	if got.Addr != ":7070" || !got.Production || got.Log != "json" {
		t.Errorf("got %v", got)
	}
	if load(t, []string{"-production=false"}, "PARLEY_PRODUCTION=true").Production {
		t.Error("the flag did not win")
	}
}

func TestThePublicURLIsTheAddressByDefault(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80", "[::]:80": "http://localhost:80",
		"[2001:db8::1]:80": "http://[2001:db8::1]:80", "desk.example:80": "http://desk.example:80",
	} {
		if got := load(t, []string{"-addr", addr}).PublicURL; got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

func TestNonsenseIsRefusedByName(t *testing.T) {
	for _, entry := range []string{
		"PARLEY_ADDR=8080", "PARLEY_ADDR=a:b", "PARLEY_ADDR=:70000", "PARLEY_ADDR=:-1",
		"DATABASE_URL=mysql://db/x", "DATABASE_URL=parley.db", "DATABASE_URL=postgres:db",
		"PARLEY_PUBLIC_URL=desk.example", "PARLEY_PUBLIC_URL=ftp://desk.example", "PARLEY_PUBLIC_URL=https://d.example/?a=b",
		"PARLEY_PUBLIC_URL=https://d.example/#a", "PARLEY_PUBLIC_URL=https://u:p@d.example", "PARLEY_PUBLIC_URL=https:///x",
		"PARLEY_SECRET_KEY=short", "PARLEY_GRAPH_URL=graph", "PARLEY_FACEBOOK_URL=//f", "PARLEY_GRAPH_VERSION=26.0",
		"PARLEY_GRAPH_VERSION=v26", "PARLEY_ACCESS_TOKEN_TTL=15", "PARLEY_ACCESS_TOKEN_TTL=999ms", "PARLEY_ACCESS_TOKEN_TTL=25h",
		"PARLEY_ADMIN_EMAIL=admin", "FACEBOOK_APP_ID=my app", "PARLEY_PRODUCTION=perhaps", "PARLEY_MAX_CONNECTIONS=0",
		"PARLEY_MAX_CONNECTIONS=many", "PARLEY_ALLOWED_ORIGINS=desk.example", "PARLEY_ALLOWED_ORIGINS=https://a.example/x",
		"PARLEY_ALLOWED_ORIGINS=https://a.example,", "PARLEY_LOG=xml", "PARLEY_LOG_LEVEL=loud",
	} {
		name, _, _ := strings.Cut(entry, "=")
		c, err := config.Load(nil, []string{entry})
		if err == nil || !strings.HasPrefix(err.Error(), name+": must ") && name != "PARLEY_SECRET_KEY" {
			t.Errorf("%s: %v", entry, err)
		}
		if !reflect.DeepEqual(c, config.Config{}) {
			t.Errorf("%s: half a configuration was given", entry)
		}
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, err := config.Load([]string{"-log", "xml"}, []string{"PARLEY_ADDR=x", "PARLEY_MAX_CONNECTIONS=-1", "DATABASE_URL=postgres://db/x"})
	for _, name := range []string{"PARLEY_LOG", "PARLEY_ADDR", "PARLEY_MAX_CONNECTIONS", "PARLEY_SECRET_KEY"} {
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s is not in: %v", name, err)
		}
	}
}

func TestArgumentsThatAreNoFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"serve"}, {"-production", "true"}, {"-nonsense"}, {"-database-url", "postgres://db/x"}, {"-addr"}} {
		if _, err := config.Load(args, nil); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	if _, err := config.Load([]string{"-h"}, nil); err != flag.ErrHelp {
		t.Errorf("asked for help: %v", err)
	}
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	key := seal.Generate()
	c := load(t, nil, "DATABASE_URL=postgres://user:pass-word@db.example:5432/parley?sslpassword=pass-word", "PARLEY_SECRET_KEY="+key,
		"PARLEY_ADMIN_PASSWORD=pass-word", "FACEBOOK_APP_SECRET=pass-word", "FACEBOOK_WEBHOOK_VERIFY_TOKEN=pass-word")
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("configuration", "config", c)
	for _, text := range []string{c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, &c), logged.String()} {
		if strings.Contains(text, "pass-word") || strings.Contains(text, key) {
			t.Errorf("a secret is in %s", text)
		}
		if !strings.Contains(text, "postgres://db.example:5432/parley") {
			t.Errorf("which database it is, is not in %s", text)
		}
	}
}

func TestNoErrorShowsASecret(t *testing.T) {
	for _, entry := range []string{"DATABASE_URL=mysql://u:pass-word@db/x", "DATABASE_URL=postgres://u:pass-word@%%/x", "PARLEY_SECRET_KEY=pass-word"} {
		_, err := config.Load(nil, []string{entry})
		if err == nil || strings.Contains(err.Error(), "pass-word") {
			t.Errorf("%v", err)
		}
	}
}

func TestTheTableHasEveryVariable(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(config.Table()), "\n")
	listed := strings.Split(strings.TrimSpace(config.Config{}.String()), "\n")
	if len(lines) != len(listed)+2 {
		t.Fatalf("%d rows for %d variables", len(lines)-2, len(listed))
	}
	for i, line := range lines {
		if strings.Count(line, "|") != 5 {
			t.Errorf("not a row of four cells: %s", line)
		}
		if i >= 2 && !strings.HasPrefix(line, "| `"+strings.Split(listed[i-2], "=")[0]+"` |") {
			t.Errorf("row %s is not for %s", line, listed[i-2])
		}
	}
	if row := "| `PARLEY_ADDR` | `-addr` | `127.0.0.1:8080` | address and port to listen on |"; lines[2] != row {
		t.Errorf("first row %s", lines[2])
	}
}
