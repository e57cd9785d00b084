package messengertest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is one call to the Graph API as it came in. Its secrets are those of the simulator.
type Request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // without version
	Version string            `json:"version"`
	Params  map[string]string `json:"params"`
	Header  http.Header       `json:"header"`
	Status  int               `json:"status"` // of the answer; 0 for none
	At      time.Time         `json:"at"`
}

func (g *Graph) logRequest(r *http.Request, c *call, a answer) {
	status := a.status
	switch {
	case a.mode == HangUp || a.mode == Silence:
		status = 0
	case status == 0:
		status = http.StatusOK
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = keepLast(g.requests, Request{c.method, "/" + strings.Join(c.path, "/"), c.version, c.params,
		r.Header.Clone(), status, g.clock.Now()}, g.keep)
	g.touch()
}

// Requests gives the calls to the Graph API so far.
func (g *Graph) Requests() []Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.requests)
}
