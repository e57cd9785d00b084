package messenger

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// TokenInfo is what Facebook says of a token.
type TokenInfo struct {
	AppID, AppName string
	Type           string // USER, PAGE, APP or SYSTEM_USER
	Valid          bool
	Problem        *Error // why it is not valid, if Facebook says so
	UserID         string // of the person who logged in, as this app knows them
	ProfileID      string // of the page, of a page's token
	// Zero times: not known, or never. After DataAccessExpires the app may read nothing of the user until they log in
	// again; the page's messages go on.
	Issued, Expires, DataAccessExpires time.Time
	Scopes                             []string
	Granular                           []GranularScope
}

// GranularScope is a permission that may be limited to some pages or businesses. Targets is nil if it is not.
type GranularScope struct {
	Scope   string
	Targets []string
}

// Covers tells whether the token has a permission for a page.
func (i TokenInfo) Covers(scope, pageID string) bool {
	limited := false
	for _, g := range i.Granular {
		if g.Scope != scope {
			continue
		}
		if g.Targets == nil || slices.Contains(g.Targets, pageID) {
			return true
		}
		limited = true
	}
	return !limited && slices.Contains(i.Scopes, scope)
}

// wireTokenInfo is the answer of debug_token (reference, Oct 2026).
type wireTokenInfo struct {
	AppID       text `json:"app_id"`
	Application text `json:"application"`
	Type        text `json:"type"`
	Valid       bool `json:"is_valid"`
	UserID      text `json:"user_id"`
	ProfileID   text `json:"profile_id"`
	Issued      text `json:"issued_at"`
	Expires     text `json:"expires_at"`
	DataAccess  text `json:"data_access_expires_at"`
	Scopes      []text
	Granular    []struct {
		Scope   text    `json:"scope"`
		Targets *[]text `json:"target_ids"`
	} `json:"granular_scopes"`
	Error *struct {
		Code    text `json:"code"`
		Subcode text `json:"subcode"`
		Message text `json:"message"`
	} `json:"error"`
}

// DebugToken asks in the app's name what a token is good for. A token that is not valid is no error.
//
// The token goes as the parameter it is documented as, in the URL of a GET: no other way is (reference, Oct 2026). Only
// Facebook sees that URL: errors of a Client have none, and no redirect is followed.
func (c *Client) DebugToken(ctx context.Context, token string) (TokenInfo, error) {
	var answer struct{ Data wireTokenInfo }
	r := request{method: http.MethodGet, path: "debug_token", query: url.Values{"input_token": {token}},
		secrets: []string{token}}.asApp(c.app())
	if err := c.call(ctx, r, &answer); err != nil {
		return TokenInfo{}, err
	}
	return answer.Data.info(r), nil
}

func (w wireTokenInfo) info(r request) TokenInfo {
	i := TokenInfo{
		AppID: string(w.AppID), AppName: string(w.Application), Type: string(w.Type), Valid: w.Valid,
		UserID: string(w.UserID), ProfileID: string(w.ProfileID), Issued: moment(string(w.Issued)),
		Expires: moment(string(w.Expires)), DataAccessExpires: moment(string(w.DataAccess)), Scopes: plain(w.Scopes),
	}
	for _, g := range w.Granular {
		scope := GranularScope{Scope: string(g.Scope)}
		if g.Targets != nil {
			scope.Targets = append([]string{}, plain(*g.Targets)...)
		}
		i.Granular = append(i.Granular, scope)
	}
	if w.Error != nil {
		code, _ := strconv.Atoi(string(w.Error.Code)) // 0 where there is none
		subcode, _ := strconv.Atoi(string(w.Error.Subcode))
		message := string(w.Error.Message)
		i.Problem = &Error{Code: code, Subcode: subcode, HTTPStatus: http.StatusOK, Message: r.redact(message),
			Class: classify(code, subcode, false), Problem: problem(code, subcode, message)}
	}
	return i
}
