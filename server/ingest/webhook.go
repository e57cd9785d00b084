package ingest

import (
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"time"

	"parley/server/messenger"
)

// ServeHTTP is the webhook of the Facebook app: GET verifies the address, POST
// brings events. It answers 200 once they are stored; 401 to a wrong signature,
// saying no more; 413 to a body that no legal batch needs; and 503, to be
// repeated, when too much is in flight or unapplied, or the database is away.
func (in *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		in.verify(w, r)
	case http.MethodPost:
		in.receive(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// verify answers the provider's question whether this address wants its events
// (messenger platform, webhooks, Oct 2026).
func (in *Inbox) verify(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	given, want := []byte(query.Get("hub.verify_token")), []byte(in.VerifyToken())
	if len(want) == 0 || query.Get("hub.mode") != "subscribe" || subtle.ConstantTimeCompare(given, want) != 1 {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, query.Get("hub.challenge"))
}

func (in *Inbox) receive(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Hub-Signature-256") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.ContentLength > maxBody {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if !in.backlog.admit(0, in.Now()) { // before the work of reading it
		overloaded(w)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, held, err := in.read(http.MaxBytesReader(w, r.Body, maxBody), r.ContentLength)
	defer in.bytes.Release(held)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case errors.Is(err, errBudget):
		overloaded(w)
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case !messenger.Verify(in.AppSecret(), r.Header.Get("X-Hub-Signature-256"), body):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		in.accept(w, r, rowsOf(body, in.now()))
	}
}

// accept stores and answers.
func (in *Inbox) accept(w http.ResponseWriter, r *http.Request, rows []row) {
	if !in.backlog.admit(len(rows), in.Now()) {
		overloaded(w)
		return
	}
	err := in.put(r.Context(), rows)
	in.backlog.leave(len(rows))
	if err != nil {
		if r.Context().Err() == nil {
			in.Log.Error("cannot store webhook events", "error", err)
		}
		overloaded(w)
		return
	}
	_, _ = io.WriteString(w, "EVENT_RECEIVED")
}

var errBudget = errors.New("too many bytes are in flight")

// read takes a body in. The budget is charged for the room that the body takes
// as it grows, not for what its sender says it will send: whoever sends slowly,
// or does not say, keeps nobody else out.
func (in *Inbox) read(from io.Reader, said int64) (body []byte, held int64, err error) {
	const most = 64 << 10 // at first; one byte more than was said finds the end without growing
	if said < 0 {
		said = 4 << 10
	}
	for room := min(said+1, most); ; room = min(2*room, maxBody+1) {
		if !in.bytes.TryAcquire(room - held) {
			return nil, held, errBudget
		}
		held = room
		body = append(make([]byte, 0, room), body...)
		for len(body) < cap(body) {
			n, err := from.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			if err == io.EOF {
				return body, held, nil
			}
			if err != nil {
				return nil, held, err
			}
		}
	}
}

func overloaded(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
}
