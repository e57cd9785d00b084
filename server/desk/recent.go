package desk

import (
	"hash/maphash"
	"sync"
	"time"
)

// recent remembers hashes of the messages that were stored lately. A provider
// repeats a post soon or never, so that only what is remembered is looked for
// before it is stored; the look is a fifth of what storing takes. A hash too many
// costs a look. A repeat that is not remembered, because another replica stored
// it, fails by its key, and is applied with a look at everything; as more of them
// may come, so is all that comes in the next moment.
type recent struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old map[uint64]struct{}
	doubtful   time.Time // until then
}

const (
	remembered = 1 << 16 // messages at least, twice as many at most: 4 MiB
	doubt      = time.Second
)

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), young: map[uint64]struct{}{}}
}

func (r *recent) hash(m person) uint64 { return maphash.Comparable(r.seed, m) }

// mayHave says for which of some messages it pays to look.
func (r *recent) mayHave(messages []person, now time.Time) (likely []person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.doubtful) {
		return messages
	}
	for _, m := range messages {
		hash := r.hash(m)
		_, young := r.young[hash]
		_, old := r.old[hash]
		if young || old {
			likely = append(likely, m)
		}
	}
	return likely
}

// add remembers messages that are stored.
func (r *recent) add(messages []person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range messages {
		r.young[r.hash(m)] = struct{}{}
	}
	if len(r.young) >= remembered {
		r.young, r.old = make(map[uint64]struct{}, remembered), r.young
	}
}

// wonder has everything looked for, for a moment.
func (r *recent) wonder(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubtful = now.Add(doubt)
}
