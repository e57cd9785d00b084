package graph_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/settings"
)

// idp is an outside identity server with one key, which the settings name.
type idp struct {
	*httptest.Server
	t       *testing.T
	private *ecdsa.PrivateKey
}

func newIDP(t *testing.T, w *world) *idp {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{t: t, private: private}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(vars{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "1"}}})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	w.Admin.Must(setSettings, vars{"s": []any{
		setting(settings.IdentityServerURL, p.URL), setting(settings.IdentityServerClientID, "desk"), setting(settings.IdentityServerAudience, "api://desk"),
	}})
	return p
}

// as is a client with a token of this server.
func (p *idp) as(w *world, kid string, claims jwt.MapClaims) *client {
	p.t.Helper()
	claims["iss"], claims["aud"], claims["exp"] = p.URL, "api://desk", time.Now().Add(time.Hour).Unix()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	unsigned.Header["kid"] = kid
	token, err := unsigned.SignedString(p.private)
	if err != nil {
		p.t.Fatal(err)
	}
	c := w.Anonymous()
	c.Token = token
	return c
}

func (p *idp) person(w *world, email string) *client {
	return p.as(w, "1", jwt.MapClaims{"sub": "a7", "client_id": "spa", "email": email})
}

func (p *idp) machine(w *world, id string) *client {
	return p.as(w, "1", jwt.MapClaims{"sub": id, "client_id": id})
}

// hears waits for a message in a stream that Watch began.
func hears(s *apptest.Socket, text string) {
	for !strings.Contains(fmt.Sprint(s.Read().Payload), text) {
	}
}

func TestAPersonOfAnOutsideIdentityServerIsTheirOperator(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann := w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		p := newIDP(t, w)
		there := p.person(w, "ann@test.example")
		if a := there.Must(`{ viewer { role operator { id } } }`, nil); a.Get("viewer.operator.id") != ann.ID || a.Get("viewer.role") != "OPERATOR" {
			t.Error(a.Body)
		}
		socket := w.Connect(there)
		socket.Watch("1", feed)
		chat := w.Hears(w.Customer("Ada"), "hello")
		hears(socket, "hello")
		there.Must(`mutation($id: ID!) { acceptChat(input: {chatId: $id}) { chat { id } userErrors { code message } } }`, vars{"id": chat})
		there.Must(`mutation { signOut { userErrors { code message } } }`, nil)
		if a := p.person(w, "ben@test.example").Do(`{ viewer { role } }`, nil); a.Status != http.StatusUnauthorized || a.Code() != "UNAUTHENTICATED" || !strings.Contains(a.Body, "no operator") {
			t.Error(a.Body)
		}
	})
}

func TestAMachineOfAnOutsideIdentityServerIsItsAPIClient(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		p := newIDP(t, w)
		in := vars{"name": "Importer", "role": "INTEGRATOR", "scopes": []string{"chats:read"}, "externalClientId": "jobs", "idempotencyKey": "1"}
		made := w.Admin.Must(strings.Replace(createClient, "clientId", "clientId externalClientId", 1), input(in))
		id := made.String("createApiClient.apiClient.id")
		if made.Get("createApiClient.clientSecret") != nil || made.Get("createApiClient.apiClient.externalClientId") != "jobs" {
			t.Error(made.Body)
		}
		if again := w.Admin.Must(createClient, input(in)); again.Get("createApiClient.apiClient.id") != id {
			t.Error(again.Body)
		}
		for want, change := range map[string]vars{
			"NAME_TAKEN externalClientId": {"name": "Other", "externalClientId": "jobs"},
			"NAME_TAKEN name":             {"externalClientId": "other"},
			"INVALID externalClientId":    {"name": "Other", "externalClientId": " jobs"},
			"KEY_REUSED idempotencyKey":   {"externalClientId": "other", "idempotencyKey": "1"},
		} {
			other := vars{"name": "Importer", "role": "INTEGRATOR", "scopes": []string{"chats:read"}}
			for name, value := range change {
				other[name] = value
			}
			a := w.Admin.Do(createClient, input(other))
			if got := fmt.Sprint(a.Get("createApiClient.userErrors.0.code"), " ", a.Get("createApiClient.userErrors.0.field")); got != want {
				t.Errorf("%s: %s", want, a.Body)
			}
		}
		if a := w.Admin.Do(rotateSecret, input(vars{"id": id})); a.Code() != "REFUSED" {
			t.Error(a.Body)
		}
		machine := p.machine(w, "jobs")
		socket := w.Connect(machine)
		socket.Watch("1", feed)
		chat := w.Hears(w.Customer("Ada"), "hello")
		hears(socket, "hello")
		if a := machine.Must(allChats, nil); a.Get("chats.nodes.0.id") != chat || a.Get("viewer.apiClient.id") != id || a.Get("viewer.role") != "INTEGRATOR" {
			t.Error(a.Body)
		}
		if a := machine.Do(saySomething, vars{"id": chat}); a.Code() != "FORBIDDEN" {
			t.Errorf("without the scope: %s", a.Body)
		}
		w.Admin.Must(revokeClient, input(vars{"id": id}))
		if a := machine.Do(allChats, nil); a.Code() != "UNAUTHENTICATED" {
			t.Error(a.Body)
		}
		f := socket.Read()
		for f.Type == "next" { // what came before it was revoked
			f = socket.Read()
		}
		if f.Type != "error" || apptest.Get(f.Payload, "0.extensions.code") != "UNAUTHENTICATED" {
			t.Errorf("its stream goes on with %+v", f)
		}
	})
}

