package messenger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxLoginPages bounds how many pages are read of a login; more are left out.
const maxLoginPages = 5000

// LoginPage is a page that somebody who logged in may do something with.
type LoginPage struct {
	ID, Name, Category, PictureURL string
	Token                          string   // "": the login has no right to it
	Tasks                          []string // what the person may do there, in Facebook's words; nil: Facebook did not say
}

// CanMessage tells whether the person's tasks are enough to read and write the page's messages. Where Facebook did not
// name them, they may be.
func (p LoginPage) CanMessage() bool { return p.may(messagingTasks) }

// CanSubscribe tells whether the person's tasks are enough to subscribe an app to the page.
func (p LoginPage) CanSubscribe() bool { return p.may(subscribingTasks) }

func (p LoginPage) may(enough []string) bool {
	return p.Tasks == nil || slices.ContainsFunc(p.Tasks, func(task string) bool {
		return slices.Contains(enough, strings.TrimPrefix(task, "PROFILE_PLUS_"))
	})
}

type wireLoginPage struct {
	ID       text    `json:"id"`
	Name     text    `json:"name"`
	Category text    `json:"category"`
	Token    text    `json:"access_token"`
	Tasks    *[]text `json:"tasks"`
	Picture  struct {
		Data struct {
			URL text `json:"url"`
		} `json:"data"`
	} `json:"picture"`
}

func (w wireLoginPage) page() LoginPage {
	p := LoginPage{ID: string(w.ID), Name: string(w.Name), Category: string(w.Category),
		PictureURL: string(w.Picture.Data.URL), Token: string(w.Token)}
	if w.Tasks != nil {
		p.Tasks = append([]string{}, plain(*w.Tasks)...)
	}
	return p
}

// LoginPages lists the pages that the user of a token chose when logging in, and those of their Business Portfolios,
// each once. A login without business_management has none of the latter.
func (c *Client) LoginPages(ctx context.Context, token string) ([]LoginPage, error) {
	var all []LoginPage
	own, err := list[wireLoginPage](ctx, c, token, "me/accounts", "id,name,access_token,category,tasks,picture")
	if err != nil {
		return nil, err
	}
	at := map[string]int{} // id → index in all
	for _, w := range own {
		if at, known := at[string(w.ID)]; known || w.ID == "" {
			all[at].Token = or(all[at].Token, string(w.Token))
			continue
		}
		at[string(w.ID)] = len(all)
		all = append(all, w.page())
	}
	business, err := c.businessPages(ctx, token)
	if err != nil {
		return nil, err
	}
	for _, w := range business {
		if _, known := at[string(w.ID)]; known || w.ID == "" || len(all) >= maxLoginPages {
			continue
		}
		p := w.page()
		if p.Token, err = c.pageToken(ctx, token, p.ID); err != nil {
			return nil, err
		}
		at[p.ID] = len(all)
		all = append(all, p)
	}
	return all, nil
}

// businessPages lists the pages that the user's portfolios own, or look after for others.
func (c *Client) businessPages(ctx context.Context, token string) ([]wireLoginPage, error) {
	businesses, err := list[struct{ ID text }](ctx, c, token, "me/businesses", "id")
	if err != nil {
		return nil, allowed(err)
	}
	var all []wireLoginPage
	for _, b := range businesses {
		for _, name := range []string{"owned_pages", "client_pages"} {
			if b.ID == "" || len(all) >= maxLoginPages {
				continue
			}
			pages, err := list[wireLoginPage](ctx, c, token, edge(string(b.ID), name), "id,name,category,picture")
			if err := allowed(err); err != nil {
				return nil, err
			}
			all = append(all, pages...)
		}
	}
	return all, nil
}

// pageToken reads the token of one page; "" if the user of the token has no right to it.
func (c *Client) pageToken(ctx context.Context, token, pageID string) (string, error) {
	var answer wireLoginPage
	err := c.call(ctx, request{method: http.MethodGet, path: node(pageID), token: token,
		query: url.Values{"fields": {"access_token"}}}, &answer)
	return string(answer.Token), allowed(err)
}

// allowed passes over the errors that say no more than that this login may not see something.
func allowed(err error) error {
	if class := ClassOf(err); class == ClassPermission || class == ClassInvalid {
		return nil
	}
	return err
}

// list reads an edge to its end, or to maxLoginPages. It goes by cursors: paging.next is a URL with the token in it, and
// where it leads is not ours to follow. An edge that comes back to a cursor ends there.
func list[T any](ctx context.Context, c *Client, token, path, fields string) ([]T, error) {
	const most = 100
	var all []T
	query, seen := url.Values{"fields": {fields}, "limit": {strconv.Itoa(most)}}, map[string]bool{}
	for len(all) < maxLoginPages {
		var answer struct {
			Data   []json.RawMessage
			Paging struct {
				Next    text
				Cursors struct{ After text }
			}
		}
		if err := c.call(ctx, request{method: http.MethodGet, path: path, token: token, query: query}, &answer); err != nil {
			return all, err
		}
		for _, raw := range answer.Data {
			var one T
			if tolerate(json.Unmarshal(raw, &one)) == nil {
				all = append(all, one)
			}
		}
		after := string(answer.Paging.Cursors.After)
		if answer.Paging.Next == "" || after == "" || seen[after] {
			break
		}
		seen[after] = true
		query.Set("after", after)
	}
	return all[:min(len(all), maxLoginPages)], nil
}
