package channels

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"parley/ent/channel"
	"parley/server/desk"
	"parley/server/messenger"
	"parley/server/work"
)

const (
	maxProfileTries = 6         // a profile is a nicety, a placeholder does
	holdFor         = time.Hour // how long a profile waits for its channel; connecting the page releases it
)

// ReadProfile is the handler of desk.WorkProfile.
func (c *Channels) ReadProfile(ctx context.Context, job work.Job) work.Decision {
	id, err := uuid.FromBytes(job.Payload)
	if err != nil {
		return work.Dead("not an id")
	}
	identity, err := c.desk.Unprofiled(ctx, id)
	if err != nil {
		return c.again(job, err)
	}
	ch := identity.Edges.Channel
	if ch.State != channel.StateConnected {
		return work.Wait(c.now().Add(holdFor), "the channel is "+string(ch.State))
	}
	token, err := c.Token(ch)
	if err != nil {
		return work.Dead(err.Error())
	}
	profile, err := c.client.Profile(ctx, token, identity.ExternalID)
	switch class := messenger.ClassOf(err); class {
	case "":
	case messenger.ClassTransient, messenger.ClassRateLimited, messenger.ClassUnconfirmed:
		return c.again(job, err)
	case messenger.ClassToken, messenger.ClassRestricted:
		if err := c.Noticed(ctx, ch, err); err != nil {
			return c.again(job, err)
		}
		return work.Wait(c.now().Add(holdFor), class.Reason())
	default: // they do not let us know
		return work.Done()
	}
	told := desk.Profile{Name: profile.Name, PictureURL: profile.PictureURL, Locale: profile.Locale}
	if told == (desk.Profile{}) {
		return work.Done()
	}
	if err := c.desk.SetProfile(ctx, identity, told); err != nil {
		return c.again(job, err)
	}
	return work.Done()
}

// again tries a profile a few times more, not before the provider wants it.
func (c *Channels) again(job work.Job, why error) work.Decision {
	if job.Attempts >= maxProfileTries {
		return work.Done()
	}
	pause := work.Backoff(job.Attempts, rand.Float64)
	var e *messenger.Error
	if errors.As(why, &e) {
		pause = max(pause, e.RetryAfter)
	}
	return work.Later(c.now().Add(pause), why.Error())
}
