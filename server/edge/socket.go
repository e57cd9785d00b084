package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
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
	closeTryLater     = websocket.CloseTryAgainLater // again
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
	if !slices.Contains(websocket.Subprotocols(r), protocol) {
		refuse(w, http.StatusBadRequest, "BAD_REQUEST", "offer the subprotocol "+protocol)
		return
	}
	if !t.edge.enter(w) {
		return
	}
	wire := &wire{write: t.edge.Timing.Write}
	conn, err := upgrader.Upgrade(wiring{w, wire}, r, nil)
	if err != nil { // the upgrader has answered
		t.edge.leave()
		return
	}
	s := &socket{edge: t.edge, exec: exec, conn: conn, wire: wire, running: map[string]func(){}}
	// Not here: the server keeps its buffers and this stack, 20 kB, until it returns.
	go s.serve(context.WithoutCancel(r.Context()))
}

// upgrader has buffers for what clients say, which is short and rare, and none
// but for a moment for control frames: all else is written by the wire.
var upgrader = websocket.Upgrader{
	Subprotocols:   []string{protocol},
	ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: &sync.Pool{},
	CheckOrigin: func(*http.Request) bool { return true }, // checked before
}

// socket is one connection. Its reader is the goroutine that serves it; each
// operation has a goroutine of its own, except a subscription that has caught
// up, which is its stream's.
type socket struct {
	edge *Edge
	exec graphql.GraphExecutor
	conn *websocket.Conn // to read from, and to write control frames to
	wire *wire           // to write all else to
	ctx  context.Context // ends with the connection
	as   context.Context // the same with the principal, once known; the reader's

	operations sync.WaitGroup

	mu      sync.Mutex
	running map[string]func() // what ends an operation, by id, until either side says that it is over
	live    int               // operations that have not ended, whoever said so
	closed  bool              // none begins any more
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

// encode puts the payload in as it is. encoding/json would read it through once
// more for each level that it is in, which is most of the cost of an event.
func (f frame) encode() []byte {
	if f.Payload != nil {
		return append(append(f.upToPayload(), f.Payload...), '}')
	}
	b := f.upToPayload()
	return append(b[:len(b)-len(payloadFollows)], '}')
}

const payloadFollows = `,"payload":`

func (f frame) upToPayload() []byte {
	id, err := json.Marshal(f.ID)
	if err != nil {
		panic(err) // a string
	}
	b := make([]byte, 0, len(f.Payload)+len(id)+len(f.Type)+32)
	if f.ID != "" {
		b = append(append(append(b, `{"id":`...), id...), `,"type":"`...)
	} else {
		b = append(b, `{"type":"`...)
	}
	return append(append(append(b, f.Type...), '"'), payloadFollows...)
}

func (s *socket) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(streamed(ctx))
	s.ctx, s.as = ctx, ctx
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			_ = s.edge.Resolver.Recover(ctx, value)
		}
	}()
	defer s.edge.leave()
	defer s.operations.Wait() // what they read from is not closed before
	defer s.conn.Close()
	defer s.endAll()
	defer cancel()
	s.conn.SetReadLimit(maxFrame)
	s.conn.SetPongHandler(func(string) error { return s.alive() })
	_ = s.alive()
	s.startTimers()
	defer s.stopTimers()
	defer context.AfterFunc(s.edge.stopped, func() { s.close(closeGoingAway, "the server restarts") })()
	s.linger(s.read())
}

// read takes messages until one of the sides has had enough.
func (s *socket) read() error {
	for {
		_, message, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		_ = s.alive()
		more := make(chan bool)
		go func() { more <- s.hear(message) }() // not here: the reader's stack would stay as large as that needs
		if !<-more {
			return nil
		}
	}
}

// hear takes a message, and says whether to read on.
func (s *socket) hear(message []byte) (more bool) {
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			_ = s.edge.Resolver.Recover(s.ctx, value)
			more = s.close(closeInternal, "internal error")
		}
	}()
	var f frame
	if err := json.Unmarshal(message, &f); err != nil {
		return s.close(closeBadMessage, "a message is a JSON object with a type")
	}
	return s.handle(f)
}

// endAll ends the operations that run, and has none begin.
func (s *socket) endAll() {
	s.mu.Lock()
	s.closed = true
	ending := slices.Collect(maps.Values(s.running))
	s.mu.Unlock()
	for _, end := range ending {
		end()
	}
}

