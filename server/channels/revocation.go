package channels

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"parley/ent"
	"parley/ent/datadeletion"
	"parley/ent/facebooklogin"
	"parley/server/messenger"
	"parley/server/settings"
	"parley/server/store"
)

// Where Facebook posts that somebody removed the app, and that they want their
// data deleted, below the public URL. Both are set in the app's dashboard.
const (
	DeauthorizePath = "/facebook/deauthorize"
	DeletionPath    = "/facebook/data-deletion"
)

// maxSigned bounds a signed request; real ones are some hundred bytes.
const maxSigned = 16 << 10

// Deauthorize takes the news that somebody removed the app: pages that they
// connected must be connected again, and their logins are over.
func (c *Channels) Deauthorize(w http.ResponseWriter, r *http.Request) {
	who, ok := c.signed(w, r)
	if !ok {
		return
	}
	if err := c.forget(r.Context(), who, messenger.ProblemAppRemoved.Reason(), nil); err != nil {
		c.log.Error("a deauthorization cannot be recorded, Facebook is told to come again", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// DeleteData forgets somebody who had logged in: their name, their id and every
// token that they gave. It answers, as Facebook asks, with a code and with the
// address of a page that says how it went.
func (c *Channels) DeleteData(w http.ResponseWriter, r *http.Request) {
	who, ok := c.signed(w, r)
	if !ok {
		return
	}
	code := rand.Text()
	err := c.forget(r.Context(), who, "The person who connected the page had their data deleted; somebody must connect the page again.", func(tx *store.Tx) error {
		return tx.DataDeletion.Create().SetCodeHash(hashOf(code)).SetCreatedAt(c.now().UTC().Truncate(time.Microsecond)).Exec(r.Context())
	})
	if err != nil {
		c.log.Error("a deletion of data cannot be done, Facebook is told to come again", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"url": c.options.PublicURL + DeletionPath + "?id=" + code, "confirmation_code": code,
	})
}

// DeletionStatus is the page that says how a deletion went: it is done before
// its address is given out.
func (c *Channels) DeletionStatus(w http.ResponseWriter, r *http.Request) {
	done, err := c.store.Client().DataDeletion.Query().Where(datadeletion.CodeHash(hashOf(r.URL.Query().Get("id")))).Only(r.Context())
	switch {
	case ent.IsNotFound(err):
		c.show(w, http.StatusNotFound, outcome{"No such request", "There is no deletion with this confirmation code."})
	case err != nil:
		c.log.Error("the status of a deletion cannot be read", "error", err)
		c.show(w, http.StatusServiceUnavailable, outcome{"Try again later", "The server could not look it up."})
	default:
		c.show(w, http.StatusOK, outcome{"Your data was deleted", "On " + done.CreatedAt.UTC().Format("2 January 2006") +
			" this installation deleted your name, your Facebook id and every access token that you gave it."})
	}
}

// signed reads the signed request of a post, or refuses it.
func (c *Channels) signed(w http.ResponseWriter, r *http.Request) (who messenger.SignedRequest, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSigned)
	who, err := messenger.ParseSignedRequest(c.options.Settings.Current().Text(settings.FacebookAppSecret), r.PostFormValue("signed_request"))
	if err != nil || who.UserID == "" && who.ProfileID == "" {
		http.Error(w, "This is no signed request of Facebook's for this app.", http.StatusBadRequest)
		return who, false
	}
	return who, true
}

// forget ends logins and tokens of a person, or of a page that removed the app.
func (c *Channels) forget(ctx context.Context, who messenger.SignedRequest, reason string, with func(*store.Tx) error) error {
	hit, err := c.desk.GivenBy(ctx, who.UserID, who.ProfileID)
	if err != nil {
		return err
	}
	for _, ch := range hit { // each by itself, and again if Facebook comes again
		err = errors.Join(err, c.desk.TokenGone(ctx, ch, reason))
	}
	if err != nil {
		return err
	}
	return c.store.InTx(ctx, func(tx *store.Tx) error {
		if who.UserID != "" {
			if _, err := tx.FacebookLogin.Delete().Where(facebooklogin.UserID(who.UserID)).Exec(ctx); err != nil {
				return err
			}
		}
		if with == nil {
			return nil
		}
		return with(tx)
	})
}
