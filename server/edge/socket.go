package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph"
	"parley/server/auth"
	"parley/server/fault"
)

// Close codes of the graphql-transport-ws protocol. Clients come again by
// themselves after those marked so.
const (
	closeGoingAway    = websocket.CloseGoingAway // again
	closeInternal     = websocket.CloseInternalServerErr
	closeBadMessage   = 4400
	closeUnauthorized = 4401
	closeForbidden    = 4403 // again, with a new token
	closeInitTimeout  = 4408
	closeDuplicate    = 4409
	closeTooManyInits = 4429
)

const protocol = "graphql-transport-ws"

// sockets is the WebSocket transport.
type sockets struct{ edge *Edge }

var _ graphql.Transport = sockets{}

func (t sockets) Supports(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

func (t sockets) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if !offers(r, protocol) {
		http.Error(w, "offer the subprotocol "+protocol, http.StatusBadRequest)
		return
	}
	s := &socket{edge: t.edge, exec: exec, running: map[string]context.CancelFunc{}}
	if !t.edge.enter(s) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer t.edge.leave(s)
	upgrader := websocket.Upgrader{
		Subprotocols: []string{protocol}, HandshakeTimeout: t.edge.Timing.Init,
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &writeBuffers,
		CheckOrigin: func(*http.Request) bool { return true }, // checked before
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	s.serve(r.Context(), conn)
}

func offers(r *http.Request, protocol string) bool {
	for _, offered := range websocket.Subprotocols(r) {
		if offered == protocol {
			return true
		}
	}
	return false
}

var writeBuffers sync.Pool

// socket is one connection. Its reader is the goroutine that serves it; each
// operation writes from a goroutine of its own, one at a time.
type socket struct {
	edge *Edge
	exec graphql.GraphExecutor
	conn *websocket.Conn
	ctx  context.Context // ends with the connection
	as   context.Context // the same with the principal, once known; the reader's

	writing sync.Mutex

	mu      sync.Mutex
	running map[string]context.CancelFunc
	inited  bool
	timers  []*time.Timer
	pinger  *time.Timer
}

// frame is a message of the protocol.
type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func (s *socket) serve(ctx context.Context, conn *websocket.Conn) {
	ctx, cancel := context.WithCancel(streamed(ctx))
	defer cancel()
	s.ctx, s.as, s.conn = ctx, ctx, conn
	defer conn.Close()
	conn.SetReadLimit(maxFrame)
	conn.SetPongHandler(func(string) error { return s.alive() })
	_ = s.alive()
	s.after(s.edge.Timing.Init, s.checkInited)
	s.pinger = time.AfterFunc(s.edge.Timing.Ping, s.ping)
	defer s.stopTimers()
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		_ = s.alive()
		var f frame
		if err := json.Unmarshal(message, &f); err != nil {
			s.close(closeBadMessage, "a message is a JSON object with a type")
			break
		}
		if !s.handle(f) {
			break
		}
	}
	for { // until the client has read why, or the moment that it gets is over
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
	}
}

// handle does what a message asks for, and says whether to read on.
func (s *socket) handle(f frame) bool {
	switch f.Type {
	case "connection_init":
		return s.init(f.Payload)
	case "ping":
		s.send(frame{Type: "pong", Payload: f.Payload})
		return true
	case "pong":
		return true
	case "subscribe":
		return s.subscribe(f)
	case "complete":
		s.mu.Lock()
		cancel := s.running[f.ID]
		delete(s.running, f.ID)
		s.mu.Unlock()
		if cancel != nil {
			cancel()
		}
		return true
	}
	return s.close(closeBadMessage, "there is no such type of message")
}

// init lets the client in by the token in its payload.
func (s *socket) init(payload json.RawMessage) bool {
	s.mu.Lock()
	again := s.inited
	s.inited = true
	s.mu.Unlock()
	if again {
		return s.close(closeTooManyInits, "Too many initialisation requests")
	}
	token, ok := auth.Bearer(authorization(payload))
	if !ok {
		p, known := auth.From(s.as) // the header of the upgrade will do
		if !known {
			return s.close(closeForbidden, "Forbidden: connection_init has no authorization")
		}
		return s.admit(p)
	}
	p, err := s.edge.Auth.Verify(token)
	switch {
	case fault.CodeOf(err) != "":
		return s.close(closeForbidden, "Forbidden: the token is not valid")
	case err != nil:
		s.edge.Log.Error("cannot check a token", "error", err)
		return s.close(closeInternal, "cannot check the token now")
	}
	return s.admit(p)
}

func (s *socket) admit(p auth.Principal) bool {
	s.as = auth.With(s.ctx, p)
	s.after(time.Until(p.ExpiresAt), func() { s.close(closeForbidden, "Forbidden: the token has expired") })
	return s.send(frame{Type: "connection_ack"})
}

