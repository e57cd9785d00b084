package messengertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// control gives the routes of the control API; the package comment describes them.
func (g *Graph) control() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_sim/apps", reply(g.controlApp))
	mux.HandleFunc("POST /_sim/apps/{app}", reply(g.controlConfigure))
	mux.HandleFunc("POST /_sim/pages", reply(g.controlPage))
	mux.HandleFunc("POST /_sim/pages/{page}/restrict", reply(g.controlRestrict))
	mux.HandleFunc("POST /_sim/users", reply(g.controlUser))
	mux.HandleFunc("POST /_sim/users/{user}/{act}", reply(g.controlUserAct))
	mux.HandleFunc("POST /_sim/callback", reply(g.controlCallback))
	mux.HandleFunc("POST /_sim/pages/{page}/subscribe", reply(g.controlSubscribe))
	mux.HandleFunc("POST /_sim/pages/{page}/posts", reply(g.controlItems))
	mux.HandleFunc("POST /_sim/pages/{page}/people", reply(g.controlPerson))
	mux.HandleFunc("POST /_sim/pages/{page}/people/{id}/{act}", reply(g.controlAct))
	mux.HandleFunc("POST /_sim/faults", reply(g.controlFault))
	mux.HandleFunc("POST /_sim/tokens/kill", reply(g.controlKill))
	mux.HandleFunc("POST /_sim/behaviour", reply(g.controlBehaviour))
	mux.HandleFunc("POST /_sim/clock", reply(g.controlClock))
	mux.HandleFunc("POST /_sim/settle", reply(g.controlSettle))
	mux.HandleFunc("POST /_sim/reset", reply(func(*http.Request, struct{}) (any, error) { g.Reset(); return object{}, nil }))
	mux.HandleFunc("GET /_sim/log", list(g.Requests))
	mux.HandleFunc("GET /_sim/sent", list(g.Sent))
	mux.HandleFunc("GET /_sim/posts", list(g.readablePosts))
	mux.HandleFunc("GET /_sim/picture/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture(strings.TrimSuffix(r.PathValue("file"), ".png")))
	})
	return mux
}

// reply makes a handler of a function from a JSON request to a JSON answer. An empty request is an empty object.
func reply[In any](do func(*http.Request, In) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			writeJSON(w, http.StatusBadRequest, object{"error": err.Error()})
			return
		}
		out, err := do(r, in)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			writeJSON(w, http.StatusGatewayTimeout, object{"error": err.Error()})
		case err != nil:
			writeJSON(w, http.StatusBadRequest, object{"error": err.Error()})
		default:
			writeJSON(w, http.StatusOK, out)
		}
	}
}

// list makes a handler that shows a log, also an empty one, as an array.
func list[T any](log func() []T) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, append([]T{}, log()...)) }
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(plainJSON(v)) // a caller that has gone is no concern of ours
}

// readablePost is a Post whose body is shown as the text it is.
type readablePost struct {
	Post
	Body string `json:"body"`
}

func (g *Graph) readablePosts() []readablePost {
	var all []readablePost
	for _, p := range g.Posts() {
		all = append(all, readablePost{p, string(p.Body)})
	}
	return all
}

func (g *Graph) controlFault(_ *http.Request, f Fault) (any, error) {
	g.Fail(f)
	return object{}, nil
}

func (g *Graph) controlKill(_ *http.Request, in struct {
	Token   string `json:"token"`
	Subcode int    `json:"subcode"`
}) (any, error) {
	g.KillToken(in.Token, in.Subcode)
	return object{}, nil
}

func (g *Graph) controlBehaviour(_ *http.Request, in struct {
	Behaviour
	DelayMS int64 `json:"delay_ms"`
}) (any, error) {
	in.Delay = milliseconds(in.DelayMS)
	g.Behave(in.Behaviour)
	return object{}, nil
}

func (g *Graph) controlClock(_ *http.Request, in struct {
	AdvanceMS int64 `json:"advance_ms"`
}) (any, error) {
	g.clock.Advance(milliseconds(in.AdvanceMS))
	return object{"now": g.clock.Now()}, nil
}

func (g *Graph) controlSettle(r *http.Request, in struct {
	TimeoutMS int64 `json:"timeout_ms"`
}) (any, error) {
	if in.TimeoutMS == 0 {
		in.TimeoutMS = 10_000
	}
	ctx, cancel := context.WithTimeout(r.Context(), milliseconds(in.TimeoutMS))
	defer cancel()
	return object{}, g.Settle(ctx)
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
