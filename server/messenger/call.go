package messenger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer; those we ask for are a few kilobytes.
const maxAnswer = 1 << 20

var fallbackHTTP = &http.Client{Timeout: 30 * time.Second}

type request struct {
	method, path, token string
	query               url.Values
	body                map[string]any // of a POST
	form                url.Values     // of a POST, instead of a body
	once                bool           // doing it twice does it twice: a lost answer is ClassUnconfirmed
	app                 App            // in whose name
	byApp               bool           // the app itself asks: the token is its own, and has the secret in it
	login               bool           // of oauth/access_token, where codes of errors have meanings of their own
	secrets             []string       // what no error may repeat, apart from the token and the app's secret
}

// asApp makes it a request of the app itself.
func (r request) asApp(a App) request {
	r.app, r.byApp, r.token = a, true, a.token()
	return r
}

// call makes one request and decodes its answer into answer. Its errors are always *Error.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	if r.app == (App{}) {
		r.app = c.app()
	}
	if (r.byApp || r.login) && (r.app.ID == "" || r.app.Secret == "") {
		return &Error{Class: ClassInvalid, Problem: ProblemNoApp, Message: "no app is set"}
	}
	req, err := c.build(ctx, r)
	if err != nil {
		return &Error{Class: ClassInvalid, Message: "the request cannot be made"}
	}
	if err := ctx.Err(); err != nil {
		return &Error{Class: ClassTransient, Message: err.Error(), cause: err}
	}
	var t trace
	resp, err := c.http().Do(t.watch(req))
	if err != nil {
		return r.noAnswer(err, t.neverSent(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	if err == nil && json.Valid(body) {
		if e := readError(resp, body); e != nil {
			e.judge(r)
			e.Message = r.redact(e.Message)
			return e
		}
		if resp.StatusCode < 300 && tolerate(json.Unmarshal(body, answer)) == nil {
			return nil
		}
	}
	return r.unreadable(resp, err)
}

// build makes the HTTP request. The token goes into a header only: URLs end up in logs and in errors.
func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	query := url.Values{}
	for name, values := range r.query {
		query[name] = values
	}
	proven := r.app.Secret != "" && r.token != "" && !r.byApp
	if proven && r.body == nil {
		query.Set("appsecret_proof", AppSecretProof(r.app.Secret, r.token))
	}
	if proven && r.body != nil {
		r.body["appsecret_proof"] = AppSecretProof(r.app.Secret, r.token)
	}
	body, kind, err := r.content()
	if err != nil {
		return nil, err
	}
	target := strings.TrimRight(or(c.BaseURL, DefaultBaseURL), "/") + "/" + or(c.Version, DefaultVersion) + "/" + r.path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req, nil
}

// content gives what a POST carries, and what kind that is.
func (r request) content() (io.Reader, string, error) {
	switch {
	case r.form != nil:
		return strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded", nil
	case r.body != nil:
		encoded, err := json.Marshal(r.body)
		return bytes.NewReader(encoded), "application/json", err
	}
	return nil, "", nil
}

// http is the caller's client, except that it follows no redirect: the Graph API makes none, and following one could
// carry the token elsewhere.
func (c *Client) http() *http.Client {
	client := *fallbackHTTP
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
