package ingest

import (
	"context"

	"parley/ent"
	"parley/ent/webhookevent"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
	"parley/server/store"
)

// Kind is the kind of a stored event's id in the API.
const Kind = "webhookevent"

// Events lists stored events, newest first.
func (in *Inbox) Events(ctx context.Context, p paging.Args, state *webhookevent.State) (paging.List[*ent.WebhookEvent], error) {
	s, err := p.Check(paging.ByNumber)
	if err != nil {
		return paging.List[*ent.WebhookEvent]{}, err
	}
	query := in.store.Client().WebhookEvent.Query().Where(s.Where(webhookevent.FieldID, true))
	if state != nil {
		query.Where(webhookevent.StateEQ(*state))
	}
	rows, err := query.All(ctx)
	return paging.Of(s, rows, func(e *ent.WebhookEvent) paging.Place { return paging.Place{By: e.ID, ID: e.ID} }), err
}

// Replay applies an event again that had no effect so far. One that is about to
// be applied, or was, stays as it is.
func (in *Inbox) Replay(ctx context.Context, id globalid.ID) (result *ent.WebhookEvent, err error) {
	err = in.store.InTx(ctx, func(tx *store.Tx) error {
		result, err = tx.WebhookEvent.Get(ctx, id.Number())
		if ent.IsNotFound(err) || id.Kind != Kind {
			return fault.New(fault.NotFound, "id", "there is no such event")
		}
		if err != nil {
			return err
		}
		if result.State == webhookevent.StatePending || result.State == webhookevent.StateApplied {
			return fault.New(fault.Conflict, "id", "the event is %s", result.State)
		}
		result, err = result.Update().Where(webhookevent.StateEQ(result.State)).SetState(webhookevent.StatePending).Save(ctx)
		if ent.IsNotFound(err) { // somebody else was first
			return fault.New(fault.Conflict, "id", "the event was replayed just now")
		}
		return err
	})
	if err == nil {
		in.wake()
	}
	return result, err
}

// ReplayPage sends the events of a page that was just connected on their way.
func (in *Inbox) ReplayPage(ctx context.Context, page string) error {
	err := in.store.InTx(ctx, func(tx *store.Tx) error {
		return tx.WebhookEvent.Update().SetState(webhookevent.StatePending).
			Where(webhookevent.Page(page), webhookevent.StateEQ(webhookevent.StateUnrouted)).Exec(ctx)
	})
	in.wake()
	return err
}
