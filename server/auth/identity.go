package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parley/ent/schema"
	"parley/server/fault"
)

// Paths of the identity server under the issuer.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/oauth/jwks"
	TokenPath     = "/oauth/token"
)

const (
	maxForm  = 8 << 10 // of a request for a token
	formTime = 10 * time.Second
)

// Discovery says where the rest is (OpenID Connect Discovery 1.0; RFC 8414). There
// is no authorization endpoint, because no grant that is offered has one: people
// sign in through the API.
func (s *Service) Discovery(w http.ResponseWriter, r *http.Request) {
	publish(w, r, map[string]any{
		"issuer":                                s.opts.Issuer,
		"jwks_uri":                              s.opts.Issuer + KeysPath,
		"token_endpoint":                        s.opts.Issuer + TokenPath,
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"grant_types_supported":                 []string{"client_credentials"},
		"response_types_supported":              []string{},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"scopes_supported":                      schema.Scopes,
	})
}

// jwk is a public key (RFC 7517, RFC 7518 section 6.2).
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// Keys are the public keys of the ring. A key signs from the moment it is made,
// so they are read anew, but not for each of a flood of requests: who misses a key
// finds it a moment later, on any replica.
func (s *Service) Keys(w http.ResponseWriter, r *http.Request) {
	if err := s.readRing(r.Context(), missEvery); err != nil {
		slog.Error("signing keys cannot be shown", "error", err)
		refuseToken(w, errBusy)
		return
	}
	keys := []jwk{}
	for _, key := range *s.ring.Load() {
		point, err := key.private.PublicKey.Bytes() // 4, then x and y
		if err != nil {
			slog.Error("signing key cannot be shown", "kid", key.kid, "error", err)
			continue
		}
		half := (len(point) - 1) / 2
		coordinate := base64.RawURLEncoding.EncodeToString
		keys = append(keys, jwk{
			KeyType: "EC", Curve: "P-256", Use: "sig", Algorithm: "ES256", ID: key.kid,
			X: coordinate(point[1 : 1+half]), Y: coordinate(point[1+half:]),
		})
	}
	publish(w, r, map[string]any{"keys": keys})
}

// publish answers with what anybody may read, and keep for as long as a replica
// keeps its copy of the ring.
func publish(w http.ResponseWriter, r *http.Request, value any) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(ringAge.Seconds())))
	answer(w, http.StatusOK, value)
}

// Token is the token endpoint (RFC 6749, October 2012) for the grant
// client_credentials.
func (s *Service) Token(w http.ResponseWriter, r *http.Request) {
	// What is in the answer, a token above all, is for nobody between.
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	request, refused := readTokenRequest(w, r)
	if refused == nil {
		var token ClientToken
		token, refused = s.giveToken(r.Context(), request, r.RemoteAddr)
		if refused == nil {
			answer(w, http.StatusOK, tokenResponse{
				token.AccessToken, "Bearer", int(token.ExpiresAt.Sub(s.now()).Seconds()), strings.Join(token.Scopes, " "),
			})
			return
		}
	}
	refuseToken(w, refused)
}

// tokenResponse is the answer of RFC 6749, section 5.1.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

// tokenError is the answer of RFC 6749, section 5.2, and its status.
type tokenError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	status      int
}

var (
	errMethod      = &tokenError{"invalid_request", "Tokens are asked for by POST.", http.StatusMethodNotAllowed}
	errForm        = &tokenError{"invalid_request", "The body is not a form (application/x-www-form-urlencoded).", http.StatusBadRequest}
	errTooLarge    = &tokenError{"invalid_request", "The form is too large.", http.StatusRequestEntityTooLarge}
	errRepeated    = &tokenError{"invalid_request", "A parameter is there more than once.", http.StatusBadRequest}
	errTwoWays     = &tokenError{"invalid_request", "The client's credentials are in the header and in the form.", http.StatusBadRequest}
	errNoGrant     = &tokenError{"invalid_request", "There is no grant_type.", http.StatusBadRequest}
	errGrant       = &tokenError{"unsupported_grant_type", "The grant_type is client_credentials.", http.StatusBadRequest}
	errCredentials = &tokenError{"invalid_client", "The client or its secret is wrong.", http.StatusUnauthorized}
	errScope       = &tokenError{"invalid_scope", "The client does not have one of these scopes.", http.StatusBadRequest}
	errTooMany     = &tokenError{"temporarily_unavailable", "Too many wrong credentials came from this address.", http.StatusTooManyRequests}
	errBusy        = &tokenError{"temporarily_unavailable", "Try again later.", http.StatusServiceUnavailable}
)

func (s *Service) giveToken(ctx context.Context, r tokenRequest, address string) (ClientToken, *tokenError) {
	token, err := s.ClientToken(ctx, r.id, r.secret, r.scopes, address)
	switch fault.CodeOf(err) {
	case fault.Unauthenticated:
		return token, errCredentials
	case fault.RateLimited:
		return token, errTooMany
	case fault.Invalid:
		return token, errScope
	}
	if err != nil {
		slog.Error("token cannot be given", "error", err)
		return token, errBusy
	}
	return token, nil
}

// refuseToken answers with an error. 401 has to say how one would be let in.
func refuseToken(w http.ResponseWriter, e *tokenError) {
	switch e.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="parley", charset="UTF-8"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", fmt.Sprint(int(attemptWindow.Seconds())))
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	answer(w, e.status, e)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// tokenRequest is who asks for a token, and what for; no scopes are all.
type tokenRequest struct {
	id, secret string
	scopes     []string
}

func readTokenRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, *tokenError) {
	if r.Method != http.MethodPost {
		return tokenRequest{}, errMethod
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return tokenRequest{}, errForm
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return tokenRequest{}, errTooLarge
	}
	if err != nil {
		return tokenRequest{}, errForm
	}
	return parseTokenRequest(r.Header.Values("Authorization"), string(body))
}

// parseTokenRequest reads the form and the client's credentials, which are in one
// of the two places (RFC 6749, section 2.3.1). A parameter without a value is as
// good as not there.
func parseTokenRequest(header []string, body string) (tokenRequest, *tokenError) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return tokenRequest{}, errForm
	}
	for _, values := range form {
		if len(values) > 1 {
			return tokenRequest{}, errRepeated
		}
	}
	switch form.Get("grant_type") {
	case "":
		return tokenRequest{}, errNoGrant
	case "client_credentials":
	default:
		return tokenRequest{}, errGrant
	}
	request := tokenRequest{form.Get("client_id"), form.Get("client_secret"), strings.Fields(form.Get("scope"))}
	if len(header) == 0 {
		return request, nil
	}
	id, secret, ok := parseBasic(header)
	switch {
	case request.secret != "" || ok && request.id != "" && request.id != id:
		return tokenRequest{}, errTwoWays
	case !ok:
		return tokenRequest{}, errCredentials
	}
	request.id, request.secret = id, secret
	return request, nil
}

// parseBasic reads the header's id and secret, each of which is encoded as in a
// form before the two are joined.
func parseBasic(header []string) (id, secret string, ok bool) {
	id, secret, ok = (&http.Request{Header: http.Header{"Authorization": header}}).BasicAuth()
	if !ok || len(header) > 1 {
		return "", "", false
	}
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	return id, secret, idErr == nil && secretErr == nil
}
