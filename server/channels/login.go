package channels

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/ent/facebooklogin"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/messenger"
	"parley/server/settings"
	"parley/server/store"
)

// CallbackPath is where Facebook sends the browser after a login, below the
// public URL. The Facebook app must allow the whole address.
const CallbackPath = "/facebook/callback"

const (
	loginTime  = 10 * time.Minute // to come back from Facebook
	chooseTime = time.Hour        // to choose pages after that
	maxChosen  = 100              // pages at once
)

// neededScopes are what a login must grant; business_management only adds pages.
var neededScopes = []string{"pages_show_list", "pages_messaging", "pages_manage_metadata"}

// Start is a login that begins.
type Start struct {
	Login *ent.FacebookLogin
	URL   string // where to send the browser
}

// StartLogin begins a login. Its state comes back once, within ten minutes, and
// what comes of it is for who began it alone. returnTo, if not empty, is where
// the browser goes in the end, with the login's id and status.
func (c *Channels) StartLogin(ctx context.Context, by audit.Actor, returnTo string, again bool) (Start, error) {
	if err := c.checkSetup(ctx); err != nil {
		return Start{}, err
	}
	if err := c.mayReturnTo(returnTo); err != nil {
		return Start{}, err
	}
	now, state, verifier := c.now().UTC().Truncate(time.Microsecond), rand.Text()+rand.Text(), rand.Text()+rand.Text()
	id := uuid.Must(uuid.NewV7())
	var login *ent.FacebookLogin
	err := c.store.InTx(ctx, func(tx *store.Tx) (err error) {
		login, err = tx.FacebookLogin.Create().SetID(id).SetStartedBy(by.ID()).SetStateHash(hashOf(state)).SetStatus(facebooklogin.StatusStarted).
			SetReturnTo(returnTo).SetSealed(c.box.Seal([]byte(verifier), loginPlace(id))).
			SetExpiresAt(now.Add(loginTime)).SetCreatedAt(now).Save(ctx)
		return err
	})
	return Start{login, c.client.LoginURL(messenger.Login{
		RedirectURI: c.options.PublicURL + CallbackPath, State: state, ConfigID: c.options.Settings.Current().Text(settings.FacebookLoginConfiguration), Verifier: verifier, Again: again,
	})}, err
}

// mayReturnTo keeps a login from sending the browser where the installation's
// front ends are not.
func (c *Channels) mayReturnTo(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err == nil && u.User == nil {
		own, _ := url.Parse(c.options.PublicURL)
		origin := strings.ToLower(u.Scheme + "://" + u.Host)
		if origin == own.Scheme+"://"+own.Host || slices.Contains(c.options.AllowedOrigins, origin) {
			return nil
		}
	}
	return fault.New(fault.Invalid, "returnTo", "must be an address at the public URL or at one of the allowed origins")
}

func loginPlace(id uuid.UUID) string { return "facebook-login:" + id.String() }

func hashOf(state string) []byte {
	sum := sha256.Sum256([]byte(state))
	return sum[:]
}

// errState is of a state that is not known: used, too old, or somebody else's.
var errState = errors.New("the state of a login is not known")

// returned is what Facebook's redirect says.
type returned struct{ state, code, problem string }

// finishLogin ends the login that a state belongs to, and gives it as it is then.
// The state is worth nothing afterwards, whatever comes of it.
func (c *Channels) finishLogin(ctx context.Context, r returned) (*ent.FacebookLogin, error) {
	login, err := c.takeState(ctx, r.state)
	if err != nil {
		return nil, err
	}
	user, reason := c.userOf(ctx, login, r)
	err = c.store.InTx(ctx, func(tx *store.Tx) (err error) {
		update := tx.FacebookLogin.UpdateOne(login)
		if reason != "" {
			update.SetStatus(facebooklogin.StatusFailed).SetReason(reason).SetSealed([]byte{})
		} else {
			update.SetStatus(facebooklogin.StatusCompleted).SetUserID(user.id).SetUserName(user.name).
				SetSealed(c.box.Seal([]byte(user.token), loginPlace(login.ID))).SetExpiresAt(c.now().UTC().Add(chooseTime).Truncate(time.Microsecond))
		}
		login, err = update.Save(ctx)
		return err
	})
	if err != nil || reason != "" {
		return login, err
	}
	// The login may have left out pages that are connected by one before.
	if err := c.desk.CheckSoon(ctx, user.id); err != nil {
		c.log.Error("the pages of an earlier login are checked later", "error", err)
	}
	return c.store.Client().FacebookLogin.Get(ctx, login.ID)
}

