package desk

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
)

// heard remembers when customers' messages last came, until it is written down:
// a write for each would be one more on the way in.
type heard struct {
	mu sync.Mutex
	at map[uuid.UUID]time.Time // by channel
}

func (h *heard) add(batch []Inbound, channels map[string]*ent.Channel, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, in := range batch {
		if in.Kind == Wrote {
			h.at[channels[in.Page].ID] = now
		}
	}
}

func (h *heard) take() map[uuid.UUID]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.at
	h.at = map[uuid.UUID]time.Time{}
	return taken
}

// KeepHeard writes down when customers' messages last came. A channel that had
// none before is checked soon: that was said of it.
func (d *Desk) KeepHeard(ctx context.Context) error {
	var failed error
	for id, at := range d.heard.take() {
		failed = errors.Join(failed, d.write(ctx, func(c *change) error {
			first, err := c.Channel.Update().Where(channel.ID(id), channel.LastInboundAtIsNil()).SetLastInboundAt(at).Save(ctx)
			if err != nil {
				return err
			}
			if first == 1 {
				return c.checkSoon(ctx, id)
			}
			return c.Channel.Update().Where(channel.ID(id), channel.LastInboundAtLT(at)).SetLastInboundAt(at).Exec(ctx)
		}))
	}
	return failed
}
