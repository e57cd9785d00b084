package desk

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/channel"
	"parley/server/store"
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

// KeepHeard writes down when customers' messages last came.
func (d *Desk) KeepHeard(ctx context.Context) error {
	var failed error
	for id, at := range d.heard.take() {
		failed = errors.Join(failed, d.store.InTx(ctx, func(tx *store.Tx) error {
			return tx.Channel.Update().Where(channel.ID(id), channel.Or(channel.LastInboundAtIsNil(), channel.LastInboundAtLT(at))).
				SetLastInboundAt(at).Exec(ctx)
		}))
	}
	return failed
}
