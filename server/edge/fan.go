package edge

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"

	"parley/server/desk"
)

// fan has all streams of an Edge. While there are any, one goroutine waits for
// events and has the streams deliver them, each on a goroutine of its own that
// ends when it has: what is idle has none.
type fan struct {
	edge *Edge

	mu      sync.Mutex
	streams map[[sha256.Size]byte]*stream
	stop    context.CancelFunc // of waiting

	running sync.WaitGroup
}

// join gives a subscription the stream of its likeness.
func (f *fan) join(likeness [sha256.Size]byte, exec graphql.GraphExecutor, params *graphql.RawParams, v desk.Viewer) *stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.streams[likeness]
	if st == nil {
		if len(f.streams) == 0 {
			f.start()
		}
		source := source{edge: f.edge, exec: exec, params: params, viewer: v}
		st = &stream{fan: f, likeness: likeness, live: renderer{source: source}, late: renderer{source: source}}
		f.streams[likeness] = st
	}
	st.users.Add(1)
	return st
}

// leave ends a stream that nobody uses any more.
func (f *fan) leave(st *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st.users.Add(-1) > 0 {
		return
	}
	if delete(f.streams, st.likeness); len(f.streams) == 0 {
		f.stop()
	}
}

func (f *fan) start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.running.Go(func() {
		events := f.edge.Resolver.Desk.Events()
		for head := events.Head(); events.Wait(ctx, head) == nil; head = events.Head() {
			for _, st := range f.all() {
				st.wake()
			}
		}
	})
}

func (f *fan) all() []*stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.streams))
}

// wait returns when nothing of the fan runs, which is soon after the last
// subscription has ended.
func (f *fan) wait() { f.running.Wait() }
