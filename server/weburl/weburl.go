// Package weburl owns what counts as the address of a server. It has no state.
// Invariant: a path can be appended to what it accepts.
package weburl

import (
	"errors"
	"net/url"
	"strings"
)

// Parse accepts an absolute http:// or https:// URL without user, query and
// fragment, and takes slashes off its end. Its errors complete a sentence that
// begins with the name of the value, and do not quote it.
func Parse(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", errors.New("must be an absolute http:// or https:// URL")
	}
	if strings.ContainsAny(s, "?#") || u.User != nil {
		return "", errors.New("must be a URL without user, query and fragment")
	}
	return strings.TrimRight(s, "/"), nil
}
