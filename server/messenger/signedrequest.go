package messenger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// SignedRequest is what Facebook posts when somebody removes the app (deauthorize) or wants their data deleted.
type SignedRequest struct {
	UserID    string // of the person who had logged in, as this app knows them: never one of a page's customers
	ProfileID string // of the page, where the app was removed from a page
	// Zero times: not given.
	Issued, Expires time.Time
}

// ErrSignedRequest is the error of what is no signed request of Facebook's for this app.
var ErrSignedRequest = errors.New("messenger: not a signed request of Facebook's")

// ParseSignedRequest checks and reads the parameter signed_request (login guide, Oct 2026). Without a secret nothing is
// accepted, since an HMAC with an empty key can be made by anyone.
func ParseSignedRequest(secret, value string) (SignedRequest, error) {
	signature, payload, ok := strings.Cut(value, ".")
	if !ok || secret == "" {
		return SignedRequest{}, ErrSignedRequest
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(payload)) // as it came, not decoded
	if said, err := unpadded(signature); err != nil || !hmac.Equal(said, mac.Sum(nil)) {
		return SignedRequest{}, ErrSignedRequest
	}
	var w struct {
		Algorithm text `json:"algorithm"`
		UserID    text `json:"user_id"`
		ProfileID text `json:"profile_id"`
		Issued    text `json:"issued_at"`
		Expires   text `json:"expires"`
	}
	raw, err := unpadded(payload)
	if err != nil || tolerate(json.Unmarshal(raw, &w)) != nil || !strings.EqualFold(string(w.Algorithm), "HMAC-SHA256") {
		return SignedRequest{}, ErrSignedRequest
	}
	return SignedRequest{string(w.UserID), string(w.ProfileID), moment(string(w.Issued)), moment(string(w.Expires))}, nil
}

// unpadded decodes base64url; Facebook leaves the padding away.
func unpadded(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}
