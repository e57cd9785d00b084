package messengertest

import (
	"errors"
	"net/http"
)

func (g *Graph) controlRestrict(r *http.Request, in struct {
	Restricted bool `json:"restricted"`
}) (any, error) {
	p, err := g.pathPage(r)
	if err != nil {
		return nil, err
	}
	p.Restrict(in.Restricted)
	return object{}, nil
}

func (g *Graph) controlUser(_ *http.Request, in struct {
	User
	Pages []struct {
		ID string `json:"id"`
		Role
	} `json:"pages"`
}) (any, error) {
	pages := map[string]*Page{}
	for _, p := range in.Pages {
		if pages[p.ID] = g.page(p.ID); pages[p.ID] == nil {
			return nil, errors.New("no page " + p.ID)
		}
	}
	u := g.AddUser(User{ID: in.User.ID, Name: in.Name})
	for _, p := range in.Pages {
		u.Manages(pages[p.ID], p.Role)
	}
	return object{"id": u.ID}, nil
}

func (g *Graph) page(id string) *Page {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pages[id]
}

// userAct is something a user does by the control API; which members count depends on what.
type userAct struct {
	AppID      string `json:"app_id"`
	PageID     string `json:"page_id"`
	Permission string `json:"permission"`
	Subcode    int    `json:"subcode"`
}

func (g *Graph) controlUserAct(r *http.Request, in userAct) (any, error) {
	g.mu.Lock()
	u := g.users[r.PathValue("user")]
	g.mu.Unlock()
	switch {
	case u == nil:
		return nil, errors.New("no such user")
	case in.AppID != "" && !g.hasApp(in.AppID):
		return nil, errors.New("no such app")
	}
	switch r.PathValue("act") {
	case "end_sessions":
		u.EndSessions(in.Subcode)
	case "leave":
		u.Leaves(g.page(in.PageID))
	case "revoke":
		u.Revokes(in.AppID, in.Permission)
	case "remove_app":
		u.RemovesApp(in.AppID)
	case "ask_deletion":
		return u.AsksDeletion(r.Context(), in.AppID)
	default:
		return nil, errors.New("users end sessions, leave pages, revoke, remove apps, or ask for deletion")
	}
	return object{}, nil
}
