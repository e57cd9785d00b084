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
	given, want := []byte(query.Get("hub.verify_token")), []byte(in.VerifyToken)
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
	size := r.ContentLength
	if size > maxBody {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if size < 0 { // not said: it may be anything up to the limit
		size = maxBody
	}
	if in.lagging() || !in.bytes.TryAcquire(size) {
		overloaded(w)
		return
	}
	defer in.bytes.Release(size)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !messenger.Verify(in.AppSecret, r.Header.Get("X-Hub-Signature-256"), body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := in.put(r.Context(), rowsOf(body)); err != nil {
		if r.Context().Err() == nil {
			in.Log.Error("cannot store webhook events", "error", err)
		}
		overloaded(w)
		return
	}
	_, _ = io.WriteString(w, "EVENT_RECEIVED")
}

func overloaded(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
}
