package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/ent/apiclient"
	"parley/server/auth"
	"parley/server/store/storetest"
)

// provider is an OpenID provider that knows one client.
type provider struct {
	*httptest.Server
	issuer string // what it calls itself, if not its address
	reply  func(w http.ResponseWriter)
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realm/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		issuer := p.URL + "/realm"
		if p.issuer != "" {
			issuer = p.issuer
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks"})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if p.reply != nil {
			p.reply(w)
			return
		}
		if id, secret, _ := r.BasicAuth(); r.FormValue("grant_type") != "client_credentials" || id != "desk" || secret != "s3cret-of-the-desk" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error": "invalid_client", "error_description": "<b>who?</b>"}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token": "t0ken", "token_type": "Bearer", "expires_in": 60}`))
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func TestTheTestOfAnIdentityServerSaysWhichStepFailed(t *testing.T) {
	s := install(t, storetest.SQLite(t)).replica(t)
	p := newProvider(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	status := func(code int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	good := auth.IdentityServer{URL: p.URL + "/realm", ClientID: "desk", ClientSecret: "s3cret-of-the-desk"}
	for name, c := range map[string]struct {
		at     func(*auth.IdentityServer)
		issuer string
		reply  func(http.ResponseWriter)
		step   auth.IdentityStep
		says   string
	}{
		"all is well":            {},
		"no secret":              {at: func(s *auth.IdentityServer) { s.ClientSecret = "" }, step: auth.StepSettings, says: "not set"},
		"nobody is there":        {at: func(s *auth.IdentityServer) { s.URL = gone.URL }, step: auth.StepDiscovery, says: "/.well-known/openid-configuration"},
		"no discovery there":     {at: func(s *auth.IdentityServer) { s.URL = p.URL }, step: auth.StepDiscovery, says: "No discovery document"},
		"it is called otherwise": {issuer: "https://other.test", step: auth.StepDiscovery, says: "calls itself otherwise"},
		"wrong secret":           {at: func(s *auth.IdentityServer) { s.ClientSecret = "wrong" }, step: auth.StepToken, says: "does not know the client"},
		"no such grant":          {reply: status(400, `{"error": "unsupported_grant_type"}`), step: auth.StepToken, says: "does not offer"},
		"its database is down":   {reply: status(500, `<html>stack trace`), step: auth.StepToken, says: "HTTP status 500"},
		"no token in the answer": {reply: status(200, `{}`), step: auth.StepToken, says: "does not answer"},
	} {
		at := good
		if c.at != nil {
			c.at(&at)
		}
		p.issuer, p.reply = c.issuer, c.reply
		failure, err := s.TestIdentityServer(t.Context(), at)
		if err != nil {
			t.Fatal(name, err)
		}
		switch {
		case c.step == "" && failure == nil:
		case c.step == "" || failure == nil || failure.Step != c.step || !strings.Contains(failure.Reason, c.says):
			t.Errorf("%s: %v", name, failure)
		case strings.Contains(failure.Reason, "s3cret") || strings.Contains(failure.Reason, "<"):
			t.Errorf("%s shows what it must not: %s", name, failure.Reason)
		}
	}
}

func TestTheIdentityServerOfTheProcessIsAskedInTheProcess(t *testing.T) {
	s := install(t, storetest.SQLite(t)).replica(t)
	secret := auth.NewSecret()
	client, _, err := s.EnsureClient(t.Context(), auth.NewClient{Name: "own", Secret: secret, Role: apiclient.RoleIntegrator}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]auth.IdentityStep{secret: "", "wrong": auth.StepToken} {
		failure, err := s.TestIdentityServer(t.Context(), auth.IdentityServer{URL: issuer, ClientID: client.GlobalID().String(), ClientSecret: given})
		if err != nil || (failure == nil) != (want == "") || failure != nil && failure.Step != want {
			t.Errorf("%v, %v", failure, err)
		}
	}
}
