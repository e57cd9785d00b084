package desk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"parley/ent"
	"parley/ent/schema"
	"parley/server/store"
)

// InboundKind is what a provider's event tells.
type InboundKind int

// The kinds.
const (
	Other     InboundKind = iota // nothing that this version acts on
	Wrote                        // the customer wrote
	Echoed                       // somebody wrote to the customer in the page's name
	Delivered                    // everything sent until Until reached the customer
	Read                         // everything sent until Until was read
	Granted                      // Grant changed
	Policed                      // the provider restricts the page, or does no longer
)

// Inbound is one event of a provider, in the desk's terms.
type Inbound struct {
	ID      int64 // of the stored event
	Err     error // it could not be understood: nothing else is set
	Kind    InboundKind
	Page    string // the provider's id of the channel
	Person  string // the provider's id of the customer
	At      time.Time
	Until   time.Time
	Message InboundMessage
	Grant   *Grant  // of Granted, as rare as the next: every event is copied
	Policy  *Policy // of Policed
}

// Grant is what a person allowed the installation at the provider: of some pages,
// or of all that they connected.
type Grant struct {
	User  string // as the provider's app knows them
	Pages []string
}

// Policy is what the provider does about a page that breaks its rules.
type Policy struct {
	Restricted bool
	Reason     string
}

// InboundMessage is a message, or the echo of one.
type InboundMessage struct {
	ExternalID  string
	Text        string
	Attachments []schema.Attachment
	Unsupported bool // the provider does not tell what it was
	ReplyTo     string
	AppID       string // of an echo: the app that sent it, if it said so
	Reference   string // of an echo: what we put beside it when it was ours
}

// Outcome is what became of an event.
type Outcome int

// The outcomes.
const (
	Applied Outcome = iota
	Ignored
	Unrouted // its channel is not connected
	Parked   // it cannot be applied; the error says why
)

// Settled is an event and what became of it.
type Settled struct {
	ID      int64
	Outcome Outcome
	Err     error
}

// Receive applies, in one transaction, the events that load gives there, and
// hands what became of each to settle, in the same transaction. Events of one
// person must be loaded in their order, and by one caller at a time. One that
// cannot be applied does not touch the others.
func (d *Desk) Receive(ctx context.Context,
	load func(context.Context, *store.Tx) ([]Inbound, error),
	settle func(context.Context, *store.Tx, []Settled) error,
) (n int, err error) {
	n, err = d.receive(ctx, load, settle, (*change).applyAll)
	if store.IsUnique(err) {
		d.recent.wonder(d.now())
	}
	if err != nil && ctx.Err() == nil && !store.IsTransient(err) {
		// One of them cannot be applied, or something changed since we looked. Locks
		// would have kept it from that, and savepoints would have said which it is, but
		// they cost more than all the rest when nothing is wrong.
		n, err = d.receive(ctx, load, settle, (*change).applyEach)
	}
	return n, err
}

func (d *Desk) receive(ctx context.Context,
	load func(context.Context, *store.Tx) ([]Inbound, error),
	settle func(context.Context, *store.Tx, []Settled) error,
	apply func(*change, context.Context, map[string]*ent.Channel, []Inbound) ([]Settled, error),
) (n int, err error) {
	var said []person
	var routed []Inbound
	var channels map[string]*ent.Channel
	err = d.write(ctx, func(c *change) error {
		batch, err := load(ctx, c.Tx)
		if n = len(batch); err != nil {
			return err
		}
		if channels, err = c.shareChannels(ctx, batch); err != nil {
			return err
		}
		settled := make([]Settled, 0, n)
		routed = make([]Inbound, 0, n)
		for _, in := range batch {
			switch {
			case in.Err != nil:
				settled = append(settled, Settled{in.ID, Parked, in.Err})
			case in.Kind == Other:
				settled = append(settled, Settled{in.ID, Ignored, nil})
			case in.Kind == Granted:
				if err := c.checkGivenBy(ctx, in.Grant.User, in.Grant.Pages); err != nil {
					return err
				}
				settled = append(settled, Settled{in.ID, Applied, nil})
			case channels[in.Page] == nil:
				settled = append(settled, Settled{in.ID, Unrouted, nil})
			case in.Kind == Policed:
				if err := c.police(ctx, channels[in.Page].ID, in.Policy); err != nil {
					return err
				}
				settled = append(settled, Settled{in.ID, Applied, nil})
			default:
				routed = append(routed, in)
			}
		}
		said = messagesOf(routed, channels)
		applied, err := apply(c, ctx, channels, routed)
		if err != nil {
			return err
		}
		return settle(ctx, c.Tx, append(settled, applied...))
	})
	if err == nil {
		d.recent.add(said)
		d.heard.add(routed, channels, d.now())
	}
	return n, err
}

