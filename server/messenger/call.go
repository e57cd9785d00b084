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
	once                bool           // doing it twice does it twice: a lost answer is ClassUnconfirmed
}

// call makes one request and decodes its answer into answer. Its errors are always *Error.
func (c *Client) call(ctx context.Context, r request, answer any) error {
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
			e.Message = redact(e.Message, r.token, c.AppSecret)
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
	query, body := url.Values{}, io.Reader(nil)
	for name, values := range r.query {
		query[name] = values
	}
	if c.AppSecret != "" && r.body == nil {
		query.Set("appsecret_proof", AppSecretProof(c.AppSecret, r.token))
	}
	if r.body != nil {
		if c.AppSecret != "" {
			r.body["appsecret_proof"] = AppSecretProof(c.AppSecret, r.token)
		}
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	target := strings.TrimRight(or(c.BaseURL, DefaultBaseURL), "/") + "/" + or(c.Version, DefaultVersion) + "/" + r.path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
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
