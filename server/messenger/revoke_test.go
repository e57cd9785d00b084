package messenger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"
)

// signed makes a signed request as Facebook does.
func signed(secret, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	encoded := encode([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(encoded))
	return encode(mac.Sum(nil)) + "." + encoded
}

func TestASignedRequestIsReadIfItIsSigned(t *testing.T) {
	const payload = `{"algorithm":"HMAC-SHA256","issued_at":1795000000,"expires":1795003600,"user_id":"218471","profile_id":101}`
	good := signed("s", payload)
	signature, encoded, _ := strings.Cut(good, ".")
	mac := hmac.New(sha256.New, []byte("s"))
	mac.Write([]byte(encoded + "=="))
	padded := base64.URLEncoding.EncodeToString(mac.Sum(nil)) + "." + encoded + "=="
	for name, value := range map[string]string{"as it is": good, "with padding": padded,
		"in small letters": signed("s", strings.Replace(payload, "HMAC-SHA256", "hmac-sha256", 1))} {
		r, err := ParseSignedRequest("s", value)
		if err != nil || r.UserID != "218471" || r.ProfileID != "101" || r.Issued.Unix() != 1795000000 || r.Expires.Unix() != 1795003600 {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	if r, err := ParseSignedRequest("s", signed("s", `{"algorithm":"HMAC-SHA256","user_id":1}`)); err != nil || r != (SignedRequest{UserID: "1"}) {
		t.Errorf("%+v %v", r, err)
	}
	for name, x := range map[string]struct{ secret, value string }{
		"other secret":      {"t", good},
		"no secret":         {"", signed("", payload)},
		"nothing":           {"s", ""},
		"no signature":      {"s", "." + encoded},
		"no payload":        {"s", signature},
		"changed":           {"s", signature + "." + encoded + "A"},
		"another algorithm": {"s", signed("s", strings.Replace(payload, "SHA256", "SHA1", 1))},
		"no algorithm":      {"s", signed("s", `{"user_id":"1"}`)},
		"no JSON":           {"s", signed("s", `{`)},
		"no object":         {"s", signed("s", `"HMAC-SHA256"`)},
		"no base64":         {"s", "!." + encoded},
	} {
		if r, err := ParseSignedRequest(x.secret, x.value); err != ErrSignedRequest || r != (SignedRequest{}) {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
}

// FuzzParseSignedRequest holds that nothing is read that is not signed, and that reading what is signed is safe.
func FuzzParseSignedRequest(f *testing.F) {
	f.Add("x", signed("s", `{"algorithm":"HMAC-SHA256","user_id":"1"}`))
	f.Add(`{"algorithm":"HMAC-SHA256","issued_at":"1795000000","user_id":{"id":1},"profile_id":"\u0000"}`, "a.b")
	f.Fuzz(func(t *testing.T, payload, value string) {
		if r, err := ParseSignedRequest("another secret", value); err == nil {
			t.Errorf("%q was taken: %+v", value, r)
		}
		r, err := ParseSignedRequest("s", signed("s", payload))
		if s := r.UserID + r.ProfileID; err != nil && r != (SignedRequest{}) || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Errorf("%q: %+v %v", payload, r, err)
		}
	})
}

func TestChangesOfPermissionsAreRead(t *testing.T) {
	post := `{"entry":[{"id":"1","uid":"218471","time":1567635588,"changes":[` +
		`{"field":"pages_messaging","value":{"verb":"revoked","target_ids":["101",102]}},{"field":"pages_show_list","value":{"verb":"granted"}}]},` +
		`{"id":0,"time":1567635589,"changes":[{"field":"connected","verb":"granted"},{"field":"odd","value":"x"}]}],"object":"permissions"}`
	var all []PermissionChange
	items := Split([]byte(post))
	for _, item := range items {
		got, err := DecodePermissions(item.Body())
		if err != nil || item.Object != ObjectPermissions {
			t.Errorf("%s: %v", item.Body(), err)
		}
		all = append(all, got...)
	}
	want := `[{"UserID":"218471","At":"2019-09-04T22:19:48Z","Permission":"pages_messaging","Verb":"revoked","Targets":["101","102"]},` +
		`{"UserID":"218471","At":"2019-09-04T22:19:48Z","Permission":"pages_show_list","Verb":"granted","Targets":null},` +
		`{"UserID":"0","At":"2019-09-04T22:19:49Z","Permission":"connected","Verb":"granted","Targets":null},` +
		`{"UserID":"0","At":"2019-09-04T22:19:49Z","Permission":"odd","Verb":"","Targets":null}]`
	if len(items) != 2 || show(all) != want || !all[0].Revoked() || all[1].Revoked() {
		t.Errorf("%d items: %s", len(items), show(all))
	}
	for _, other := range []string{`{"object":"page","entry":[]}`, `{"oBjeCt":"permissions"}`, `{`, `[]`, `{"object":{}}`} {
		if got, err := DecodePermissions([]byte(other)); err == nil {
			t.Errorf("%s was taken: %v", other, got)
		}
	}
}

// FuzzDecodePermissions holds that every item of such a post can be read or is refused, and gives clean text.
func FuzzDecodePermissions(f *testing.F) {
	f.Add([]byte(`{"object":"permissions","entry":[{"id":"1","uid":2,"time":1567635588,"changes":[{"field":"pages_messaging","value":{"verb":"revoked","target_ids":["1",2]}}]}]}`))
	f.Add([]byte(`{"object":"permissions","entry":[{"changes":[{"field":"connected","verb":"granted"}]},"x",{"changes":{}}]}`))
	f.Fuzz(func(t *testing.T, post []byte) {
		for _, item := range Split(post) {
			changes, err := DecodePermissions(item.Body())
			if err != nil && changes != nil || err == nil && item.Object != ObjectPermissions {
				t.Errorf("%s: %v %v", item.Body(), changes, err)
			}
			for _, c := range changes {
				if s := c.UserID + c.Permission + c.Verb + strings.Join(c.Targets, ""); !utf8.ValidString(s) || strings.Contains(s, "\x00") {
					t.Errorf("%q", s)
				}
			}
		}
	})
}
