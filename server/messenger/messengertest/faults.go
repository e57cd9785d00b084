package messengertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// graphError is an error as Facebook sends it.
type graphError struct {
	status        int // 0: 400, as mostly
	code, subcode int
	kind, message string // kind "": OAuthException
	transient     bool
	header        http.Header
}

func (e *graphError) answer() answer {
	kind, status := e.kind, e.status
	if kind == "" {
		kind = "OAuthException"
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	body := object{"message": e.message, "type": kind, "code": e.code, "fbtrace_id": "AbCdEfGhIjKlMnOpQrStUvW"}
	if e.subcode != 0 {
		body["error_subcode"] = e.subcode
	}
	if e.transient {
		body["is_transient"] = true
	}
	return answer{status: status, header: e.header, body: object{"error": body}}
}

// Mode is how a fault spoils an answer.
type Mode string

// The modes of a fault.
const (
	Refuse   Mode = ""         // with an error of Facebook's
	HTML     Mode = "html"     // an HTML page of a proxy
	Truncate Mode = "truncate" // the answer ends in the middle
	Silence  Mode = "silence"  // no answer until the caller hangs up
	HangUp   Mode = "hangup"   // the connection is cut
)

// Fault spoils calls to the Graph API. Before it does, the call is not carried out, unless Accepted says so.
type Fault struct {
	Method, Path string // of the calls it hits: equal, and the end of the path ("/messages"); "" is any
	Param        string // and this text somewhere in the parameters; "" is any
	Times        int    // how many calls; 0 is 1, -1 is all until Reset
	Mode         Mode
	Accepted     bool // the call is carried out, and only its answer spoilt

	Status, Code, Subcode int // of Refuse; Status also of HTML (0: 502)
	Message               string
	Transient             bool
	Header                http.Header
}

// TokenFault is error 190 with a subcode: 458 the app was removed, 460 the password changed, 463 the session expired, …
func TokenFault(subcode int) Fault {
	return Fault{Code: 190, Subcode: subcode, Message: messages[subcode]}
}

// RateLimitFault is error 4 or 613 with the header that says in how many minutes calls are taken again.
func RateLimitFault(code, minutes int) Fault {
	usage := fmt.Sprintf(`{"PAGE":[{"type":"messenger","call_count":100,"total_cputime":10,"total_time":10,`+
		`"estimated_time_to_regain_access":%d}]}`, minutes)
	return Fault{Code: code, Message: messages[code], Header: http.Header{
		"X-App-Usage":               {`{"call_count":100,"total_time":25,"total_cputime":25}`},
		"X-Business-Use-Case-Usage": {usage},
	}}
}

// messages are Facebook's words for codes and subcodes (error guide and send reference, Oct 2026).
var messages = map[int]string{
	2:   "(#2) Service temporarily unavailable",
	4:   "(#4) Application request limit reached",
	456: "Error validating access token: The access token is malformed.",
	457: "Error validating access token: The session has an invalid origin.",
	458: "Error validating access token: The user has not authorized application 1.",
	459: "Error validating access token: You cannot access the app till you log in to www.facebook.com and follow the " +
		"instructions given.",
	460: "Error validating access token: The session has been invalidated because the user changed their password or " +
		"Facebook has changed the session for security reasons.",
	461: "Error validating access token: The user has installed the application anew.",
	462: "Error validating access token: The session is of a stale version.",
	463: "Error validating access token: Session has expired on Friday, 20-Nov-26 10:00:00 PST. " +
		"The current time is Sunday, 22-Nov-26 10:00:00 PST.",
	464:     "Error validating access token: Sessions for the user are not allowed because the user is not a confirmed user.",
	465:     "Error validating access token: The user of the session is invalid.",
	466:     "Error validating access token: The session was explicitly invalidated through an API call.",
	467:     "Error validating access token: The session is invalid because the user logged out.",
	468:     "Error validating access token: The session was not used for long.",
	492:     "Error validating access token: The user does not have sufficient role on the page.",
	551:     "(#551) This person isn't available right now.",
	613:     "(#613) Calls to this api have exceeded the rate limit.",
	2018001: "(#100) No matching user found",
	2018028: "(#200) Cannot message users who are not admins, developers or testers of the app until pages_messaging " +
		"permission is reviewed and the app is live.",
	2018218: "(#100) No profile available for this user.",
	2018247: "(#100) Insufficient permission to access user profile.",
	2018278: "(#10) This message is sent outside of allowed window. Learn more about the new policy here: " +
		"https://developers.facebook.com/docs/messenger-platform/policy-overview",
	2018336: "(#10) This page is restricted from sending messages.",
	2018300: "(#10) Message failed to send because another app is controlling this thread now.",
}

// Fail puts a fault in wait. The oldest one that fits a call hits it.
func (g *Graph) Fail(f Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	g.faults = append(g.faults, &f)
}

// Heal takes back the faults that wait.
func (g *Graph) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = nil
}

// takeFault gives the fault that hits a call, if any.
func (g *Graph) takeFault(c *call) *Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, f := range g.faults {
		if !f.hits(c) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				g.faults = append(g.faults[:i:i], g.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

func (f *Fault) hits(c *call) bool {
	if f.Method != "" && f.Method != c.method || !strings.HasSuffix("/"+strings.Join(c.path, "/"), f.Path) {
		return false
	}
	for _, value := range c.params {
		if strings.Contains(value, f.Param) {
			return true
		}
	}
	return f.Param == ""
}

// spoil gives what the caller sees instead of an answer.
func (f *Fault) spoil(a answer) answer {
	switch f.Mode {
	case Refuse:
		e := &graphError{status: f.Status, code: f.Code, subcode: f.Subcode, message: f.words(), transient: f.Transient, header: f.Header}
		spoilt := e.answer()
		a.status, a.header, a.body = spoilt.status, spoilt.header, spoilt.body
	case HTML:
		a.status, a.header = http.StatusBadGateway, http.Header{"Content-Type": {"text/html"}}
		if f.Status != 0 {
			a.status = f.Status
		}
		a.body = []byte("<html><head><title>Sorry, something went wrong.</title></head></html>")
	case Truncate:
		raw, ok := a.body.([]byte)
		if !ok {
			raw, _ = json.Marshal(a.body)
		}
		a.body = raw[:len(raw)/2]
	}
	a.mode = f.Mode
	return a
}

func (f *Fault) words() string {
	for _, known := range []string{f.Message, messages[f.Subcode], messages[f.Code]} {
		if known != "" {
			return known
		}
	}
	return fmt.Sprintf("(#%d) An error of the simulator", f.Code)
}
