package apptest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/ent/operator"
)

// Client asks the API as somebody.
type Client struct {
	t            testing.TB
	URL          string // of the app
	Token        string // empty is nobody's
	RefreshToken string
	ID           string // of the operator or the API client
	Secret       string // of the API client
}

// Anonymous asks without a token.
func (w *World) Anonymous() *Client { return &Client{t: w.t, URL: w.URL} }

// SignIn signs somebody in by Password.
func (w *World) SignIn(email string) *Client { w.t.Helper(); return w.SignInBy(email, Password) }

// SignInBy signs somebody in by a password of their own.
func (w *World) SignInBy(email, password string) *Client {
	w.t.Helper()
	c := w.Anonymous()
	a := c.Must(`mutation($e: String!, $p: String!) { signIn(input: {email: $e, password: $p}) {
		accessToken refreshToken operator { id } userErrors { code message } } }`, map[string]any{"e": email, "p": password})
	c.Token, c.RefreshToken, c.ID = a.String("signIn.accessToken"), a.String("signIn.refreshToken"), a.String("signIn.operator.id")
	return c
}

// AddMachine makes an API client, which gets itself a token.
func (w *World) AddMachine(name string, role operator.Role, scopes ...string) *Client {
	w.t.Helper()
	a := w.Admin.Must(`mutation($i: CreateApiClientInput!) { createApiClient(input: $i) { apiClient { clientId } clientSecret userErrors { code message } } }`,
		map[string]any{"i": map[string]any{"name": name, "role": role, "scopes": scopes}})
	c := w.Anonymous()
	c.ID, c.Secret = a.String("createApiClient.apiClient.clientId"), a.String("createApiClient.clientSecret")
	var refused string
	if c.Token, refused = c.AskToken(); refused != "" {
		w.t.Fatal(name, refused)
	}
	return c
}

// AskToken asks the token endpoint for a token, for some scopes or, if none are
// named, for all. refused is the error's code.
func (c *Client) AskToken(scopes ...string) (token, refused string) {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {strings.Join(scopes, " ")}}
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.ID, c.Secret) // neither has anything that would have to be encoded
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		c.t.Fatal(err)
	}
	return body.Token, body.Error
}

