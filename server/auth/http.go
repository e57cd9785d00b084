package auth

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"parley/server/fault"
)

// Bearer takes the token out of an Authorization header.
func Bearer(header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// Middleware puts the principal into the context. A request without a token
// goes on as nobody's, for what needs none, such as signing in; one with a bad
// token does not, so that a client learns that it has to refresh.
func (s *Service) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		if header == "" { // some clients send an empty one when they have no token
			next.ServeHTTP(w, r)
			return
		}
		token, ok := Bearer(header)
		if !ok {
			refuse(w, fault.New(fault.Unauthenticated, "", "The Authorization header must be: Bearer, a space, and an access token."))
			return
		}
		p, err := s.Verify(r.Context(), token)
		if err != nil {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), p)))
	})
}

// refuse answers in the form of a GraphQL error. That the keys could not be
// read is not the token's fault: a client told so would sign its user out.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusUnauthorized
	var known *fault.Error
	if !errors.As(err, &known) {
		slog.Error("token cannot be verified", "error", err)
		known, status = &fault.Error{Code: fault.Overloaded, Message: "Try again later."}, http.StatusServiceUnavailable
	} else if known.Code == fault.Overloaded {
		status = http.StatusServiceUnavailable
	} else {
		w.Header().Set("WWW-Authenticate", `Bearer realm="parley", error="invalid_token"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{
		"message": known.Message, "extensions": map[string]any{"code": known.Code},
	}}})
}
