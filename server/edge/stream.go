package edge

import (
	"bytes"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"parley/server/desk"
)

// stream is all subscriptions whose responses to a step are the same. Each has a
// feed of its own, which says what its viewer sees; what is to be said of a step
// is made once.
//
// Who keeps up is a member: to members the stream delivers, with one write for
// each that waits for nothing. Who does not is left to a goroutine of its own
// until it has caught up.
type stream struct {
	fan      *fan
	likeness [sha256.Size]byte
	users    atomic.Int32 // subscriptions

	live renderer // of what members are shown
	late renderer // of the others, for whom nobody else waits

	mu      sync.Mutex
	members []*subscription
	running bool             // it delivers
	again   bool             // and there is more
	said    map[string]*said // by the key of its step
	order   []string         // of these keys, the oldest first
	size    int              // of all that was said
}

// keep is how much of what was said is kept, for those who have not heard it.
const keep = 4 << 20

// enter makes a subscription that has caught up a member, unless it is over.
func (st *stream) enter(m *subscription) bool {
	at := m.feed.Position()
	st.mu.Lock()
	if m.over.Load() {
		st.mu.Unlock()
		return false
	}
	m.place = len(st.members)
	st.members = append(st.members, m)
	st.mu.Unlock()
	if st.fan.edge.Resolver.Desk.Events().Head() > at { // it came between
		st.wake()
	}
	return true
}

// remove says whether a subscription was a member.
func (st *stream) remove(m *subscription) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if m.place >= len(st.members) || st.members[m.place] != m {
		return false
	}
	last := len(st.members) - 1
	st.members[m.place] = st.members[last]
	st.members[m.place].place = m.place
	st.members[last] = nil
	st.members = st.members[:last]
	return true
}

// wake has what is new delivered.
func (st *stream) wake() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.again = len(st.members) > 0
	if st.running || !st.again {
		return
	}
	st.running = true
	st.fan.running.Go(st.deliver)
}

// deliver goes through the members until there is nothing new.
func (st *stream) deliver() {
	d := deliveries.Get().(*delivery)
	for st.next(d) {
		d.step.Renew()
		for _, m := range d.members {
			if !m.over.Load() {
				m.deliver(d)
			}
		}
		clear(d.members)
	}
	deliveries.Put(&delivery{members: d.members[:0], out: frames{short: d.out.short[:0]}})
}

// next says whether there is something to deliver, and to whom.
func (st *stream) next(d *delivery) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.again {
		st.again = false
		d.members = append(d.members[:0], st.members...)
		return true
	}
	st.running = false
	if int(st.users.Load()) == len(st.members) { // nobody is left who has not seen it
		st.said, st.order, st.size = nil, nil, 0
	}
	return false
}

// delivery is what delivering needs. An idle stream has none.
type delivery struct {
	members []*subscription
	step    desk.Step
	out     frames
	said    *said  // of the step before
	key     []byte // of that step
}

var deliveries = sync.Pool{New: func() any { return &delivery{} }}

// say is what the stream says of the delivery's step.
func (d *delivery) say(st *stream) *said {
	if d.said == nil || !bytes.Equal(d.key, d.step.Key()) {
		d.said = st.say(&st.live, &d.step)
		d.key = append(d.key[:0], d.step.Key()...)
	}
	return d.said
}

// say is what is said of a step, made by one of the renderers unless it was
// before.
func (st *stream) say(by *renderer, step *desk.Step) *said {
	key := step.Key()
	if key == nil {
		return by.render(step.Update())
	}
	st.mu.Lock()
	known := st.said[string(key)]
	st.mu.Unlock()
	if known != nil {
		return known
	}
	made := by.render(step.Update())
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.said == nil {
		st.said = map[string]*said{}
	}
	if st.said[string(key)] == nil {
		st.said[string(key)] = made
		st.order = append(st.order, string(key))
		st.size += made.size()
	}
	for ; st.size > keep; st.order = st.order[1:] {
		st.size -= st.said[st.order[0]].size()
		delete(st.said, st.order[0])
	}
	return made
}
