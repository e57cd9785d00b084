package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/server/auth"
	"parley/server/store/storetest"
)

func TestBearerIsReadInAnyLetterCase(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc ": "abc",
		"": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "abc": "", "Bearerabc": "",
	} {
		token, ok := auth.Bearer(header)
		if ok != (want != "") || ok && token != want {
			t.Errorf("%q: %q, %v", header, token, ok)
		}
	}
}

// ask sends a request with the header through the middleware; handled is
// whether it arrived.
func ask(s *auth.Service, header []string) (answer *httptest.ResponseRecorder, p auth.Principal, known, handled bool) {
	answer = httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/graphql", nil)
	request.Header["Authorization"] = header
	s.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		handled = true
		p, known = auth.From(r.Context())
	})).ServeHTTP(answer, request)
	return answer, p, known, handled
}

func TestARequestWithoutATokenGoesOnAsNobodys(t *testing.T) {
	_, s, _ := session(t, storetest.SQLite(t))
	for _, header := range [][]string{nil, {""}} {
		if _, _, known, handled := ask(s, header); known || !handled {
			t.Errorf("header %q: known %v, handled %v", header, known, handled)
		}
	}
}

func TestARequestWithATokenIsItsOwners(t *testing.T) {
	_, s, tokens := session(t, storetest.SQLite(t))
	_, p, known, handled := ask(s, []string{"Bearer " + tokens.AccessToken})
	if !known || !handled || p.OperatorID != tokens.Operator.ID {
		t.Errorf("principal %+v, known %v, handled %v", p, known, handled)
	}
}

func TestARequestWithABadTokenIsRefusedAsUnauthenticated(t *testing.T) {
	in, s, tokens := session(t, storetest.SQLite(t))
	in.move(accessTTL + time.Second)
	for _, header := range []string{"Bearer " + tokens.AccessToken, "Bearer rubbish", "Basic YTpi", "Bearer", "rubbish"} {
		answer, _, _, handled := ask(s, []string{header})
		if handled || answer.Code != http.StatusUnauthorized || !strings.HasPrefix(answer.Header().Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%q: handled %v, status %d, %v", header, handled, answer.Code, answer.Header())
		}
		if code := errorCode(t, answer); code != "UNAUTHENTICATED" {
			t.Errorf("%q: code %q", header, code)
		}
	}
}

func TestThatKeysCannotBeReadIsNotTheTokensFault(t *testing.T) {
	in, s, _ := session(t, storetest.SQLite(t))
	stranger := strangersToken(t, in)
	in.move(time.Minute)
	must(t, in.db.Close())
	answer, _, _, handled := ask(s, []string{"Bearer " + stranger})
	if handled || answer.Code != http.StatusServiceUnavailable || errorCode(t, answer) != "OVERLOADED" {
		t.Errorf("handled %v, status %d: %s", handled, answer.Code, answer.Body)
	}
}

func errorCode(t *testing.T, answer *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 || body.Errors[0].Message == "" {
		t.Fatalf("%s: %v", answer.Body, err)
	}
	return body.Errors[0].Extensions.Code
}