// linger gives the client a moment to read why the connection ends: what it
// sends meanwhile must be read, or its network drops our last words.
func (s *socket) linger(ended error) {
	if errors.Is(ended, websocket.ErrReadLimit) { // the frame has no end to read to
		_ = s.conn.SetReadDeadline(time.Now().Add(goodbye))
		_, _ = io.Copy(io.Discard, s.conn.NetConn())
		return
	}
	for ended == nil {
		_, _, ended = s.conn.NextReader()
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
		end := s.running[f.ID]
		delete(s.running, f.ID)
		s.mu.Unlock()
		if end != nil {
			end()
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
	given := authorization(payload)
	if p, known := auth.From(s.as); known && given == "" { // the header of the upgrade will do
		return s.admit(p)
	}
	token, ok := auth.Bearer(given)
	if !ok {
		return s.close(closeForbidden, "Forbidden: connection_init has no authorization")
	}
	p, err := s.edge.Auth.Verify(s.ctx, token)
	var known *fault.Error
	switch {
	case err == nil:
		return s.admit(p)
	case errors.As(err, &known) && known.Code == fault.Unauthenticated:
		return s.close(closeForbidden, short("Forbidden: "+known.Message, maxReason))
	case known == nil:
		s.edge.Log.Error("cannot check a token", "error", err)
	}
	return s.close(closeTryLater, "cannot check the token now")
}

func (s *socket) admit(p auth.Principal) bool {
	s.as = auth.With(s.ctx, p)
	s.after(p.ExpiresAt.Sub(s.edge.Now()), func() { s.close(closeForbidden, "Forbidden: the token has expired") })
	p.Distrusted(s.ctx, func() { s.close(closeForbidden, "Forbidden: tokens of this identity server are not accepted any more") })
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
	duplicate, full := s.running[f.ID] != nil, s.live >= maxOperations
	if !duplicate && !full {
		s.running[f.ID] = cancel
		s.live++
	}
	s.mu.Unlock()
	switch {
	case duplicate:
		cancel()
		return s.close(closeDuplicate, "Subscriber for "+short(f.ID, 40)+" already exists")
	case full:
		cancel()
		return s.fail(f.ID, gqlerror.List{{
			Message:    "too many operations at once on this connection",
			Extensions: map[string]any{"code": string(fault.RateLimited)},
		}})
	}
	s.operations.Go(func() {
		defer cancel()
		s.run(ctx, cancel, f.ID, &params)
	})
	return true
}

// run does an operation, and says how it ended, unless the client ended it.
func (s *socket) run(ctx context.Context, cancel context.CancelFunc, id string, params *graphql.RawParams) {
	ctx = graph.WithRequest(ctx, s.conn.RemoteAddr().String())
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			err := s.edge.Resolver.Present(ctx, s.edge.Resolver.Recover(ctx, value))
			s.finish(id)
			s.fail(id, gqlerror.List{err})
			s.leave()
		}
	}()
	ctx, operation, errs := prepare(ctx, s.exec, params)
	if errs == nil && operation.Operation.Operation == ast.Subscription {
		s.follow(ctx, cancel, id, params, operation)
		return
	}
	s.answer(ctx, id, responses(ctx, s.exec, operation, errs))
	s.leave()
}

// answer gives the responses of a query or a mutation.
func (s *socket) answer(ctx context.Context, id string, responses iter.Seq[*graphql.Response]) {
	for response := range responses {
		if response.Data == nil && len(response.Errors) > 0 { // it never began
			if s.finish(id) {
				s.fail(id, response.Errors)
			}
			return
		}
		if ctx.Err() != nil || !s.send(frame{ID: id, Type: "next", Payload: encode(response)}) {
			return
		}
	}
	if ctx.Err() == nil && s.finish(id) {
		s.send(frame{ID: id, Type: "complete"})
	}
}

// leave makes room for another operation.
func (s *socket) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
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

// send writes a message, if it can still be heard.
func (s *socket) send(f frame) bool {
	var out frames
	out.add(nil, f.encode())
	return s.wire.send(out.all()...) == nil
}

// goodbye is how long a connection lives on after we said why it ends.
const goodbye = time.Second

// close says why the connection ends and ends it soon, whether or not the client
// agrees. It always returns false.
func (s *socket) close(code int, reason string) bool {
	deadline := time.Now().Add(goodbye)
	s.after(goodbye, func() { _ = s.conn.Close() })
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
	_ = s.conn.SetReadDeadline(deadline) // the reader ends when the client has answered, or then
	return false
}

// alive gives the client until the answer to the next ping but one.
func (s *socket) alive() error { return s.conn.SetReadDeadline(time.Now().Add(2 * s.edge.Timing.Ping)) }

func (s *socket) startTimers() {
	s.after(s.edge.Timing.Init, s.checkInited)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pinger = time.AfterFunc(s.edge.Timing.Ping, s.ping)
}

func (s *socket) ping() {
	if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.edge.Timing.Write)) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
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

// maxReason is how many bytes of a reason a close frame holds, which are 123.
const maxReason = 120 // and an ellipsis

// short keeps a close reason within what a close frame can hold.
func short(text string, most int) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
