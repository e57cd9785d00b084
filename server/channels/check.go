package channels

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/server/desk"
	"parley/server/work"
)

const (
	// A fifth more or less, so that channels do not come all at once. A check calls
	// for the page four times, and a page that nobody talks to has few calls: 200 a
	// day for each person who does (rate limits, Oct 2026).
	checkEvery = time.Hour
	checkTime  = time.Minute // for one look
	maxLooks   = 5           // of one check, while others change the channel
)

// RunCheck is the handler of desk.WorkCheck: it checks a channel, and puts its
// item off until the next time.
func (c *Channels) RunCheck(ctx context.Context, job work.Job) work.Decision {
	id, err := desk.CheckedChannel(job)
	if err != nil {
		return work.Dead("not a channel's lane")
	}
	switch _, err = c.Check(ctx, id); {
	case ent.IsNotFound(err): // deleted
		return work.Done()
	case err != nil:
		c.log.Error("a channel cannot be checked", "channel", id, "error", err)
		return work.Later(c.now().Add(work.Backoff(job.Attempts, rand.Float64)), err.Error())
	}
	return work.Wait(c.now().Add(time.Duration((0.8+0.4*rand.Float64())*float64(checkEvery))), "checked")
}

// CheckNow checks a channel for somebody who wants to know.
func (c *Channels) CheckNow(ctx context.Context, of desk.ChannelRef) (*ent.Channel, error) {
	ch, err := c.desk.Channel(ctx, of)
	if err != nil {
		return nil, err
	}
	return c.Check(ctx, ch.ID)
}

// Check asks Facebook how a channel is, puts right what may be put right without
// asking, and records what was found. If something happens to the channel
// meanwhile, it looks again.
func (c *Channels) Check(ctx context.Context, id uuid.UUID) (*ent.Channel, error) {
	for range maxLooks {
		ch, err := c.store.Client().Channel.Get(ctx, id)
		if err != nil || ch.State == channel.StateDisconnected || ch.ArchivedAt != nil {
			return ch, err
		}
		switch recorded, err := c.look(ctx, ch); {
		case err != nil:
			return nil, err
		case recorded:
			return c.store.Client().Channel.Get(ctx, id)
		}
	}
	return c.store.Client().Channel.Get(ctx, id)
}

func (c *Channels) look(ctx context.Context, ch *ent.Channel) (recorded bool, err error) {
	before, err := c.desk.Checks(ctx, []uuid.UUID{ch.ID})
	if err != nil {
		return false, err
	}
	asking, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	x := &checkUp{Channels: c, channel: ch, before: before[ch.ID]}
	found := x.run(asking)
	if ctx.Err() != nil { // what is missing was not asked for
		return false, ctx.Err()
	}
	return c.desk.Checked(ctx, found)
}
