package messenger

import (
	"encoding/json"
	"errors"
	"time"
)

// ObjectPermissions is the webhook object that tells what users grant and revoke.
const ObjectPermissions = "permissions"

// PermissionChange is a permission that a user granted or revoked.
type PermissionChange struct {
	UserID     string // of the person who had logged in, as this app knows them
	At         time.Time
	Permission string   // or "connected", in the console's test
	Verb       string   // granted, revoked
	Targets    []string // the pages it is limited to; empty: all of the user's
}

// Revoked tells whether the permission was taken away.
func (p PermissionChange) Revoked() bool { return p.Verb == "revoked" }

// DecodePermissions reads the body of an item whose object is ObjectPermissions (webhooks reference, Oct 2026, and
// fixtures of RestFB). An error means that it is none; its text holds nothing of the input.
func DecodePermissions(body []byte) ([]PermissionChange, error) {
	var w struct {
		Entry []struct {
			ID      text `json:"id"`
			UID     text `json:"uid"`
			Time    text `json:"time"` // seconds
			Changes []struct {
				Field text          `json:"field"`
				Verb  text          `json:"verb"` // in the console's test, which has no value
				Value wirePermitted `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
	if !json.Valid(body) || readPost(body).object != ObjectPermissions || tolerate(json.Unmarshal(body, &w)) != nil {
		return nil, errors.New("messenger: not a change of permissions")
	}
	var all []PermissionChange
	for _, e := range w.Entry {
		for _, c := range e.Changes {
			all = append(all, PermissionChange{UserID: string(first(e.UID, e.ID)), At: moment(string(e.Time)),
				Permission: string(c.Field), Verb: string(first(c.Value.Verb, c.Verb)), Targets: plain(c.Value.Targets)})
		}
	}
	return all, nil
}

type wirePermitted struct {
	Verb    text   `json:"verb"`
	Targets []text `json:"target_ids"`
}
