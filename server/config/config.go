// Package config owns how the program is told what to do: one struct, read once
// from the environment and the command line, checked as a whole, and handed
// over. Nothing else reads the environment. A Config is a value; whoever has
// one may read it at the same time as others.
//
// Invariant: a Config that Load returned without an error makes sense, and no
// way of printing one, nor an error about one, shows a secret.
package config

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// Config is what the program was told, with defaults filled in. What each field
// means is in variables.go.
type Config struct {
	Addr           string
	DatabaseURL    string // empty for the embedded database
	Data           string
	PublicURL      string // without a slash at the end, as all URLs here
	SecretKey      string // empty only with the embedded database
	GraphURL       string
	FacebookURL    string
	GraphVersion   string
	AccessTokenTTL time.Duration

	AdminEmail    string
	AdminPassword string

	FacebookAppID              string
	FacebookAppSecret          string
	FacebookWebhookVerifyToken string

	Production     bool
	MaxConnections int
	AllowedOrigins []string // of browsers, besides the public URL's; "*" is all

	Log      string // text or json
	LogLevel slog.Level
}

// Database is what to open: a postgres:// URL or the path of the SQLite file.
func (c Config) Database() string {
	return cmp.Or(c.DatabaseURL, filepath.Join(c.Data, "parley.db"))
}

// SecretKeyFile is where the embedded default keeps its secret key.
func (c Config) SecretKeyFile() string { return filepath.Join(c.Data, "secret.key") }

// Load reads the environment ("NAME=value") and the arguments after the
// program's name, which win. An empty value counts as none. The error holds
// every problem, each with the variable at fault, or is flag.ErrHelp.
func Load(args, environ []string) (Config, error) {
	var c Config
	vars := variables(&c)
	given := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		given[name] = value
	}
	err := readFlags(args, vars, given)
	if errors.Is(err, flag.ErrHelp) {
		return Config{}, flag.ErrHelp
	}
	problems := []error{err}
	for _, v := range vars {
		if text := cmp.Or(given[v.name], v.initial); text != "" {
			problems = append(problems, v.set(text))
		}
	}
	if given["DATABASE_URL"] != "" && given["PARLEY_SECRET_KEY"] == "" {
		problems = append(problems, errors.New("PARLEY_SECRET_KEY: is required with DATABASE_URL: base64 of 32 random bytes, the same for every replica (openssl rand -base64 32)"))
	}
	if err := errors.Join(problems...); err != nil {
		return Config{}, err
	}
	c.PublicURL = cmp.Or(c.PublicURL, "http://"+reachable(c.Addr))
	return c, nil
}

// readFlags notes the values of flags under their variables' names.
func readFlags(args []string, vars []variable, given map[string]string) error {
	set := flag.NewFlagSet("parley", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, v := range vars {
		note := func(text string) error { given[v.name] = text; return nil }
		switch {
		case v.flag == "":
		case v.isSwitch:
			set.BoolFunc(v.flag, v.meaning, note)
		default:
			set.Func(v.flag, v.meaning, note)
		}
	}
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("argument %d is not a flag", len(args)-set.NArg()+1)
	}
	return nil
}

// reachable puts this machine in place of an address that means every one.
func reachable(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// String lists every variable with its value, secrets redacted.
func (c Config) String() string {
	var text strings.Builder
	for _, v := range variables(&c) {
		fmt.Fprintf(&text, "%s=%s\n", v.name, v.shown())
	}
	return text.String()
}

// GoString redacts as String does.
func (c Config) GoString() string { return c.String() }

// LogValue redacts as String does.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, v := range variables(&c) {
		attrs = append(attrs, slog.String(v.name, v.shown()))
	}
	return slog.GroupValue(attrs...)
}

// Table is the README's table of all variables.
func Table() string {
	var c Config
	text := strings.Builder{}
	text.WriteString("| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, v := range variables(&c) {
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", v.name, code(v.flag, "-"), code(v.initial, ""), v.meaning)
	}
	return text.String()
}

func code(text, prefix string) string {
	if text == "" {
		return ""
	}
	return "`" + prefix + text + "`"
}