// messagesOf are the channels and provider's ids of what events say.
func messagesOf(batch []Inbound, channels map[string]*ent.Channel) []person {
	said := make([]person, 0, len(batch))
	for _, in := range batch {
		if in.Message.ExternalID != "" {
			said = append(said, person{channels[in.Page].ID, in.Message.ExternalID})
		}
	}
	return said
}

// shareChannels loads the channels of a batch and keeps them from being changed
// meanwhile: a chat must not open without a queue just as its channel gets one.
func (c *change) shareChannels(ctx context.Context, batch []Inbound) (map[string]*ent.Channel, error) {
	byPage := map[string]*ent.Channel{}
	for _, in := range batch {
		byPage[in.Page] = nil
	}
	if len(byPage) == 0 {
		return nil, nil
	}
	if c.Postgres() {
		// Locking the rows would do, but who shares a row goes before who waits to
		// change it: while messages came without pause, no channel could be changed.
		_, err := c.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1, page)
			FROM (SELECT DISTINCT hashtext(p) AS page FROM unnest($2::text[]) p ORDER BY 1) pages`,
			channelLock, pq.StringArray(keys(byPage)))
		if err != nil {
			return nil, err
		}
	}
	st := &statement{store: c.Tx}
	text := "SELECT id, external_id, active AND archived_at IS NULL, queue_id, greeting FROM channels WHERE external_id" + st.in(st.words(keys(byPage)), "text")
	return byPage, st.rows(ctx, text, func(rows *sql.Rows) error {
		ch := &ent.Channel{}
		err := rows.Scan(&ch.ID, &ch.ExternalID, &ch.Active, &ch.QueueID, &ch.Greeting)
		byPage[ch.ExternalID] = ch
		return err
	})
}

// channelLock is the first half of the channels' advisory locks.
const channelLock = 7_105_313

// applyAll applies a batch at once, without locks, and looks only for likely repeats.
func (c *change) applyAll(ctx context.Context, channels map[string]*ent.Channel, batch []Inbound) ([]Settled, error) {
	return c.apply(ctx, &intake{change: c, channels: channels}, batch)
}

func (c *change) apply(ctx context.Context, in *intake, batch []Inbound) (settled []Settled, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	defer func() {
		if broke := recover(); broke != nil { // a stored event must not end the process at each start
			c.d.log.Error("applying an event panicked", "panic", broke, "stack", string(debug.Stack()))
			err = errors.New("applying it panicked, see the server's log")
		}
	}()
	return in.apply(ctx, batch)
}

// applyEach applies a batch at once if it can, with locks, else halves it until
// what cannot be applied stands alone.
func (c *change) applyEach(ctx context.Context, channels map[string]*ent.Channel, batch []Inbound) ([]Settled, error) {
	var settled []Settled
	apply := func() (err error) {
		settled, err = c.apply(ctx, &intake{change: c, channels: channels, careful: true}, batch)
		return err
	}
	err := c.part(ctx, apply)
	if store.IsUnique(err) { // another transaction made one of the rows since we looked: look again
		err = c.part(ctx, apply)
	}
	switch {
	case err == nil:
		return settled, nil
	case ctx.Err() != nil || store.IsTransient(err):
		return nil, err
	case len(batch) == 1:
		return []Settled{{batch[0].ID, Parked, publicReason(err)}}, nil
	}
	half := len(batch) / 2
	first, err := c.applyEach(ctx, channels, batch[:half])
	if err != nil {
		return nil, err
	}
	second, err := c.applyEach(ctx, channels, batch[half:])
	return append(first, second...), err
}

// publicReason keeps the words of the database for the log of the parked event.
func publicReason(err error) error {
	if store.IsUnique(err) {
		return errors.New("a row with the same key is there already")
	}
	return fmt.Errorf("cannot be stored: %w", err)
}

func keys[K comparable, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return list
}

func pointer[T any](v T) *T { return &v }

// person names a customer on a channel.
type person struct {
	channel uuid.UUID
	id      string
}