// takeState finds the login that a state was made for, once.
func (c *Channels) takeState(ctx context.Context, state string) (login *ent.FacebookLogin, err error) {
	err = c.store.InTx(ctx, func(tx *store.Tx) error {
		login, err = tx.FacebookLogin.Query().Where(facebooklogin.StateHash(hashOf(state)), facebooklogin.ExpiresAtGT(c.now().UTC())).Only(ctx)
		if ent.IsNotFound(err) {
			return errState
		}
		if err != nil {
			return err
		}
		n, err := tx.FacebookLogin.Update().Where(facebooklogin.ID(login.ID), facebooklogin.StateHashNotNil()).ClearStateHash().Save(ctx)
		if err == nil && n == 0 { // of two at once, the later one
			err = errState
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.store.Client().FacebookLogin.Get(ctx, login.ID)
}

type user struct{ id, name, token string }

// userOf makes a long-lived token of what Facebook sent, and checks that it is
// ours and enough. A reason says why not, in plain words.
func (c *Channels) userOf(ctx context.Context, login *ent.FacebookLogin, r returned) (_ user, reason string) {
	if r.code == "" {
		return user{}, r.problem
	}
	verifier, err := c.box.Open(login.Sealed, loginPlace(login.ID))
	if err != nil {
		return user{}, c.say(login, err)
	}
	grant, err := c.client.ExchangeCode(ctx, r.code, c.options.PublicURL+CallbackPath, string(verifier))
	if err == nil && !grant.Expires.IsZero() { // a system user's does not end, and cannot be made to last longer
		grant, err = c.client.ExtendToken(ctx, grant.Token)
	}
	if err != nil {
		return user{}, c.say(login, err)
	}
	info, err := c.client.DebugToken(ctx, grant.Token)
	if err != nil {
		return user{}, c.say(login, err)
	}
	if !info.Valid || info.AppID != c.client.AppID() {
		return user{}, "Facebook gave a token that is not of this installation's Facebook app."
	}
	if lacks := missing(neededScopes, info.Scopes); len(lacks) > 0 {
		return user{}, "The login did not grant " + strings.Join(lacks, ", ") + ": start it again and allow everything it asks for."
	}
	me, err := c.client.Me(ctx, grant.Token)
	if err != nil {
		return user{}, c.say(login, err)
	}
	return user{info.UserID, me.Name, grant.Token}, ""
}

// say is an error in words for the administrator; the rest is logged.
func (c *Channels) say(login *ent.FacebookLogin, err error) string {
	c.log.Warn("a login to Facebook failed", "login", login.ID, "error", err)
	return reasonOf(err)
}

func reasonOf(err error) string {
	var e *messenger.Error
	if errors.As(err, &e) {
		return e.Reason()
	}
	return "Something went wrong here; the server's log says what."
}

var errNoLogin = fault.New(fault.NotFound, "id", "there is no such login, or it is over: start a new one")

// Login is a login of who asks, while it may be used.
func (c *Channels) Login(ctx context.Context, by audit.Actor, id globalid.ID) (*ent.FacebookLogin, error) {
	login, err := c.store.Client().FacebookLogin.Query().
		Where(facebooklogin.ID(id.UUID), facebooklogin.StartedBy(by.ID()), facebooklogin.ExpiresAtGT(c.now().UTC())).Only(ctx)
	if ent.IsNotFound(err) || id.Kind != "facebooklogin" {
		return nil, errNoLogin
	}
	return login, err
}

// Obstacle is why a page cannot be chosen.
type Obstacle string

// The obstacles.
const (
	NoMessagingTask   Obstacle = "NO_MESSAGING_TASK"
	NoSubscribingTask Obstacle = "NO_SUBSCRIBING_TASK"
	NoPageToken       Obstacle = "NO_TOKEN"
	AlreadyConnected  Obstacle = "ALREADY_CONNECTED"
)

// Reason is the obstacle in words for administrators.
func (o Obstacle) Reason() string {
	switch o {
	case NoMessagingTask:
		return "The person who logged in may not answer messages of this page; somebody with full control of it must give them the task."
	case NoSubscribingTask:
		return "The person who logged in may not moderate this page, which connecting it takes; somebody with full control of it must give them the task."
	case NoPageToken:
		return "Facebook gave this login no access to the page; start it again and choose the page there."
	case AlreadyConnected:
		return "The page is connected already."
	}
	return ""
}

// LoginPage is a page that a login offers. Channel is what it is here already.
type LoginPage struct {
	messenger.LoginPage
	Obstacle Obstacle
	Channel  *ent.Channel
}

// Pages are those that a login may manage, as Facebook lists them now; none
// before it is completed.
func (c *Channels) Pages(ctx context.Context, login *ent.FacebookLogin) ([]*LoginPage, error) {
	if login.Status != facebooklogin.StatusCompleted {
		return nil, nil
	}
	token, err := c.box.Open(login.Sealed, loginPlace(login.ID))
	if err != nil {
		return nil, fmt.Errorf("open the token of login %s: %w", login.ID, err)
	}
	found, err := c.client.LoginPages(ctx, string(token))
	if err != nil {
		return nil, refused(err)
	}
	ids := make([]string, len(found))
	for i, p := range found {
		ids[i] = p.ID
	}
	known, err := c.desk.ChannelsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	pages := make([]*LoginPage, len(found))
	for i, p := range found {
		pages[i] = &LoginPage{p, obstacle(p, known[p.ID]), known[p.ID]}
	}
	return pages, nil
}

func obstacle(p messenger.LoginPage, ch *ent.Channel) Obstacle {
	switch {
	case !p.CanMessage():
		return NoMessagingTask
	case !p.CanSubscribe():
		return NoSubscribingTask
	case p.Token == "":
		return NoPageToken
	case ch != nil && ch.State == channel.StateConnected && ch.ArchivedAt == nil:
		return AlreadyConnected
	}
	return ""
}

// Connected is what became of a page that was chosen.
type Connected struct {
	PageID  string
	Channel *ent.Channel
	Err     error // of this page alone
}

// ConnectPages connects pages of a login, each by itself: what works stays. A
// page that is connected already is repaired.
func (c *Channels) ConnectPages(ctx context.Context, by audit.Actor, id globalid.ID, chosen []string, takeOver bool) ([]Connected, error) {
	if len(chosen) > maxChosen {
		return nil, fault.New(fault.Invalid, "pageIds", "at most %d pages at once", maxChosen)
	}
	login, err := c.Login(ctx, by, id)
	if err != nil {
		return nil, inField(err, "loginId")
	}
	if login.Status != facebooklogin.StatusCompleted {
		return nil, fault.New(fault.Refused, "loginId", "the login is not completed")
	}
	pages, err := c.Pages(ctx, login)
	if err != nil {
		return nil, inField(err, "loginId")
	}
	results := make([]Connected, len(chosen))
	for i, wanted := range chosen {
		results[i].PageID = wanted
		at := slices.IndexFunc(pages, func(p *LoginPage) bool { return p.ID == wanted })
		switch {
		case at < 0:
			results[i].Err = fault.New(fault.NotFound, "pageIds", "the login does not offer this page")
		case pages[at].Obstacle != "" && pages[at].Obstacle != AlreadyConnected:
			results[i].Err = fault.New(fault.Refused, "pageIds", "%s", pages[at].Obstacle.Reason())
		default:
			ch, err := c.ConnectPage(ctx, by, pages[at].Token, takeOver)
			if err != nil && fault.CodeOf(err) == "" { // doing all of it again does no harm
				return nil, err
			}
			results[i].Channel, results[i].Err = ch, ofPage(err)
		}
	}
	return results, nil
}

// ofPage says of an error that it is about a page, unless it is about the app.
func ofPage(err error) error {
	if fault.CodeOf(err) == fault.TakeOverNeeded {
		return err
	}
	return inField(err, "pageIds")
}

// inField says which field of another input an error speaks of.
func inField(err error, field string) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return &fault.Error{Code: known.Code, Field: field, Message: known.Message}
	}
	return err
}

// PurgeLogins removes logins that are over, and their tokens with them.
func (c *Channels) PurgeLogins(ctx context.Context) error {
	return c.store.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.FacebookLogin.Delete().Where(facebooklogin.ExpiresAtLTE(c.now().UTC())).Exec(ctx)
		return err
	})
}
