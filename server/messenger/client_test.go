package messenger

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const token = "EAAGsecretsecretsecretsecretsecretsecret"

func theApp() App { return App{ID: "7", Secret: "app-secret"} }

// facebook serves one answer to everything and gives a client for it.
func facebook(t *testing.T, serve http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return &Client{BaseURL: server.URL, App: theApp, HTTP: server.Client()}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func sendHello(c *Client) (SendResult, error) {
	return c.SendText(context.Background(), token, SendText{PageID: "1", PSID: "11", Text: "Hello", Metadata: "our-1", MessagingType: TypeResponse})
}

func TestASendIsOneCallWithTheTokenInAHeader(t *testing.T) {
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var body, want map[string]any
		_ = json.Unmarshal(raw, &body)
		_ = json.Unmarshal([]byte(`{"recipient":{"id":"11"},"messaging_type":"RESPONSE","message":{"text":"Hello","metadata":"our-1"},`+
			`"appsecret_proof":"`+AppSecretProof("app-secret", token)+`"}`), &want)
		if show(body) != show(want) || r.URL.String() != "/v26.0/1/messages" || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("%s %s %s", r.Method, r.URL, raw)
		}
		_, _ = io.WriteString(w, `{"recipient_id":"11","message_id":"m_1"}`)
	})
	if got, err := sendHello(c); err != nil || got != (SendResult{"11", "m_1"}) {
		t.Errorf("%v %v", got, err)
	}
}

func TestReadsCarryTheProofAndNeverTheTokenInTheURL(t *testing.T) {
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.String(), token) || r.URL.Query().Get("appsecret_proof") != AppSecretProof("app-secret", token) {
			t.Errorf("%s", r.URL)
		}
		switch r.Method + " " + r.URL.Path {
		case "GET /v26.0/me":
			_, _ = io.WriteString(w, `{"id":1,"name":"Demo","picture":{"data":{"url":"https:\/\/x"}}}`)
		case "GET /v26.0/1/subscribed_apps":
			_, _ = io.WriteString(w, `{"data":[{"id":"7","subscribed_fields":["messages","standby"]},{"id":8}]}`)
		case "DELETE /v26.0/1/subscribed_apps":
			_, _ = io.WriteString(w, `"true"`)
		}
	})
	ctx := context.Background()
	if p, err := c.Me(ctx, token); err != nil || p != (Page{"1", "Demo", "https://x"}) {
		t.Errorf("%v %v", p, err)
	}
	if s, err := c.Subscribed(ctx, token, "1"); err != nil || show(s) != `[{"AppID":"7","Fields":["messages","standby"]},{"AppID":"8","Fields":null}]` {
		t.Errorf("%v %v", s, err)
	}
	if err := c.Unsubscribe(ctx, token, "1"); err != nil {
		t.Error(err)
	}
}

