package messenger

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// readError gives the error that an answer holds; nil if it holds none.
func readError(resp *http.Response, body []byte) *Error {
	var answer struct {
		Error struct {
			Message   text `json:"message"`
			Type      text `json:"type"`
			Code      text `json:"code"`
			Subcode   text `json:"error_subcode"`
			Transient bool `json:"is_transient"`
			Trace     text `json:"fbtrace_id"`
		} `json:"error"`
	}
	if tolerate(json.Unmarshal(body, &answer)) != nil {
		return nil
	}
	said := answer.Error
	code, err := strconv.Atoi(string(said.Code))
	if err != nil {
		return nil
	}
	subcode, _ := strconv.Atoi(string(said.Subcode)) // 0 where there is none
	e := &Error{Code: code, Subcode: subcode, HTTPStatus: resp.StatusCode, Type: string(said.Type),
		Message: string(said.Message), TraceID: string(said.Trace), Transient: said.Transient,
		Class: classify(code, subcode, said.Transient)}
	if e.Class == ClassRateLimited {
		e.RetryAfter = regainAccess(resp.Header)
	}
	return e
}

// regainAccess reads how long calls are blocked, in minutes, from the usage header (rate limits, Oct 2026).
func regainAccess(h http.Header) time.Duration {
	var usage map[string][]struct {
		Minutes float64 `json:"estimated_time_to_regain_access"`
	}
	if tolerate(json.Unmarshal([]byte(h.Get("X-Business-Use-Case-Usage")), &usage)) != nil {
		return 0
	}
	longest := 0.0
	for _, limits := range usage {
		for _, limit := range limits {
			longest = max(longest, limit.Minutes)
		}
	}
	const week = 7 * 24 * 60 // no limit lasts longer, and more would not fit a Duration
	return time.Duration(min(longest, week) * float64(time.Minute))
}

// unreadable is the error for an answer that is not JSON, is cut off or says nothing; readErr may be nil. Such answers
// come from something in front of Facebook's servers, which may have done what was asked all the same.
func (r request) unreadable(resp *http.Response, readErr error) *Error {
	e := &Error{HTTPStatus: resp.StatusCode, Message: "the answer cannot be read", Class: r.lost(), cause: readErr}
	switch status := resp.StatusCode; {
	case status < 300 || status >= 500 || status == http.StatusRequestTimeout:
	case status == http.StatusTooManyRequests:
		e.Class, e.RetryAfter = ClassRateLimited, regainAccess(resp.Header)
	case readErr != nil:
		e.Class = ClassTransient // refused, and only the reason was lost
	default:
		e.Class = ClassInvalid
	}
	return e
}

// noAnswer is the error for a request that got no answer at all.
func (r request) noAnswer(err error, neverSent bool) *Error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	e := &Error{Class: r.lost(), Message: r.redact(err.Error()), cause: err}
	if neverSent {
		e.Class = ClassTransient
	}
	return e
}

// lost is the class of a request whose outcome is unknown.
func (r request) lost() Class {
	if r.once {
		return ClassUnconfirmed
	}
	return ClassTransient
}

// trace watches whether a request got as far as a connection. From there on it may have been carried out.
type trace struct{ asked, connected atomic.Bool }

func (t *trace) watch(req *http.Request) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { t.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	}))
}

func (t *trace) neverSent(err error) bool {
	var op *net.OpError
	return t.asked.Load() && !t.connected.Load() || errors.As(err, &op) && op.Op == "dial"
}

// keyLike is whatever is long and shapeless enough to be a token, a proof or a secret.
var keyLike = regexp.MustCompile(`[A-Za-z0-9_|-]{32,}`)

func (r request) redact(s string) string {
	return redact(s, append(r.secrets, r.token, r.app.Secret)...)
}

// redact makes a text of Facebook's or of the network fit for logs: some of Facebook's errors repeat the token.
func redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	s = keyLike.ReplaceAllString(s, "[redacted]")
	const longest = 400
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
