package messenger

import (
	"strings"
	"testing"
)

func TestASignatureHoldsForExactlyTheSignedBytes(t *testing.T) {
	body := []byte(`{"object":"page","entry":[{"id":"1","text":"\u00e4 https:\/\/x"}]}`)
	good := Sign("secret", body)
	for name, c := range map[string]struct {
		secret, header string
		body           []byte
		want           bool
	}{
		"signed":             {"secret", good, body, true},
		"other bytes":        {"secret", good, []byte(strings.ReplaceAll(string(body), `\/`, "/")), false},
		"other secret":       {"other", good, body, false},
		"no secret set":      {"", Sign("", body), body, false},
		"no header":          {"secret", "", body, false},
		"header without hex": {"secret", "sha256=", body, false},
		"the old algorithm":  {"secret", "sha1=" + good[len("sha256="):], body, false},
		"no algorithm":       {"secret", good[len("sha256="):], body, false},
	} {
		if got := Verify(c.secret, c.header, c.body); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// The vectors are those of RFC 4231, test case 2.
func TestSignaturesAreHMACSHA256InLowerCaseHex(t *testing.T) {
	const want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := Sign("Jefe", []byte("what do ya want for nothing?")); got != "sha256="+want {
		t.Errorf("signature %s", got)
	}
	if got := AppSecretProof("Jefe", "what do ya want for nothing?"); got != want {
		t.Errorf("proof %s", got)
	}
}
