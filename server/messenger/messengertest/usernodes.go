package messengertest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// withUserToken answers what a user's token leads to: the user, their pages and portfolios.
func (g *Graph) withUserToken(c *call, node, edge string) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := c.as.user
	l := u.logins[c.as.app.ID]
	if node == "me" || node == u.ID {
		return g.userEdge(c, u, l, edge)
	}
	if edge == "owned_pages" || edge == "client_pages" {
		return g.portfolio(c, u, l, node, edge == "client_pages")
	}
	for _, r := range u.chosen(l) {
		switch {
		case r.page.ID != node:
		case edge == "" && c.method == http.MethodGet:
			return g.pageNode(c, r.page, g.tokenFor(c.as, r))
		default:
			return (&graphError{code: 210, message: "(#210) A page access token is required to request this resource."}).answer()
		}
	}
	return unsupported(c).answer()
}

// tokenFor gives the token of a page to a user's token; "" if the page comes without. The caller holds the lock.
func (g *Graph) tokenFor(as *token, r *role) string {
	if r.NoToken || !as.grants(pagePermissions...) {
		return ""
	}
	return g.pageToken(as, r.page)
}

func (g *Graph) userEdge(c *call, u *User, l *login, edge string) answer {
	revoked, one := strings.CutPrefix(edge, "permissions/")
	switch {
	case c.method == http.MethodDelete && edge == "permissions":
		u.removeApp(c.as.app)
		return succeeded
	case c.method == http.MethodDelete && one:
		g.permit(c.as.app, u, revoked, "declined")
		return succeeded
	case c.method != http.MethodGet:
		return unsupported(c).answer()
	}
	switch edge {
	case "":
		user := object{"id": u.ID, "name": u.Name, "picture": object{"data": pagePicture(c, u.ID)}}
		if l == nil || !g.clock.Now().Before(l.at.Add(dataAccessLasts)) {
			user["name"], user["picture"] = nil, nil // the app may read nothing of the user any more
		}
		return choose(c, "User", user, "name")
	case "accounts":
		return g.accounts(c, u, l)
	case "permissions":
		return g.listPermissions(l)
	case "businesses":
		return g.businesses(c, u, l)
	}
	return unsupported(c).answer()
}

// accounts lists the pages that the user chose (me/accounts reference, Oct 2026). The caller holds the lock.
func (g *Graph) accounts(c *call, u *User, l *login) answer {
	items := []object{}
	for _, r := range u.chosen(l) {
		if !r.Unlisted && l.may("pages_show_list") && (r.Portfolio == "" || l.may("business_management")) {
			items = append(items, g.pageItem(c, r))
		}
	}
	return g.part(c, items, "access_token", "category", "category_list", "name", "id", "tasks")
}

func (g *Graph) pageItem(c *call, r *role) object {
	p := r.page
	return object{"id": p.ID, "name": p.Name, "category": p.Category, "category_list": []object{{"id": "1605186416478696",
		"name": p.Category}}, "access_token": g.tokenFor(c.as, r), "tasks": r.Tasks, "picture": object{"data": pagePicture(c, p.ID)}}
}

func (g *Graph) listPermissions(l *login) answer {
	data := []object{}
	if l != nil {
		names := keys(l.permissions)
		slices.Sort(names)
		for _, name := range names {
			data = append(data, object{"permission": name, "status": l.permissions[name]})
		}
	}
	return answer{body: object{"data": data}}
}

var noBusiness = &graphError{code: 200, message: "(#200) Requires business_management permission to manage the object"}

// businesses lists the portfolios that the user has pages in. The caller holds the lock.
func (g *Graph) businesses(c *call, u *User, l *login) answer {
	if !l.may("business_management") {
		return noBusiness.answer()
	}
	items, seen := []object{}, map[string]bool{"": true}
	for _, r := range u.roles {
		if !seen[r.Portfolio] {
			seen[r.Portfolio] = true
			items = append(items, object{"id": r.Portfolio, "name": "Portfolio " + r.Portfolio})
		}
	}
	return g.part(c, items, "id", "name")
}

// portfolio lists the pages that a portfolio owns, or looks after for others. The caller holds the lock.
func (g *Graph) portfolio(c *call, u *User, l *login, id string, client bool) answer {
	if !l.may("business_management") {
		return noBusiness.answer()
	}
	items := []object{}
	for _, r := range u.chosen(l) {
		if r.Portfolio == id && r.Client == client {
			item := g.pageItem(c, r)
			delete(item, "access_token")
			delete(item, "tasks")
			items = append(items, item)
		}
	}
	return g.part(c, items, "id", "name")
}

// part answers with some of a list, from a cursor on, and with cursors around it (paging guide, Oct 2026). What is asked
// for as limit is at most kept to: Facebook gives fewer when it likes.
func (g *Graph) part(c *call, items []object, defaults ...string) answer {
	limit, err := strconv.Atoi(c.params["limit"])
	if err != nil || limit > g.most {
		limit = g.most
	}
	start := 0
	if after := c.params["after"]; after != "" {
		start = 1 + slices.IndexFunc(items, func(item object) bool { return cursor(item) == after })
		if start == 0 {
			return invalid("Invalid cursors values provided").answer()
		}
	}
	end := min(start+max(limit, 1), len(items))
	data := []any{}
	for _, item := range items[start:end] {
		chosen := choose(c, "Page", item, defaults...)
		if chosen.status != 0 {
			return chosen
		}
		data = append(data, chosen.body)
	}
	body := object{"data": data}
	if end > start {
		paging := object{"cursors": object{"before": cursor(items[start]), "after": cursor(items[end-1])}}
		if end < len(items) {
			paging["next"] = c.next(cursor(items[end-1]))
		}
		body["paging"] = paging
	}
	if c.params["summary"] == "total_count" {
		body["summary"] = object{"total_count": len(items)}
	}
	return answer{body: body}
}

func cursor(item object) string {
	id, _ := item["id"].(string)
	return base64.StdEncoding.EncodeToString([]byte(id))
}

// next is the address of the next part. It has the token in it, as Facebook's has.
func (c *call) next(after string) string {
	query := url.Values{"access_token": {c.token}, "after": {after}, "limit": {c.params["limit"]}, "fields": {c.params["fields"]}}
	return "https://" + c.host + "/" + c.version + "/" + strings.Join(c.path, "/") + "?" + query.Encode()
}
