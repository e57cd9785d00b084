package messenger

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// ThreadOwner is who may write in a thread; the zero value is nobody, which an idle thread has.
type ThreadOwner struct {
	Held    bool
	AppID   string // "": Facebook does not show it, as neither we nor the page's default app hold the thread
	Expires time.Time
}

// ThreadOwner asks who holds the thread of a person with a page (conversation routing, Oct 2026). A thread is held for 24
// hours after the last message, unless its owner has extended that.
func (c *Client) ThreadOwner(ctx context.Context, token, pageID, psid string) (ThreadOwner, error) {
	var answer struct {
		Data []struct {
			Owner struct {
				AppID   text `json:"app_id"`
				Expires text `json:"expiration"`
			} `json:"thread_owner"`
		}
	}
	err := c.call(ctx, request{method: http.MethodGet, path: edge(pageID, "thread_owner"), token: token,
		query: url.Values{"recipient": {psid}}}, &answer)
	if err != nil || len(answer.Data) == 0 {
		return ThreadOwner{}, err
	}
	owner := answer.Data[0].Owner
	return ThreadOwner{Held: true, AppID: string(owner.AppID), Expires: moment(string(owner.Expires))}, nil
}
