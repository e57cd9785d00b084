package weburl_test

import (
	"net/url"
	"strings"
	"testing"

	"parley/server/weburl"
)

func FuzzAPathCanBeAppendedToWhatIsAccepted(f *testing.F) {
	for _, s := range []string{"https://a.example", "http://[::1]:80/x//", "https://u@a", "https://a?", "https://a#b", "//a", "https://a/%2f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		base, err := weburl.Parse(s)
		if err != nil {
			return
		}
		u, err := url.Parse(base + "/graphql")
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
			!strings.HasSuffix(u.Path, "/graphql") {
			t.Errorf("%q gives %q", s, base)
		}
		if again, err := weburl.Parse(base); err != nil || again != base {
			t.Errorf("%q is not accepted as it is: %q, %v", base, again, err)
		}
	})
}
