package messengertest

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"time"

	"parley/server/messenger"
)

// choose gives the asked fields of a node, its id always.
func choose(c *call, node string, all object, defaults ...string) answer {
	asked := fieldNames(c.params["fields"])
	if len(asked) == 0 {
		asked = defaults
	}
	chosen := object{"id": all["id"]}
	for _, name := range asked {
		value, known := all[name]
		if !known {
			return invalid(fmt.Sprintf("Tried accessing nonexisting field (%s) on node type (%s)", name, node)).answer()
		}
		if value != nil && value != "" {
			chosen[name] = value
		}
	}
	return answer{body: chosen}
}

// fieldNames reads "id,picture.type(large){url},name" as id, picture, name.
func fieldNames(list string) []string {
	var names []string
	depth, start := 0, 0
	for i, r := range list + "," {
		switch {
		case r == '(' || r == '{':
			depth++
		case r == ')' || r == '}':
			depth--
		case r == ',' && depth == 0:
			name := strings.TrimSpace(list[start:i])
			start = i + 1
			if end := strings.IndexAny(name, ".({"); end >= 0 {
				name = name[:end]
			}
			if name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// pageNode answers for a page to whoever may have a token of it; "" for none.
func (g *Graph) pageNode(c *call, p *Page, token string) answer {
	return choose(c, "Page", object{"id": p.ID, "name": p.Name, "category": p.Category,
		"picture": object{"data": pagePicture(c, p.ID)}, "access_token": token}, "name")
}

func pagePicture(c *call, id string) object {
	return object{"url": "http://" + c.host + "/_sim/picture/" + id + ".png", "is_silhouette": false,
		"height": pictureSize, "width": pictureSize}
}

// profile answers for a person of the page (profile reference, Oct 2026).
func (g *Graph) profile(c *call, p *Page, psid string) answer {
	g.mu.Lock()
	w := p.people[psid]
	g.mu.Unlock()
	switch {
	case w == nil || c.method != http.MethodGet:
		return unsupported(c).answer()
	case w.Profile == ProfileNone:
		return (&graphError{code: 100, subcode: 2018218, message: messages[2018218]}).answer()
	case w.Profile == ProfileDenied:
		return (&graphError{code: 100, subcode: 2018247, message: messages[2018247]}).answer()
	case w.Profile == ProfilePartial:
		return answer{body: object{"id": w.ID}}
	}
	name := strings.TrimSpace(w.FirstName + " " + w.LastName)
	expires := g.clock.Now().Add(14 * 24 * time.Hour).Unix()
	picture := fmt.Sprintf("http://%s/_sim/picture/%s.png?width=1024&ext=%d", c.host, w.ID, expires)
	return choose(c, "User", object{"id": w.ID, "name": name, "first_name": w.FirstName, "last_name": w.LastName,
		"profile_pic": picture, "locale": w.Locale, "timezone": nil, "gender": nil},
		"first_name", "last_name", "profile_pic")
}

const pictureSize = 32

// picture draws a square in a colour that belongs to an id.
func picture(id string) []byte {
	shade := uint32(2166136261)
	for _, c := range []byte(id) {
		shade = (shade ^ uint32(c)) * 16777619
	}
	square := image.NewPaletted(image.Rect(0, 0, pictureSize, pictureSize),
		color.Palette{color.RGBA{uint8(shade), uint8(shade >> 8), uint8(shade >> 16), 255}})
	var b bytes.Buffer
	_ = png.Encode(&b, square) // into memory, and the size is legal
	return b.Bytes()
}

// subscribedApps reads, sets or deletes the page layer of webhooks (subscribed_apps reference, Apr 2026).
func (g *Graph) subscribedApps(c *call, p *Page) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch c.method {
	case http.MethodGet:
		data := []object{}
		ids := keys(p.subscribed)
		slices.Sort(ids)
		for _, id := range ids {
			data = append(data, object{"category": "Business", "link": "https://www.facebook.com/games/?app_id=" + id,
				"name": g.apps[id].Name, "id": id, "subscribed_fields": p.subscribed[id]})
		}
		return answer{body: object{"data": data}}
	case http.MethodDelete:
		delete(p.subscribed, c.as.app.ID)
		g.touch()
		return succeeded
	}
	fields := c.list("subscribed_fields")
	if e := checkFields("subscribed_fields", fields); e != nil {
		return e.answer()
	}
	p.subscribed[c.as.app.ID] = fields
	g.touch()
	return succeeded
}

// pageFields are the webhook fields of a page that concern messaging (subscribed_apps reference, Apr 2026), and feed.
var pageFields = append(messenger.SubscribedFields(),
	"messaging_optouts", "message_context", "message_mention", "message_template_status_update",
	"messaging_appointments", "messaging_checkout_updates", "messaging_customer_information", "messaging_direct_sends",
	"messaging_fblogin_account_linking", "messaging_feedback", "messaging_game_plays",
	"messaging_in_thread_lead_form_submit", "messaging_integrity", "messaging_payments", "messaging_pre_checkouts",
	"response_feedback", "send_cart", "inbox_labels", "feed")

func checkFields(param string, fields []string) *graphError {
	if len(fields) == 0 {
		return invalid("The parameter " + param + " is required.")
	}
	for i, f := range fields {
		if !slices.Contains(pageFields, f) {
			return invalid(fmt.Sprintf("Param %s[%d] must be one of {%s} - got %q.", param, i, strings.Join(pageFields, ", "), f))
		}
	}
	return nil
}
