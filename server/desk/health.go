package desk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/auditentry"
	"parley/ent/channel"
	"parley/ent/channelcheck"
	"parley/ent/predicate"
	"parley/ent/schema"
	"parley/server/audit"
	"parley/server/work"
)

// WorkCheck is the kind of the one work item that each channel has for as long as
// it exists: whoever does it puts it off until the next check.
const WorkCheck = "check"

const checkLane = WorkCheck + ":"

// CheckedChannel is the channel that a job of WorkCheck is for.
func CheckedChannel(job work.Job) (uuid.UUID, error) {
	return uuid.Parse(strings.TrimPrefix(job.Lane, checkLane))
}

// checkSoon has channels checked.
func (c *change) checkSoon(ctx context.Context, ids ...uuid.UUID) error {
	for _, id := range ids {
		if err := work.Wake(ctx, c.Tx, checkLane+id.String(), c.now); err != nil {
			return err
		}
	}
	c.woke = c.woke || len(ids) > 0
	return nil
}

// CheckSoon has the channels checked whose token a person gave, and those that
// pages are: something about them may have changed at the provider.
func (d *Desk) CheckSoon(ctx context.Context, user string, pages ...string) error {
	return d.write(ctx, func(c *change) error { return c.checkGivenBy(ctx, user, pages) })
}

func (c *change) checkGivenBy(ctx context.Context, user string, pages []string) error {
	ids, err := c.Channel.Query().Where(givenBy(user, pages)).IDs(ctx)
	if err != nil {
		return err
	}
	return c.checkSoon(ctx, ids...)
}

// givenBy holds for channels whose token a person gave, and those that pages are.
func givenBy(user string, pages []string) predicate.Channel {
	of := channel.ExternalIDIn(pages...)
	if user != "" {
		of = channel.Or(of, channel.LoginUser(user))
	}
	return of
}

// Check is how one thing that a channel depends on was found: in plain words what
// was found, and what to do, if anything.
type Check struct {
	Code           channelcheck.Code
	Status         channelcheck.Status
	Detail, Action string
}

// Health is what was found of a channel, by a look that began when it and its
// checks were as seen. What is empty of the page is not known.
type Health struct {
	Seen             *ent.Channel
	SeenChecks       []*ent.ChannelCheck
	State            channel.State
	Reason           string
	Name, PictureURL string
	Checks           []Check
}

// Checked records how a channel was found, unless somebody has found or done
// something meanwhile: what a look saw before that may not be so any more.
func (d *Desk) Checked(ctx context.Context, h Health) (recorded bool, err error) {
	err = d.write(ctx, func(c *change) error {
		recorded = false
		before, err := c.lockChannel(ctx, h.Seen.ID)
		if err != nil || !bytes.Equal(before.Token, h.Seen.Token) || before.State != h.Seen.State {
			return err
		}
		rows, err := c.ChannelCheck.Query().Where(channelcheck.ChannelID(before.ID)).All(ctx)
		if err != nil || !sameChecks(rows, h.SeenChecks) {
			return err
		}
		recorded = true
		changed, err := c.putChecks(ctx, before.ID, h.Checks)
		if err != nil {
			return err
		}
		if h.Name == "" {
			h.Name, h.PictureURL = before.Name, before.PictureURL
		}
		if before.State == h.State && before.StateReason == h.Reason && before.Name == h.Name && !changed {
			// A picture's address is another one whenever Facebook is asked, and is no news.
			return before.Update().SetPictureURL(h.PictureURL).Exec(ctx)
		}
		ch, err := before.Update().SetState(h.State).SetStateReason(h.Reason).SetName(h.Name).SetPictureURL(h.PictureURL).AddVersion(1).Save(ctx)
		if err != nil {
			return err
		}
		c.channelEvent(ch)
		if before.State == ch.State {
			return nil
		}
		if ch.State == channel.StateSuperseded {
			if err := c.audit(ctx, audit.Actor{}, auditentry.ActionChannelSuperseded, ch, nil, &ch.StateReason); err != nil {
				return err
			}
		}
		return c.goOn(ctx, ch)
	})
	return recorded && err == nil, err
}

// sameChecks says whether nobody has checked since.
func sameChecks(now, seen []*ent.ChannelCheck) bool {
	if len(now) != len(seen) {
		return false
	}
	was := map[channelcheck.Code]*ent.ChannelCheck{}
	for _, k := range seen {
		was[k.Code] = k
	}
	return !slices.ContainsFunc(now, func(k *ent.ChannelCheck) bool {
		w := was[k.Code]
		return w == nil || w.Status != k.Status || w.Detail != k.Detail || !w.CheckedAt.Equal(k.CheckedAt)
	})
}

