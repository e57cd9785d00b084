package messengertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"parley/server/messenger"
)

func (g *Graph) controlApp(_ *http.Request, in App) (any, error) {
	a := g.AddApp(in)
	return object{"id": a.ID, "secret": a.Secret}, nil
}

func (g *Graph) controlConfigure(r *http.Request, in json.RawMessage) (any, error) {
	id := r.PathValue("app")
	if !g.hasApp(id) {
		return nil, errors.New("no such app")
	}
	read := func(into *App) error {
		d := json.NewDecoder(bytes.NewReader(in))
		d.DisallowUnknownFields()
		return d.Decode(into)
	}
	err := read(&App{}) // all of it or nothing
	if err == nil {
		g.Configure(id, func(a *App) { err = read(a) })
	}
	return object{}, err
}

func (g *Graph) controlPage(_ *http.Request, in Page) (any, error) {
	if !g.hasApp(in.AppID) {
		return nil, errors.New("a page needs an app first")
	}
	p := g.AddPage(in)
	return object{"id": p.ID, "token": p.Token}, nil
}

// hasApp tells whether there is an app of this id or, for "", any.
func (g *Graph) hasApp(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.apps[id] != nil || id == "" && len(g.apps) > 0
}

func (g *Graph) controlCallback(r *http.Request, in struct {
	AppID       string   `json:"app_id"`
	URL         string   `json:"url"`
	VerifyToken string   `json:"verify_token"`
	Fields      []string `json:"fields"`
}) (any, error) {
	return object{}, g.SetCallback(r.Context(), in.AppID, in.URL, in.VerifyToken, in.Fields...)
}

func (g *Graph) pathPage(r *http.Request) (*Page, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pages[r.PathValue("page")]; p != nil {
		return p, nil
	}
	return nil, errors.New("no such page")
}

func (g *Graph) controlSubscribe(r *http.Request, in struct {
	AppID  string   `json:"app_id"`
	Fields []string `json:"fields"`
}) (any, error) {
	p, err := g.pathPage(r)
	if err != nil {
		return nil, err
	}
	if in.AppID == "" {
		in.AppID = p.AppID
	}
	if in.Fields == nil {
		in.Fields = messenger.SubscribedFields()
	}
	if !g.hasApp(in.AppID) {
		return nil, errors.New("no such app")
	}
	p.Subscribe(in.AppID, in.Fields...)
	return object{}, nil
}

func (g *Graph) controlItems(r *http.Request, in struct {
	Array string            `json:"array"`
	Items []json.RawMessage `json:"items"`
}) (any, error) {
	p, err := g.pathPage(r)
	if err != nil {
		return nil, err
	}
	for _, item := range in.Items {
		p.posts(in.Array, []string{string(item)})
	}
	return object{}, nil
}

func (g *Graph) controlPerson(r *http.Request, in Person) (any, error) {
	p, err := g.pathPage(r)
	if err != nil {
		return nil, err
	}
	return object{"id": p.AddPerson(in).ID}, nil
}

// act is something a person does by the control API; which members count depends on what.
type act struct {
	Text    string `json:"text"`
	Count   int    `json:"count"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
	Blocked bool   `json:"blocked"`
	AppID   string `json:"app_id"`
	Message object `json:"message"`
}

func (g *Graph) controlAct(r *http.Request, in act) (any, error) {
	p, err := g.pathPage(r)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	w := p.people[r.PathValue("id")]
	g.mu.Unlock()
	if w == nil {
		return nil, errors.New("no such person")
	}
	return in.by(w, r.PathValue("act"))
}

func (in act) by(w *Person, verb string) (any, error) {
	switch verb {
	case "writes":
		return object{"mids": in.writes(w)}, nil
	case "sends":
		if in.Message == nil {
			return nil, errors.New("what is the message?")
		}
		return object{"mid": w.Sends(in.Message)}, nil
	case "taps":
		return object{"mid": w.TapsButton(in.Title, in.Payload)}, nil
	case "inbox":
		return object{"mid": w.page.InboxReplies(w, in.Text)}, nil
	case "reads":
		w.Reads()
		return object{}, nil
	case "blocks":
		w.setBlocked(in.Blocked)
		return object{}, nil
	case "held_by":
		w.HeldBy(in.AppID)
		return object{}, nil
	}
	return nil, errors.New("people write, send, tap, read, block, or get an answer from the inbox")
}

func (in act) writes(w *Person) []string {
	mids := []string{w.Writes(in.Text)}
	for i := 2; i <= in.Count; i++ {
		mids = append(mids, w.Writes(fmt.Sprintf("%s %d", in.Text, i)))
	}
	return mids
}