func TestWhenTheSettingsChangeWhatTheEarlierServersTokensHaveOpenedEnds(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	p := newIDP(t, w)
	admin := p.person(w, apptest.AdminEmail)
	socket, own := w.Connect(admin), w.Connect(w.Admin)
	socket.Watch("1", feed)
	body, _ := json.Marshal(vars{"query": `subscription { chatEvents { __typename } }`})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer " + admin.Token}}
	stream, err := http.DefaultClient.Do(request)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	// By the one whom it shuts out.
	admin.Must(setSettings, vars{"s": []any{setting(settings.IdentityServerAudience, "another")}})
	if code := socket.Closed(); code != 4403 {
		t.Errorf("the socket ends with %d", code)
	}
	_, _ = io.Copy(io.Discard, stream.Body) // ends
	if a := admin.Do(`{ viewer { role } }`, nil); a.Status != http.StatusUnauthorized {
		t.Error(a.Body)
	}
	own.Subscribe("1", `{ viewer { role } }`, nil)
	if f := own.Read(); f.Type != "next" {
		t.Errorf("our own token's socket: %+v", f)
	}
}

func TestASocketHearsWhyATokenFromOutsideIsRefused(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	p := newIDP(t, w)
	w.Admin.Must(`{ viewer { role } }`, nil)
	p.person(w, apptest.AdminEmail).Must(`{ viewer { role } }`, nil) // reads the keys
	for _, c := range []struct {
		as   *client
		code int
		says string
	}{
		{p.person(w, "ben@test.example"), 4403, "no operator"},
		{p.as(w, "2", jwt.MapClaims{"email": apptest.AdminEmail}), websocket.CloseTryAgainLater, "cannot check the token now"},
	} {
		s := w.Dial()
		s.Say(apptest.Frame{Type: "connection_init", Payload: vars{"authorization": "Bearer " + c.as.Token}})
		_, err := s.TryRead()
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != c.code || !strings.Contains(closed.Text, c.says) {
			t.Errorf("%v", err)
		}
	}
}

func TestAnIntegratorCannotSayWhoseTokensAreAccepted(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	machine := w.AddMachine("Set-up", operator.RoleIntegrator)
	for _, code := range []settings.Code{settings.IdentityServerURL, settings.IdentityServerClientID, settings.IdentityServerAudience, settings.IdentityServerClaim} {
		for _, value := range []any{"https://evil.example", nil} {
			if a := machine.Do(setSettings, vars{"s": []any{setting(settings.SupportContact, "Ada"), setting(code, value)}}); a.Code() != "FORBIDDEN" {
				t.Errorf("%s: %s", code, a.Body)
			}
		}
	}
	machine.Must(setSettings, vars{"s": []any{setting(settings.SupportContact, "Ada")}})
}
