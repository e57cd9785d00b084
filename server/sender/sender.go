// Package sender is the worker of the outgoing lanes: it sends deliveries and
// records how that went. Safe for concurrent use; the work table keeps the
// items of a conversation in order and one at a time.
//
// Invariant: a delivery is handed to the provider at most once unless the
// provider said that it did not take it. Whenever the answer is lost, be it by
// a time-out or by a crash of this process, the delivery is UNCONFIRMED: its
// lane waits a while for the provider's echo, and nothing is sent again.
package sender

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/delivery"
	"parley/server/channels"
	"parley/server/desk"
	"parley/server/messenger"
	"parley/server/store"
	"parley/server/work"
)

const (
	echoWait  = 30 * time.Second // how long a lane waits for the echo of an unconfirmed send
	holdFor   = 5 * time.Minute  // how long a lane rests while its channel may not send
	maxTries  = 12               // of a send that fails for passing reasons: about an hour; waiting is no try
	retryTick = 200 * time.Millisecond
)

// Sender sends deliveries.
type Sender struct {
	desk     *desk.Desk
	channels *channels.Channels
	client   *messenger.Client
	now      func() time.Time
	log      *slog.Logger
}

// New makes a Sender.
func New(d *desk.Desk, c *channels.Channels, client *messenger.Client, now func() time.Time, log *slog.Logger) *Sender {
	return &Sender{desk: d, channels: c, client: client, now: now, log: log}
}

// windowClosed is what Facebook would answer.
const windowClosed = "10/2018278"

// Send is the handler of desk.WorkSend.
func (s *Sender) Send(ctx context.Context, job work.Job) work.Decision {
	id, err := uuid.FromBytes(job.Payload)
	if err != nil {
		return work.Dead("not an id")
	}
	out, err := s.desk.Outgoing(ctx, id)
	switch {
	case ent.IsNotFound(err):
		return work.Done()
	case err != nil:
		return s.later(job, err)
	case out.Delivery.State != delivery.StatePending: // settled by its echo, or the wait for the echo is over
		return work.Done()
	case job.Lapsed:
		return s.unconfirmed(ctx, job, out, "interrupted")
	case out.Holding:
		return work.Wait(s.now().Add(holdFor), "the channel is "+string(out.Channel.State))
	case out.Closed: // while the lane was held: known here, so Facebook is not asked
		return s.record(ctx, job, out, desk.Result{
			State: delivery.StateFailed, ErrorCode: windowClosed, Reason: messenger.ClassWindowClosed.Reason(),
		})
	}
	token, err := s.channels.Token(out.Channel)
	if err != nil { // as good as dead: the page has to be connected again
		s.log.Error("cannot send", "delivery", out.Delivery.ID, "error", err)
		return s.hold(ctx, job, out, &messenger.Error{Class: messenger.ClassToken})
	}
	answer, err := s.client.SendText(ctx, token, messenger.SendText{
		PageID: out.Channel.ExternalID, PSID: out.Person, Text: out.Delivery.Text,
		Metadata: out.Delivery.ID.String(), MessagingType: messenger.TypeResponse,
	})
	if err == nil {
		return s.record(ctx, job, out, desk.Result{State: delivery.StateSent, ExternalID: answer.MessageID})
	}
	return s.failed(ctx, job, out, err)
}

// failed decides by the class of the provider's error.
func (s *Sender) failed(ctx context.Context, job work.Job, out desk.Outgoing, err error) work.Decision {
	class := messenger.ClassOf(err)
	s.log.Warn("a send failed", "delivery", out.Delivery.ID, "channel", out.Channel.ID, "class", class, "attempt", job.Attempts, "error", err)
	switch class {
	case messenger.ClassUnconfirmed:
		return s.unconfirmed(ctx, job, out, "the answer was lost")
	case messenger.ClassTransient, messenger.ClassRateLimited:
		if job.Attempts < maxTries {
			return s.later(job, err)
		}
	case messenger.ClassToken, messenger.ClassRestricted, messenger.ClassNotOwner:
		return s.hold(ctx, job, out, err)
	}
	if err := s.channels.Noticed(ctx, out.Channel, err); err != nil {
		s.log.Error("cannot note what a send told of its channel", "channel", out.Channel.ID, "error", err)
	}
	return s.record(ctx, job, out, desk.Result{
		State: delivery.StateFailed, ErrorCode: codeOf(err), Reason: class.Reason(),
		Retryable: class == messenger.ClassTransient || class == messenger.ClassRateLimited,
	})
}

// hold keeps the lane until the channel may send again, and looks now and then
// whether it may.
func (s *Sender) hold(ctx context.Context, job work.Job, out desk.Outgoing, why error) work.Decision {
	if err := s.channels.Noticed(ctx, out.Channel, why); err != nil {
		return s.later(job, err)
	}
	return work.Wait(s.now().Add(holdFor), messenger.ClassOf(why).Reason())
}

// unconfirmed marks the delivery and keeps the lane until its echo settles it,
// or nobody can say any more.
func (s *Sender) unconfirmed(ctx context.Context, job work.Job, out desk.Outgoing, why string) work.Decision {
	result := desk.Result{State: delivery.StateUnconfirmed, Reason: messenger.ClassUnconfirmed.Reason()}
	if s.insist(ctx, out, func() error { return s.desk.Settle(ctx, out.Delivery.ID, result, nothingElse) }) != nil {
		return work.Decision{} // whatever happened may have happened: the next claim is told that this one lapsed
	}
	return work.Later(s.now().Add(echoWait), why)
}

// record settles the delivery and ends the job in one transaction.
func (s *Sender) record(ctx context.Context, job work.Job, out desk.Outgoing, r desk.Result) work.Decision {
	err := s.insist(ctx, out, func() error { return s.desk.Settle(ctx, out.Delivery.ID, r, job.Finish) })
	switch {
	case err == nil:
		return work.Done()
	case ctx.Err() != nil || errors.Is(err, work.ErrLeaseLost):
		return work.Decision{} // as above
	}
	return s.unconfirmed(ctx, job, out, "it cannot be recorded what became of it")
}

// insist runs f until it succeeds, cannot, or the lease is over: what went out
// must be written down.
func (s *Sender) insist(ctx context.Context, out desk.Outgoing, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		s.log.Error("cannot record a send", "delivery", out.Delivery.ID, "error", err)
		if !store.IsTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryTick):
		}
	}
}

func nothingElse(context.Context, *store.Tx) error { return nil }

// later tries again after a while that grows, or when the provider said.
func (s *Sender) later(job work.Job, err error) work.Decision {
	pause := work.Backoff(job.Attempts, rand.Float64)
	var e *messenger.Error
	if errors.As(err, &e) && e.RetryAfter > pause {
		pause = e.RetryAfter
	}
	return work.Later(s.now().Add(pause), err.Error())
}

// codeOf is the provider's code, with its subcode if it has one.
func codeOf(err error) string {
	var e *messenger.Error
	if !errors.As(err, &e) || e.Code == 0 {
		return "0"
	}
	if e.Subcode == 0 {
		return strconv.Itoa(e.Code)
	}
	return strconv.Itoa(e.Code) + "/" + strconv.Itoa(e.Subcode)
}
