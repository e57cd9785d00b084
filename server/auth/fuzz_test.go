package auth

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// FuzzTokenRequest: whatever comes, it is read or refused as the standard says,
// and what is read is what was sent.
func FuzzTokenRequest(f *testing.F) {
	const grant = "grant_type=client_credentials"
	for _, seed := range [][2]string{
		{"", grant + "&client_id=a&client_secret=b&scope=x+y"}, {"Basic YTpi", grant}, {"Basic YTpi", grant + "&client_id=a"},
		{"basic JTNBOiUzQQ==", grant}, {"Basic %", grant}, {"Bearer x", grant}, {"", "%zz"}, {"", "grant_type=&grant_type="}, {"Basic Og==", "a;b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		var headers []string
		if header != "" {
			headers = []string{header}
		}
		request, refused := parseTokenRequest(headers, body)
		if refused != nil {
			if refused.status < 400 || refused.status > 401 || refused.Code == "" || refused.Description == "" || request.id+request.secret != "" {
				t.Fatalf("refused with %+v and %+v", refused, request)
			}
			return
		}
		form, err := url.ParseQuery(body)
		if err != nil || form.Get("grant_type") != "client_credentials" || len(form["client_secret"]) > 1 {
			t.Fatalf("taken: %q, %v", body, err)
		}
		for _, scope := range request.scopes {
			if scope == "" || !strings.Contains(form.Get("scope"), scope) {
				t.Fatalf("scope %q of %q", scope, form.Get("scope"))
			}
		}
		if headers == nil {
			if request.id != form.Get("client_id") || request.secret != form.Get("client_secret") {
				t.Fatalf("%+v of %q", request, body)
			}
			return
		}
		// What was read, encoded again, is read as the same.
		pair := url.QueryEscape(request.id) + ":" + url.QueryEscape(request.secret)
		again, refused := parseTokenRequest([]string{"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}, body)
		if refused != nil || again.id != request.id || again.secret != request.secret || form.Get("client_secret") != "" {
			t.Fatalf("%+v, then %+v %+v", request, again, refused)
		}
	})
}