// Answer is what came back.
type Answer struct {
	t      testing.TB
	Status int            `json:"-"`
	Header http.Header    `json:"-"`
	Body   string         `json:"-"`
	Data   map[string]any `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
}

// Do posts an operation.
func (c *Client) Do(query string, variables map[string]any) Answer {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	return c.Send(request)
}

// Send sends any request, with the token.
func (c *Client) Send(request *http.Request) Answer {
	c.t.Helper()
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := Answer{t: c.t, Status: response.StatusCode, Header: response.Header, Body: string(text)}
	_ = json.Unmarshal(text, &a) // what is no JSON shows as no data
	return a
}

// Must is Do for what has to succeed, userErrors included.
func (c *Client) Must(query string, variables map[string]any) Answer {
	c.t.Helper()
	a := c.Do(query, variables)
	if a.Status != http.StatusOK || len(a.Errors) > 0 {
		c.t.Fatalf("%s\n%d %s", query, a.Status, a.Body)
	}
	for field, value := range a.Data {
		if payload, ok := value.(map[string]any); ok {
			if list, ok := payload["userErrors"].([]any); ok && len(list) > 0 {
				c.t.Fatalf("%s: %v", field, list)
			}
		}
	}
	return a
}

// Code is the code of the first error, or of the first userError of a mutation,
// or empty.
func (a Answer) Code() string {
	if len(a.Errors) > 0 {
		code, _ := a.Errors[0].Extensions["code"].(string)
		return code
	}
	for _, value := range a.Data {
		payload, _ := value.(map[string]any)
		if list, _ := payload["userErrors"].([]any); len(list) > 0 {
			return list[0].(map[string]any)["code"].(string)
		}
	}
	return ""
}

// Get finds a value by a path such as "chats.nodes.0.id"; nil is none.
func (a Answer) Get(path string) any { return Get(a.Data, path) }

// Get finds a value by a path in decoded JSON.
func Get(value any, path string) any {
	for _, step := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// String is Get for a text that has to be there.
func (a Answer) String(path string) string {
	a.t.Helper()
	text, ok := a.Get(path).(string)
	if !ok {
		a.t.Fatalf("there is no text %s in %s", path, a.Body)
	}
	return text
}

// List is Get for a list that has to be there.
func (a Answer) List(path string) []any {
	a.t.Helper()
	list, ok := a.Get(path).([]any)
	if !ok {
		a.t.Fatalf("there is no list %s in %s", path, a.Body)
	}
	return list
}

// Frame is a message of graphql-transport-ws.
type Frame struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// Get finds a value in the payload's data.
func (f Frame) Get(path string) any { return Get(f.Payload, "data."+path) }

// Socket is a raw client of graphql-transport-ws.
type Socket struct {
	t testing.TB
	*websocket.Conn
}

// Dial opens a socket and says nothing yet.
func (w *World) Dial() *Socket {
	w.t.Helper()
	s, response, err := w.TryDial(http.Header{}, "graphql-transport-ws")
	if err != nil {
		w.t.Fatal(err, response)
	}
	return s
}

// TryDial opens a socket with headers and subprotocols of its own.
func (w *World) TryDial(header http.Header, protocols ...string) (*Socket, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: 10 * time.Second, ReadBufferSize: 1024, WriteBufferSize: 1024}
	conn, response, err := d.DialContext(w.t.Context(), "ws"+strings.TrimPrefix(w.URL, "http")+"/graphql", header)
	if err != nil {
		return nil, response, err
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &Socket{w.t, conn}, response, nil
}

// Connect opens a socket as somebody, acknowledged.
func (w *World) Connect(as *Client) *Socket {
	w.t.Helper()
	s := w.Dial()
	s.Say(Frame{Type: "connection_init", Payload: map[string]any{"authorization": "Bearer " + as.Token}})
	if f := s.Read(); f.Type != "connection_ack" {
		w.t.Fatalf("no ack: %+v", f)
	}
	return s
}

// Say sends a message.
func (s *Socket) Say(f Frame) {
	s.t.Helper()
	if err := s.WriteJSON(f); err != nil {
		s.t.Fatal(err)
	}
}

// Subscribe starts an operation.
func (s *Socket) Subscribe(id, query string, variables map[string]any) {
	s.t.Helper()
	s.Say(Frame{ID: id, Type: "subscribe", Payload: map[string]any{"query": query, "variables": variables}})
}

// TryRead gives the next message, or how the connection ended.
func (s *Socket) TryRead() (Frame, error) {
	_ = s.SetReadDeadline(time.Now().Add(time.Minute))
	var f Frame
	err := s.ReadJSON(&f)
	return f, err
}

// Read gives the next message, which has to come.
func (s *Socket) Read() Frame {
	s.t.Helper()
	f, err := s.TryRead()
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// Closed reads until the connection ends and gives the close code, 0 if it ended
// without one.
func (s *Socket) Closed() int {
	s.t.Helper()
	for {
		_, err := s.TryRead()
		if closed, ok := err.(*websocket.CloseError); ok {
			return closed.Code
		}
		if err != nil {
			s.t.Log(err)
			return 0
		}
	}
}

// Watch subscribes and waits until the stream has caught up, so that what happens
// from now on comes. It is for chatEvents.
func (s *Socket) Watch(id, selection string) {
	s.t.Helper()
	s.Subscribe(id, `subscription { chatEvents { __typename ... on ChatEventBatch { cursor events { __typename `+selection+` } } ... on StreamResync { reason } } }`, nil)
	for {
		if f := s.Read(); f.ID == id && f.Get("chatEvents.__typename") == "StreamCaughtUp" {
			return
		}
	}
}