// putChecks stores how checks came out, and says whether any is not as it was.
func (c *change) putChecks(ctx context.Context, of uuid.UUID, checks []Check) (changed bool, err error) {
	rows, err := c.ChannelCheck.Query().Where(channelcheck.ChannelID(of)).All(ctx)
	if err != nil || len(checks) == 0 {
		return false, err
	}
	before := map[channelcheck.Code]*ent.ChannelCheck{}
	for _, row := range rows {
		before[row.Code] = row
	}
	err = c.ChannelCheck.MapCreateBulk(checks, func(n *ent.ChannelCheckCreate, i int) {
		k, since := checks[i], c.now
		was := before[k.Code]
		if was != nil && was.Status == k.Status {
			since = was.Since
		}
		changed = changed || was == nil || was.Status != k.Status || was.Detail != k.Detail || was.Action != k.Action
		n.SetID(schema.NewID()).SetChannelID(of).SetCode(k.Code).SetStatus(k.Status).SetDetail(k.Detail).SetAction(k.Action).SetSince(since).SetCheckedAt(c.now)
	}).OnConflictColumns("channel_id", "code").Update(func(u *ent.ChannelCheckUpsert) {
		u.UpdateStatus().UpdateDetail().UpdateAction().UpdateSince().UpdateCheckedAt()
	}).Exec(ctx)
	return changed, err
}

// police notes what the provider does about a page, for the next check, which is
// soon: the channel's row may not be changed here, where it is shared.
func (c *change) police(ctx context.Context, of uuid.UUID, p *Policy) error {
	found := Check{Code: channelcheck.CodeRestriction, Status: channelcheck.StatusPassed, Detail: "Facebook does not restrict the page any more."}
	if p.Restricted {
		found.Status, found.Detail = channelcheck.StatusFailed, strings.TrimSpace("Facebook restricts the page. "+clean(p.Reason))
	}
	if _, err := c.putChecks(ctx, of, []Check{found}); err != nil {
		return err
	}
	return c.checkSoon(ctx, of)
}

// Checks are how channels were found last, in a fixed order.
func (d *Desk) Checks(ctx context.Context, channels []uuid.UUID) (map[uuid.UUID][]*ent.ChannelCheck, error) {
	rows, err := d.store.Client().ChannelCheck.Query().Where(channelcheck.ChannelIDIn(channels...)).All(ctx)
	of := map[uuid.UUID][]*ent.ChannelCheck{}
	for _, row := range rows {
		of[row.ChannelID] = append(of[row.ChannelID], row)
	}
	for _, checks := range of {
		slices.SortFunc(checks, checkOrder)
	}
	return of, err
}

// checkOrder shows first what the rest depends on.
func checkOrder(a, b *ent.ChannelCheck) int {
	order := []channelcheck.Code{channelcheck.CodeApp, channelcheck.CodeCallback, channelcheck.CodeToken, channelcheck.CodePage,
		channelcheck.CodeRestriction, channelcheck.CodeSubscription, channelcheck.CodeThreads, channelcheck.CodeInbound}
	return cmp.Compare(slices.Index(order, a.Code), slices.Index(order, b.Code))
}

// Note records one thing that the provider let us know of a channel when it was
// used.
func (d *Desk) Note(ctx context.Context, of uuid.UUID, found Check) error {
	return d.write(ctx, func(c *change) error {
		ch, err := c.lockChannel(ctx, of)
		if err != nil {
			return err
		}
		changed, err := c.putChecks(ctx, ch.ID, []Check{found})
		if err != nil || !changed {
			return err
		}
		if ch, err = ch.Update().AddVersion(1).Save(ctx); err == nil {
			c.channelEvent(ch)
		}
		return err
	})
}

// LastTalk is the last conversation of a channel in which anything was said since a
// time: the provider's id of the customer, or "".
func (d *Desk) LastTalk(ctx context.Context, of uuid.UUID, since time.Time) (person string, err error) {
	rows, err := d.store.Query(ctx, `SELECT i.external_id FROM chats c JOIN identities i ON i.id = c.identity_id
		WHERE c.last_minute >= $1 AND c.channel_id = $2 ORDER BY c.last_minute DESC LIMIT 1`, since.UTC().Truncate(time.Minute), of)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&person)
	}
	return person, errors.Join(err, rows.Err())
}
