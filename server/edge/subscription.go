package edge

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph"
	"parley/server/desk"
	"parley/server/fault"
)

// subscription is an operation of a socket that follows events. It is either a
// member of its stream, which then delivers to it, or has a goroutine that
// catches up; feed, stream and rest are of whichever it is.
type subscription struct {
	socket *socket
	id     string
	head   []byte // of its messages, up to the payload
	feed   *desk.Feed
	stream *stream
	place  int           // among the stream's members; the stream's
	rest   [][]byte      // what could not be offered
	failed gqlerror.List // why it ends, once these are sent

	over   atomic.Bool        // set with the socket's lock held
	cancel context.CancelFunc // of the goroutine that catches up; the socket's
}

// follow begins a subscription on the goroutine of its operation.
func (s *socket) follow(ctx context.Context, cancel context.CancelFunc, id string, params *graphql.RawParams, o *graphql.OperationContext) {
	own, driver := graph.WithDriver(ctx)
	next, own := s.open(own, o)
	if driver.Feed == nil {
		if response := next(own); response != nil && s.finish(id) {
			s.fail(id, response.Errors)
		}
		s.leave()
		return
	}
	v := driver.Feed.Viewer()
	m := &subscription{socket: s, id: id, head: frame{ID: id, Type: "next"}.upToPayload(), feed: driver.Feed, cancel: cancel}
	m.stream = s.edge.fan.join(graph.Likeness(o, v), s.exec, params, v)
	s.mu.Lock()
	if _, wanted := s.running[id]; wanted && ctx.Err() == nil {
		s.running[id] = m.stop
	} else {
		m.over.Store(true)
	}
	s.mu.Unlock()
	m.catchUp(ctx)
}

// open has an operation's resolver open its feed.
func (s *socket) open(ctx context.Context, o *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	s.edge.opening <- struct{}{}
	defer func() { <-s.edge.opening }() // also when it panics
	return s.exec.DispatchOperation(ctx, o)
}

// stop ends a subscription, from any goroutine.
func (m *subscription) stop() {
	m.socket.mu.Lock()
	m.over.Store(true)
	cancel := m.cancel
	m.socket.mu.Unlock()
	if cancel != nil {
		cancel()
	} else if m.stream.remove(m) {
		m.release()
	}
}

// release gives back what a subscription had that is over and nobody's any more.
func (m *subscription) release() {
	m.socket.edge.fan.leave(m.stream)
	m.socket.leave()
}

// deliver gives a member what is new, unless it does not take it.
func (m *subscription) deliver(d *delivery) {
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			m.failed = m.present(m.socket.edge.Resolver.Recover(m.socket.ctx, value))
			m.fallBehind(nil)
		}
	}()
	d.out.reset()
	for {
		there, behind := m.feed.Live(&d.step)
		if there {
			there = m.take(&d.out, d.say(m.stream))
		}
		if there && !d.out.full() {
			continue
		}
		taken, wait := m.offer(&d.out)
		if !taken {
			m.fallBehind(&d.out)
			return
		}
		if wait || behind || m.failed != nil {
			m.fallBehind(nil)
			return
		}
		if !there {
			return
		}
		d.out.reset()
	}
}

// take puts what was said of a step, and says whether the subscription goes on.
func (m *subscription) take(out *frames, s *said) bool {
	for _, payload := range s.payloads {
		out.add(m.head, payload)
	}
	m.failed = s.failed
	return m.failed == nil
}

func (m *subscription) offer(out *frames) (taken, wait bool) {
	switch {
	case out.parts != nil: // long
		return false, true
	case len(out.short) == 0:
		return true, false
	}
	return m.socket.wire.offer(out.short)
}

// fallBehind leaves a member to a goroutine of its own, with what it has still to
// send.
func (m *subscription) fallBehind(out *frames) {
	if !m.stream.remove(m) {
		return // it is over
	}
	if out != nil {
		m.rest = frames{out.parts, slices.Clone(out.short)}.all()
	}
	if !m.socket.begin(m) {
		m.release()
	}
}

// begin has a subscription catch up, unless it is over.
func (s *socket) begin(m *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.over.Load() || s.closed {
		return false
	}
	ctx, cancel := context.WithCancel(s.ctx)
	m.cancel = cancel
	s.operations.Go(func() {
		defer cancel()
		m.catchUp(ctx)
	})
	return true
}

// catchUp sends what there is, however long the client takes, and then makes the
// subscription a member.
func (m *subscription) catchUp(ctx context.Context) {
	defer func() {
		if value := recover(); value != nil { // here nobody else would keep it from ending the process
			m.failed = m.present(m.socket.edge.Resolver.Recover(ctx, value))
			m.end()
		}
	}()
	out, step := frames{parts: m.rest}, desk.Step{}
	m.rest = nil
	for {
		if m.socket.wire.send(out.all()...) != nil || ctx.Err() != nil || m.failed != nil {
			m.end()
			return
		}
		out.reset()
		for there := true; there && !out.full(); {
			there = m.step(ctx, &step) && m.take(&out, m.stream.say(&m.stream.late, &step))
		}
		if out.empty() && m.failed == nil && ctx.Err() == nil {
			m.enter()
			return
		}
	}
}

// step moves the feed on, if there is something. What cannot be read now is read
// a second later; that somebody may see nothing any more is final.
func (m *subscription) step(ctx context.Context, step *desk.Step) bool {
	for {
		there, err := m.feed.Step(ctx, step)
		switch {
		case err == nil && there && step.Changed():
			m.change()
			return true
		case err == nil:
			return there
		case ctx.Err() != nil:
			return false
		case fault.CodeOf(err) != "":
			m.failed = m.present(err)
			return false
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return false
		}
	}
}

// change moves a subscription to the stream of those with its viewer's new
// rights.
func (m *subscription) change() {
	before, v := m.stream, m.feed.Viewer()
	source := before.live.source
	m.stream = m.socket.edge.fan.join(graph.Likeness(source.operation(), v), source.exec, source.params, v)
	m.socket.edge.fan.leave(before)
}

// enter makes a subscription that has caught up a member.
func (m *subscription) enter() {
	m.socket.mu.Lock()
	m.cancel = nil
	m.socket.mu.Unlock()
	if !m.stream.enter(m) {
		m.release()
	}
}

// end ends a subscription that is no member, and says why if there is a reason.
func (m *subscription) end() {
	s := m.socket
	s.mu.Lock()
	said := m.over.Swap(true)
	if !said {
		delete(s.running, m.id)
	}
	s.mu.Unlock()
	if !said && m.failed != nil {
		s.fail(m.id, m.failed)
	}
	m.release()
}

func (m *subscription) present(err error) gqlerror.List {
	return m.socket.exec.DispatchError(m.socket.ctx, gqlerror.List{gqlerror.Wrap(err)}).Errors
}