func TestSubscribeNeedsFacebookToSaySuccess(t *testing.T) {
	for body, want := range map[string]bool{
		`{"success":true}`: true, `{"success":"true"}`: true, `"true"`: true, `true`: true,
		`{"success":false}`: false, `{}`: false, `"no"`: false, `[]`: false,
	} {
		err := facebook(t, says(200, body)).Subscribe(context.Background(), token, "1", SubscribedFields())
		if got := err == nil; got != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAProfileIsReadWithoutItsLocaleWhereThatIsNotAllowed(t *testing.T) {
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Query().Get("fields"), "locale") {
			says(400, `{"error":{"code":200,"message":"(#200) Requires pages_user_locale"}}`)(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"first_name":"Ann","last_name":"Lee","profile_pic":"https:\/\/p","id":"11"}`)
	})
	p, err := c.Profile(context.Background(), token, "11")
	if err != nil || p != (Profile{Name: "Ann Lee", FirstName: "Ann", LastName: "Lee", PictureURL: "https://p"}) {
		t.Errorf("%v %v", p, err)
	}
}

// The first column is the table of error codes in the send reference.
func TestErrorsAreClassifiedByCodeAndSubcodeWhateverTheStatus(t *testing.T) {
	for _, c := range []struct {
		code, subcode int
		want          Class
	}{
		{1, 0, ClassTransient}, {1, 99, ClassTransient}, {1, 1357046, ClassTransient}, {2, 0, ClassTransient},
		{4, 0, ClassRateLimited}, {4, 2018022, ClassRateLimited}, {17, 0, ClassRateLimited}, {32, 0, ClassRateLimited},
		{341, 0, ClassRateLimited}, {613, 0, ClassRateLimited}, {613, 2018338, ClassRateLimited}, {80006, 0, ClassRateLimited},
		{10, 2018278, ClassWindowClosed}, {10, 2018065, ClassWindowClosed}, {1545041, 0, ClassWindowClosed},
		{10, 2018108, ClassRecipient}, {551, 0, ClassRecipient}, {551, 1545041, ClassRecipient}, {100, 2018001, ClassRecipient},
		{200, 1545041, ClassRecipient}, {100, 2018218, ClassRecipient},
		{10, 2018300, ClassNotOwner}, {100, 2534037, ClassNotOwner}, {2018321, 0, ClassNotOwner},
		{10, 2018336, ClassRestricted}, {10, 1893063, ClassRestricted}, {368, 0, ClassRestricted},
		{10, 0, ClassPermission}, {200, 0, ClassPermission}, {200, 2018028, ClassPermission}, {230, 0, ClassPermission},
		{2018171, 0, ClassPermission}, {10, 2018171, ClassPermission}, {100, 2018247, ClassPermission},
		{190, 0, ClassToken}, {190, 460, ClassToken}, {190, 492, ClassToken}, {102, 0, ClassToken},
		{100, 33, ClassInvalid}, {100, 2018008, ClassInvalid}, {100, 0, ClassInvalid}, {100, 2018164, ClassInvalid}, {99999, 0, ClassInvalid},
	} {
		body := show(map[string]any{"error": map[string]any{"message": "m", "code": c.code, "error_subcode": c.subcode, "fbtrace_id": "A"}})
		_, err := sendHello(facebook(t, says(500, body)))
		var e *Error
		if !errors.As(err, &e) || e.Class != c.want || e.Code != c.code || e.Subcode != c.subcode || ClassOf(err) != c.want {
			t.Errorf("%d/%d: %v, want %s", c.code, c.subcode, err, c.want)
		}
		if c.want.Reason() == "" {
			t.Errorf("%s has no reason", c.want)
		}
	}
	if _, err := sendHello(facebook(t, says(400, `{"error":{"code":99999,"is_transient":true}}`))); ClassOf(err) != ClassTransient {
		t.Errorf("Facebook's own word is not taken: %v", err)
	}
}

func TestARateLimitSaysWhenItEnds(t *testing.T) {
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Business-Use-Case-Usage", `{"1":[{"type":"messenger","estimated_time_to_regain_access":19},`+
			`{"type":"pages","estimated_time_to_regain_access":7,"call_count":"x"}]}`)
		says(400, `{"error":{"code":613,"message":"m"}}`)(w, r)
	})
	var e *Error
	if _, err := sendHello(c); !errors.As(err, &e) || e.RetryAfter != 19*time.Minute {
		t.Errorf("%v", err)
	}
}

func TestASendWhoseAnswerIsLostIsUnconfirmedAndAReadIsTransient(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"HTML 502":           says(502, "<html>Bad gateway</html>"),
		"empty 500":          says(500, ""),
		"HTML 200":           says(200, "<html>"),
		"truncated JSON":     says(200, `{"recipient_id":"11","mess`),
		"error without code": says(503, `{"error":"unavailable"}`),
		"too long":           says(200, `"`+strings.Repeat("x", maxAnswer)+`"`),
		"hangs up":           func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut in the middle": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"recipient_id"`)
		},
	} {
		c := facebook(t, serve)
		if _, err := sendHello(c); ClassOf(err) != ClassUnconfirmed {
			t.Errorf("%s: send: %v", name, err)
		}
		if _, err := c.Me(context.Background(), token); ClassOf(err) != ClassTransient {
			t.Errorf("%s: read: %v", name, err)
		}
	}
	if _, err := sendHello(facebook(t, says(200, `{}`))); ClassOf(err) != ClassUnconfirmed {
		t.Errorf("an answer without message id: %v", err)
	}
}

func TestATimeoutAfterTheRequestWasSentIsUnconfirmed(t *testing.T) {
	arrived, done := make(chan struct{}), make(chan struct{})
	c := facebook(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-done
	})
	defer close(done)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	_, err := c.SendText(ctx, token, SendText{PageID: "1", PSID: "11", Text: "Hello"})
	if ClassOf(err) != ClassUnconfirmed || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestARequestThatWasNeverSentIsTransient(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if _, err := sendHello(&Client{BaseURL: "http://" + listener.Addr().String()}); ClassOf(err) != ClassTransient {
		t.Errorf("refused: %v", err)
	}
	notTLS := httptest.NewServer(says(200, ""))
	defer notTLS.Close()
	if _, err := sendHello(&Client{BaseURL: strings.Replace(notTLS.URL, "http:", "https:", 1)}); ClassOf(err) != ClassTransient {
		t.Errorf("no TLS: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (&Client{}).SendText(ctx, token, SendText{}); ClassOf(err) != ClassTransient || !errors.Is(err, context.Canceled) {
		t.Errorf("given up before: %v", err)
	}
	if _, err := sendHello(&Client{BaseURL: "http://[broken"}); ClassOf(err) != ClassInvalid {
		t.Errorf("broken address: %v", err)
	}
}

func TestATransportThatTellsNothingCountsAsSent(t *testing.T) {
	c := &Client{HTTP: &http.Client{Transport: opaque{}}}
	if _, err := sendHello(c); ClassOf(err) != ClassUnconfirmed {
		t.Errorf("%v", err)
	}
	if ClassOf(errors.New("of somebody else")) != ClassUnconfirmed || ClassOf(nil) != "" || Class("").Reason() != "" {
		t.Error("the class of what is not ours")
	}
}

type opaque struct{}

func (opaque) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("lost") }

func TestAnUnreadableRefusalWasNotAccepted(t *testing.T) {
	for status, want := range map[int]Class{429: ClassRateLimited, 403: ClassInvalid, 302: ClassInvalid, 408: ClassUnconfirmed} {
		if _, err := sendHello(facebook(t, says(status, "no"))); ClassOf(err) != want {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestErrorsCarryNoSecrets(t *testing.T) {
	proof := AppSecretProof("app-secret", token)
	leaky := facebook(t, says(400, `{"error":{"code":190,"type":"OAuthException","fbtrace_id":"A1","message":"Malformed access token `+
		token+` of app-secret, `+proof+` `+strings.Repeat("long ", 200)+`"}}`))
	dead := &Client{BaseURL: "http://127.0.0.1:1", App: theApp}
	for _, c := range []*Client{leaky, dead} {
		_, err := c.Me(context.Background(), token)
		var withURL *url.Error
		text := err.Error()
		if errors.As(err, &withURL) || strings.Contains(text, "secret") || strings.Contains(text, proof) || len(text) > 600 {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	}
}
