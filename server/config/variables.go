package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"parley/server/seal"
	"parley/server/weburl"
)

// variable is one thing that can be told, bound to the field that it fills.
type variable struct {
	name     string
	flag     string // empty for secrets, which other users of a machine can see in arguments
	initial  string // its value if none is given
	meaning  string
	field    field
	redact   func(string) string // nil if it is no secret
	isSwitch bool                // its flag needs no value
}

// variables is the whole list.
func variables(c *Config) []variable {
	return []variable{
		{name: "PARLEY_ADDR", flag: "addr", initial: "127.0.0.1:8080", field: bind(&c.Addr, address),
			meaning: "address and port to listen on"},
		{name: "DATABASE_URL", field: bind(&c.DatabaseURL, database), redact: withoutPassword,
			meaning: "`postgres://` URL of the database; empty means the embedded SQLite in the data folder"},
		{name: "PARLEY_DATA", flag: "data", initial: "./data", field: bind(&c.Data, text),
			meaning: "folder of the embedded database and of its secret key"},
		{name: "PARLEY_PUBLIC_URL", flag: "public-url", field: bind(&c.PublicURL, weburl.Parse),
			meaning: "URL under which browsers and Facebook reach this server; empty means `http://` and the address"},
		{name: "PARLEY_SECRET_KEY", field: bind(&c.SecretKey, secretKey), redact: hidden,
			meaning: "base64 of 32 random bytes that seals secrets at rest; several with commas between: the first seals, all open. Required with PostgreSQL; the embedded default makes its own"},
		{name: "PARLEY_GRAPH_URL", flag: "graph-url", initial: "https://graph.facebook.com", field: bind(&c.GraphURL, weburl.Parse),
			meaning: "Facebook's Graph API"},
		{name: "PARLEY_FACEBOOK_URL", flag: "facebook-url", initial: "https://www.facebook.com", field: bind(&c.FacebookURL, weburl.Parse),
			meaning: "Facebook's pages, for its login"},
		{name: "PARLEY_GRAPH_VERSION", flag: "graph-version", initial: "v26.0", field: bind(&c.GraphVersion, graphVersion),
			meaning: "version of the Graph API"},
		{name: "PARLEY_ACCESS_TOKEN_TTL", flag: "access-token-ttl", initial: "15m", field: bind(&c.AccessTokenTTL, tokenTTL),
			meaning: "how long an access token lives, from `1s` to `24h`"},
		{name: "PARLEY_ADMIN_EMAIL", flag: "admin-email", field: bind(&c.AdminEmail, email),
			meaning: "e-mail of the administrator that the first start creates; empty means `admin@parley.local`"},
		{name: "PARLEY_ADMIN_PASSWORD", field: bind(&c.AdminPassword, text), redact: hidden,
			meaning: "that administrator's password; empty means that one is made and printed once"},
		{name: "FACEBOOK_APP_ID", flag: "facebook-app-id", field: bind(&c.FacebookAppID, digits),
			meaning: "id of the Facebook app"},
		{name: "FACEBOOK_APP_SECRET", field: bind(&c.FacebookAppSecret, text), redact: hidden,
			meaning: "secret of the Facebook app"},
		{name: "FACEBOOK_WEBHOOK_VERIFY_TOKEN", field: bind(&c.FacebookWebhookVerifyToken, text), redact: hidden,
			meaning: "word that Facebook repeats when the webhook is set up"},
		{name: "PARLEY_PRODUCTION", flag: "production", initial: "false", field: bind(&c.Production, boolean), isSwitch: true,
			meaning: "turns off what only developers need, such as GraphiQL"},
		{name: "PARLEY_MAX_CONNECTIONS", flag: "max-connections", initial: "20000", field: bind(&c.MaxConnections, connections),
			meaning: "websockets that this process accepts at a time"},
		{name: "PARLEY_ALLOWED_ORIGINS", flag: "allowed-origins", field: bind(&c.AllowedOrigins, origins),
			meaning: "origins, with commas between, from which browsers may call besides the public URL's own; `*` allows all"},
		{name: "PARLEY_LOG", flag: "log", initial: "text", field: bind(&c.Log, logFormat),
			meaning: "form of the log: `text` or `json`"},
		{name: "PARLEY_LOG_LEVEL", flag: "log-level", initial: "info", field: bind(&c.LogLevel, logLevel),
			meaning: "least level that is logged: `debug`, `info`, `warn` or `error`"},
	}
}

// set fills the field, or says why it cannot, without quoting a secret.
func (v variable) set(text string) error {
	err := v.field.set(text)
	if err == nil {
		return nil
	}
	if v.redact != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	return fmt.Errorf("%s: %w, not %q", v.name, err, text)
}

func (v variable) shown() string {
	value := v.field.get()
	if v.redact == nil || value == "" {
		return value
	}
	return v.redact(value)
}

type field struct {
	set func(string) error
	get func() string
}

func bind[T any](p *T, parse func(string) (T, error)) field {
	return field{
		set: func(s string) (err error) { *p, err = parse(s); return err },
		get: func() string {
			if list, ok := any(*p).([]string); ok {
				return strings.Join(list, ",")
			}
			return fmt.Sprint(*p)
		},
	}
}

func hidden(string) string { return "(hidden)" }

// withoutPassword leaves the query out too, where a password may be as well.
func withoutPassword(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return hidden(location)
	}
	return u.Scheme + "://" + u.Host + u.Path
}

func text(s string) (string, error) { return s, nil }

func address(s string) (string, error) {
	_, port, err := net.SplitHostPort(s)
	if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
		return "", errors.New("must be a host and a port, such as 127.0.0.1:8080")
	}
	return s, nil
}

func database(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
		return "", errors.New("must be a postgres:// URL, or empty for the embedded database")
	}
	return s, nil
}

func secretKey(s string) (string, error) {
	if _, err := seal.New(s); err != nil {
		return "", err
	}
	return s, nil
}

var version = regexp.MustCompile(`^v\d+\.\d+$`)

func graphVersion(s string) (string, error) {
	if !version.MatchString(s) {
		return "", errors.New("must be a version such as v26.0")
	}
	return s, nil
}

func tokenTTL(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > 24*time.Hour {
		return 0, errors.New("must be a duration from 1s to 24h, such as 15m")
	}
	return d, nil
}

func email(s string) (string, error) {
	if name, domain, _ := strings.Cut(s, "@"); name == "" || domain == "" || strings.ContainsAny(s, " \t\r\n") {
		return "", errors.New("must be an e-mail address")
	}
	return s, nil
}

func digits(s string) (string, error) {
	if strings.Trim(s, "0123456789") != "" {
		return "", errors.New("must be digits")
	}
	return s, nil
}

func boolean(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("must be true or false")
	}
	return b, nil
}

func connections(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, errors.New("must be a number from 1 to 1000000")
	}
	return n, nil
}

func origins(s string) ([]string, error) {
	var list []string
	for _, origin := range strings.Split(strings.ToLower(s), ",") {
		origin = strings.TrimSpace(origin)
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			return nil, errors.New("must be origins such as https://desk.example, with commas between, or *")
		}
		list = append(list, origin)
	}
	return list, nil
}

func logFormat(s string) (string, error) {
	if s != "text" && s != "json" {
		return "", errors.New("must be text or json")
	}
	return s, nil
}

func logLevel(s string) (slog.Level, error) {
	var level slog.Level
	if level.UnmarshalText([]byte(s)) != nil {
		return 0, errors.New("must be debug, info, warn or error")
	}
	return level, nil
}