func (s *socket) admitted() bool {
	_, ok := auth.From(s.as)
	return ok && s.inited
}

// authorization finds the field in a payload, whatever the case of its letters.
func authorization(payload json.RawMessage) string {
	var fields map[string]any
	_ = json.Unmarshal(payload, &fields)
	for name, value := range fields {
		if text, ok := value.(string); ok && strings.EqualFold(name, "authorization") {
			return text
		}
	}
	return ""
}

// subscribe starts an operation of any kind.
func (s *socket) subscribe(f frame) bool {
	if !s.admitted() {
		return s.close(closeUnauthorized, "Unauthorized")
	}
	var params graphql.RawParams
	if f.ID == "" || decode(bytes.NewReader(f.Payload), &params) != nil {
		return s.close(closeBadMessage, "subscribe has an id and a request")
	}
	ctx, cancel := context.WithCancel(s.as)
	s.mu.Lock()
	duplicate, full := s.running[f.ID] != nil, len(s.running) >= maxOperations
	if !duplicate && !full {
		s.running[f.ID] = cancel
	}
	s.mu.Unlock()
	switch {
	case duplicate:
		cancel()
		return s.close(closeDuplicate, "Subscriber for "+short(f.ID)+" already exists")
	case full:
		cancel()
		return s.fail(f.ID, gqlerror.List{{
			Message:    "too many operations at once on this connection",
			Extensions: map[string]any{"code": string(fault.RateLimited)},
		}})
	}
	go s.run(ctx, cancel, f.ID, &params)
	return true
}

// run gives an operation's responses, then says how it ended, unless the client
// ended it.
func (s *socket) run(ctx context.Context, cancel context.CancelFunc, id string, params *graphql.RawParams) {
	defer cancel()
	ctx, end := graph.WithEnd(graph.WithRequest(ctx, s.conn.RemoteAddr().String()))
	for response := range responses(ctx, s.exec, params) {
		if response.Data == nil && len(response.Errors) > 0 { // it never began
			if s.finish(id) {
				s.fail(id, response.Errors)
			}
			return
		}
		payload, err := json.Marshal(response)
		if err != nil || ctx.Err() != nil || !s.send(frame{ID: id, Type: "next", Payload: payload}) {
			return
		}
	}
	if ctx.Err() != nil || !s.finish(id) {
		return
	}
	if end.Err != nil {
		s.fail(id, s.exec.DispatchError(ctx, gqlerror.List{gqlerror.Wrap(end.Err)}).Errors)
		return
	}
	s.send(frame{ID: id, Type: "complete"})
}

// finish takes an operation off the list, and says whether it was there.
func (s *socket) finish(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.running[id]
	delete(s.running, id)
	return there
}

func (s *socket) fail(id string, errs gqlerror.List) bool {
	payload, err := json.Marshal(errs)
	return err == nil && s.send(frame{ID: id, Type: "error", Payload: payload})
}

// send writes a message. A client that does not take it within the deadline is
// gone.
func (s *socket) send(f frame) bool {
	message, err := json.Marshal(f)
	if err != nil {
		return false
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.edge.Timing.Write))
	if err := s.conn.WriteMessage(websocket.TextMessage, message); err != nil {
		_ = s.conn.Close()
		return false
	}
	return true
}

// close says why the connection ends and ends it soon, whether or not the client
// agrees. It always returns false.
func (s *socket) close(code int, reason string) bool {
	deadline := time.Now().Add(time.Second)
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
	_ = s.conn.SetReadDeadline(deadline) // the reader ends when the client has answered, or then
	s.after(time.Second, func() { _ = s.conn.Close() })
	return false
}

// alive gives the client until the answer to the next ping but one.
func (s *socket) alive() error { return s.conn.SetReadDeadline(time.Now().Add(2 * s.edge.Timing.Ping)) }

func (s *socket) ping() {
	if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.edge.Timing.Write)) == nil && s.ctx.Err() == nil {
		s.pinger.Reset(s.edge.Timing.Ping)
	}
}

func (s *socket) checkInited() {
	s.mu.Lock()
	inited := s.inited
	s.mu.Unlock()
	if !inited {
		s.close(closeInitTimeout, "Connection initialisation timeout")
	}
}

// after runs f later, unless the connection ends before.
func (s *socket) after(d time.Duration, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.timers = append(s.timers, time.AfterFunc(d, f))
	}
}

func (s *socket) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, timer := range append(s.timers, s.pinger) {
		timer.Stop()
	}
}

// short keeps a close reason within what a close frame can hold.
func short(id string) string {
	if len(id) > 40 {
		return id[:40] + "…"
	}
	return id
}
