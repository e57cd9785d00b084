// Package desk is the domain: contacts, chats, messages, queues, operators,
// channels and quick replies, the life of a chat, and who may see what. It is the
// only writer of those rows.
//
// A Desk is safe for concurrent use. Each method that changes something is one
// transaction, in which the change, its events and its outgoing work commit
// together. Transactions take their locks in one order: channel, chats by id,
// operators by id, event log.
//
// Invariant: what a method returned without an error is stored and will be
// seen, once, by everybody who may see it; and nobody else.
package desk

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"parley/ent"
	"parley/ent/event"
	"parley/ent/schema"
	"parley/server/eventlog"
	"parley/server/store"
	"parley/server/work"
)

// Kinds of outgoing work. The payload of each is the id of what it is about, as
// 16 bytes.
const (
	WorkSend    = "send"    // a delivery; its lane is the identity
	WorkProfile = "profile" // an identity whose profile is to be read; it has no lane
)

// Limits are the provider's and the installation's rules, as data.
type Limits struct {
	SplitText         func(string) []string // into parts that one provider message can hold
	ReplyWindow       time.Duration         // how long after the customer's last message one may answer
	SimultaneousChats func() int            // chats in progress per operator, as it is now
	DefaultLanguage   func() string         // of what is prepared, where nobody's language is known
}

// Desk is the domain over one database.
type Desk struct {
	store     *store.Store
	events    *eventlog.Log
	workAdded func()
	limits    Limits
	now       func() time.Time
	log       *slog.Logger
	recent    *recent
	heard     *heard
	reads     *semaphore.Weighted
}

// Options are what a Desk needs beside its database.
type Options struct {
	Limits    Limits
	WorkAdded func() // called after a commit that added work
	Now       func() time.Time
	Log       *slog.Logger
}

// Open starts the domain over a migrated database. Run must follow.
func Open(ctx context.Context, s *store.Store, o Options) (*Desk, error) {
	d := &Desk{store: s, workAdded: o.WorkAdded, limits: o.Limits, log: o.Log, recent: newRecent(), heard: &heard{at: map[uuid.UUID]time.Time{}},
		reads: semaphore.NewWeighted(int64(readsAtOnce()))}
	d.now = func() time.Time { return o.Now().UTC().Truncate(time.Microsecond) }
	events, err := eventlog.Open(ctx, s, d.hydrate, o.Log)
	d.events = events
	return d, err
}

// Run follows the event log until the context ends.
func (d *Desk) Run(ctx context.Context) { d.events.Run(ctx) }

// change is one transaction of the domain and what is to commit with it.
type change struct {
	*store.Tx
	d      *Desk
	now    time.Time
	events []*ent.Event
	work   []work.Item
	woke   bool // work that was there already may be due
}

// write runs f in a transaction, then puts its work, then, last of all, its
// events, and wakes whoever waits for them.
func (d *Desk) write(ctx context.Context, f func(*change) error) error {
	var c *change
	err := d.store.InTx(ctx, func(tx *store.Tx) error {
		c = &change{Tx: tx, d: d, now: d.now()}
		if err := f(c); err != nil {
			return err
		}
		if err := work.Put(ctx, tx, c.now, c.work...); err != nil {
			return err
		}
		return eventlog.Append(ctx, tx, c.events)
	})
	if err != nil {
		return err
	}
	if len(c.events) > 0 {
		d.events.Committed()
	}
	if len(c.work) > 0 || c.woke {
		d.workAdded()
	}
	return nil
}

// part runs f so that, if it fails, nothing of it stays and the rest goes on.
func (c *change) part(ctx context.Context, f func() error) error {
	events, items := len(c.events), len(c.work)
	err := c.Savepoint(ctx, f)
	if err != nil {
		c.events, c.work = c.events[:events], c.work[:items]
	}
	return err
}

// chatEvent records what happened to a chat. before is the audience it had, if
// the change may have moved it.
func (c *change) chatEvent(kind event.Kind, chat *ent.Chat, message *ent.Message, before *schema.Audience, facts map[string]string) {
	e := &ent.Event{
		At: c.now, Kind: kind, ChatID: &chat.ID, ChannelID: &chat.ChannelID,
		Audience: audienceOf(chat), AudienceBefore: before, Facts: facts,
	}
	if message != nil {
		e.MessageID = &message.ID
	}
	c.events = append(c.events, e)
}

func (c *change) addWork(kind, lane string, scope uuid.UUID, about uuid.UUID) {
	c.work = append(c.work, work.Item{Kind: kind, Lane: lane, Scope: scope.String(), Payload: about[:], RunAt: c.now})
}
