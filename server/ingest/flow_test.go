package ingest_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/ent/webhookevent"
	"parley/server/globalid"
	"parley/server/ingest"
	"parley/server/paging"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestEventsOfAPageThatIsNotConnectedWaitAndAreAppliedWhenItIs(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		for i := range 10 {
			deliver(t, r, []byte(envelope(text("ann", fmt.Sprint("m_", i), fmt.Sprint(i), w.clock.Now().Add(time.Duration(i)*time.Second)))))
		}
		w.drained()
		if got := w.events(); got[unrouted] != 10 {
			w.Fatalf("%v", got)
		}
		r.connect()
		w.drained()
		if got, want := w.texts("ann"), strings.Split("0 1 2 3 4 5 6 7 8 9", " "); !reflect.DeepEqual(got, want) {
			w.Errorf("%q", got)
		}
	})
}

func TestEventsThatCrossTheConnectionOfTheirPageAreHealed(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		began := w.clock.Now()
		var both sync.WaitGroup
		both.Go(func() {
			for i := range 200 {
				deliver(t, r, []byte(envelope(text("ann", fmt.Sprint("m_", i), fmt.Sprint(i), began.Add(time.Duration(i)*time.Second)))))
			}
		})
		w.await("some have come", func() bool { return w.rows() > 20 })
		r.connect()
		both.Wait()
		w.drained()
		w.must(r.inbox.Housekeeping(ctx))
		w.drained()
		if got := w.texts("ann"); len(got) != 200 || got[0] != "0" || got[199] != "199" {
			w.Errorf("%d: %q; %v", len(got), got, w.events())
		}

		// The worker saw no channel, and Connect no unrouted event.
		w.exec("UPDATE webhook_events SET state = 'UNROUTED' WHERE id = (SELECT max(id) FROM webhook_events)")
		w.must(r.inbox.Housekeeping(ctx))
		w.drained()
		if got := w.events(); got[unrouted] != 0 {
			w.Errorf("%v", got)
		}
	})
}

// replicas are two on PostgreSQL, and one on SQLite, which can have no more.
func (w *world) replicas() []*replica {
	all := []*replica{w.replica(w.store)}
	if w.store.Postgres() {
		all = append(all, w.replica(w.second()))
	}
	return all
}

// added gives the texts of a person's messages in the order in which they were
// added, and every reader saw them.
func (w *world) added(person string) []string {
	w.Helper()
	rows, err := w.store.Query(ctx, `SELECT m.text FROM events e JOIN messages m ON m.id = e.message_id JOIN chats c ON c.id = m.chat_id
		JOIN identities i ON i.id = c.identity_id WHERE e.kind = 'MESSAGE_ADDED' AND i.external_id = $1 ORDER BY e.id`, person)
	w.must(err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		w.must(rows.Scan(&s))
		all = append(all, s)
	}
	w.must(rows.Err())
	return all
}

func TestEventsOfAPersonAreAppliedOnceAndInTheOrderOfTheirArrival(t *testing.T) {
	onBoth(t, func(w *world) {
		all := w.replicas()
		all[0].connect()
		const people, each = 40, 15
		now := w.clock.Now()
		var crowd sync.WaitGroup
		for p := range people {
			crowd.Go(func() {
				for i := range each {
					body := []byte(envelope(text(fmt.Sprint("p", p), fmt.Sprintf("m_%d_%d", p, i), fmt.Sprint(i), now)))
					deliver(t, all[(p+i)%len(all)], body)
					if i%5 == 0 { // Facebook repeats itself, and not to the same replica
						deliver(t, all[(p+i+1)%len(all)], body)
					}
				}
			})
		}
		crowd.Wait()
		w.drained()
		var want []string
		for i := range each {
			want = append(want, fmt.Sprint(i))
		}
		for p := range people {
			if got := w.added(fmt.Sprint("p", p)); !reflect.DeepEqual(got, want) {
				w.Errorf("p%d: %q", p, got)
			}
		}
		if n := w.number("SELECT count(*) FROM chats"); n != people {
			w.Errorf("%d chats", n)
		}
		if n := w.number("SELECT sum(inbound_count) FROM chats"); n != people*each {
			w.Errorf("%d messages are counted", n)
		}
	})
}

func TestTheSamePostToTwoReplicasAtOnceHasOneEffect(t *testing.T) {
	w := newWorld(t, storetest.Postgres(t))
	all := w.replicas()
	all[0].connect()
	now := w.clock.Now()
	const posts = 200
	for i := range posts {
		body := []byte(batch(i*3, 3, now))
		var both sync.WaitGroup
		for _, r := range all {
			both.Go(func() { deliver(t, r, body) })
		}
		both.Wait()
	}
	w.drained()
	if n := w.number("SELECT count(*) FROM events WHERE kind = 'MESSAGE_ADDED'"); n != 3*posts {
		w.Errorf("%d messages were added", n)
	}
	if n := appliedBy(all...); n+w.events()[applied] != 6*posts {
		w.Errorf("%d, %v", n, w.events())
	}
}

func TestNothingIsLostWhenWorkersAreStoppedInTheMiddle(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		r.connect()
		const total = 1000
		posted := make(chan struct{})
		go func() {
			defer close(posted)
			for i := 0; i < total; i += 10 {
				deliver(t, r, []byte(batch(i, 10, w.clock.Now())))
			}
		}()
		for stopped := false; !stopped; {
			r.stop()
			r.run()
			mark := w.number("SELECT count(*) FROM messages")
			w.await("something is applied, or all is", func() bool {
				select {
				case <-posted:
					stopped = true
				default:
				}
				return stopped || w.number("SELECT count(*) FROM messages") > mark
			})
		}
		w.drained()
		if n := w.number("SELECT count(*) FROM messages"); n != total {
			w.Errorf("%d messages of %d", n, total)
		}
		if got := w.events(); got[parked] > 0 {
			w.Errorf("%v", got)
		}
	})
}

func TestNothingIsLostWhenTheDatabaseCutsItsConnections(t *testing.T) {
	w := newWorld(t, storetest.Postgres(t))
	r := w.replica(w.second())
	r.connect()
	const total = 3000
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		for i := 0; i < total; i += 10 {
			deliver(t, r, []byte(batch(i, 10, w.clock.Now())))
		}
	}()
	cuts := 0
	for going := true; going; cuts++ {
		mark := w.number("SELECT count(*) FROM messages")
		w.await("something is applied, or all is", func() bool {
			select {
			case <-posted:
				going = false
			default:
			}
			return !going || w.number("SELECT count(*) FROM messages") > mark
		})
		w.number(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	}
	w.drained()
	if n := w.number("SELECT count(*) FROM messages"); n != total {
		w.Errorf("%d messages of %d", n, total)
	}
	if got := w.events(); got[parked] > 0 {
		w.Errorf("%v", got)
	}
	w.Logf("%d cuts, %v", cuts, w.events())
}

// stall has applying fail, at once and later, until it is healed.
func (w *world) stall() (heal func()) {
	w.Helper()
	return w.spoil("INSERT ON events", "NEW.kind = 'MESSAGE_ADDED'")
}

func TestWhatCannotBeAppliedAtOnceIsStoredAndNothingOfThatPersonOvertakesIt(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		r.connect()
		now := w.clock.Now()
		atOnce := w.stall()
		later := w.spoil("UPDATE ON webhook_events", "NEW.state <> 'PENDING'")
		send := func(person, mid string) {
			w.Helper()
			if status := r.post(envelope(text(person, mid, mid, now))); status != http.StatusOK {
				w.Fatalf("%s: %d", mid, status)
			}
		}
		send("ann", "1")
		atOnce()
		send("ann", "2")
		send("bob", "3")
		if got := w.events(); got[pending] != 2 || appliedBy(r) != 1 {
			w.Errorf("while one waits: %v, %d applied", got, appliedBy(r))
		}
		later()
		w.drained()
		send("ann", "4")
		if got := strings.Join(w.added("ann"), " "); got != "1 2 4" {
			w.Errorf("%q", got)
		}
	})
}

func TestShardsThatAnotherWorkerHasHideNoOthers(t *testing.T) {
	w := newWorld(t, storetest.Postgres(t))
	r := w.replica(w.store)
	r.connect()
	heal := w.stall()
	free := 0
	for i := range 800 {
		body := []byte(envelope(text(fmt.Sprint("p", i), fmt.Sprint("m_", i), "x", w.clock.Now())))
		// Those whose shards are held soon are too old, and refused.
		if handle(r.inbox, body, sign(body)) == http.StatusOK && ingest.Shard(body) > ingest.Shards-4 {
			free++
		}
	}
	// Somebody has all shards but the last few, and keeps them.
	locked, err := w.store.DB.BeginTx(ctx, nil)
	w.must(err)
	_, err = locked.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1, s) FROM generate_series(0, $2) s", ingest.ShardLock, ingest.Shards-4)
	w.must(err)
	heal()
	w.await("the others are applied", func() bool { return free > 0 && w.number("SELECT count(*) FROM messages") == free })
	w.must(locked.Rollback())
	w.drained()
}

func TestPostsAreRefusedOnceAnEventIsTooOldAndTakenAgainWhenItIsApplied(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s, standing())
		r := w.replica(s)
		r.connect()
		heal := w.stall()
		body := func(i int) []byte {
			return []byte(envelope(text("ann", fmt.Sprint("m_", i), fmt.Sprint(i), w.clock.Now())))
		}
		for i := range 5 { // however long it takes by other clocks
			if status := handle(r.inbox, body(i), sign(body(i))); status != http.StatusOK {
				w.Fatalf("post %d: %d", i, status)
			}
		}
		w.await("it is seen how old they are", func() bool { return r.inbox.Oldest().Equal(w.clock.Now()) })
		w.clock.Advance(ingest.MaxLag)
		if status := handle(r.inbox, body(5), sign(body(5))); status != http.StatusOK {
			w.Errorf("at the limit: %d", status)
		}
		w.clock.Advance(time.Millisecond)
		for i := range 50 {
			if status, header := r.send(body(6+i), sign(body(6+i))); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
				w.Fatalf("past it: %d %v", status, header)
			}
		}
		if n := w.rows(); n != 6 {
			w.Errorf("the table grows to %d", n)
		}
		heal()
		w.drained()
		w.await("posts are taken again", func() bool { return handle(r.inbox, body(6), sign(body(6))) == http.StatusOK })
		w.drained()
		if got := strings.Join(w.added("ann"), " "); got != "0 1 2 3 4 5 6" {
			w.Errorf("%q", got)
		}
	})
}

func TestPostsAreRefusedOnceTooManyEventsWaitHoweverYoungTheyAre(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s, standing())
		r := w.replica(s)
		r.connect()
		heal := w.stall()
		const size, posters = 50, 16
		var crowd sync.WaitGroup
		var mu sync.Mutex
		taken, refused := 0, 0
		for p := range posters {
			crowd.Go(func() {
				for i := range 10 {
					body := []byte(batch((p*10+i)*size, size, w.clock.Now()))
					status := handle(r.inbox, body, sign(body))
					mu.Lock()
					if status == http.StatusOK {
						taken++
					} else {
						refused++
					}
					mu.Unlock()
				}
			})
		}
		crowd.Wait()
		if n := w.rows(); n != taken*size || n < ingest.Batch || n > ingest.FirstLimit+posters*size {
			w.Errorf("%d rows of %d posts, %d refused", n, taken, refused)
		}
		heal()
		w.calm(r)
		body := []byte(batch(0, 1000, w.clock.Now())) // a legal batch, and nothing else waits
		if status := handle(r.inbox, body, sign(body)); status != http.StatusOK {
			w.Errorf("afterwards: %d", status)
		}
		w.drained()
	})
}

func TestAWorkerThatNeverAnswersStopsTheIntake(t *testing.T) {
	w := newWorld(t, storetest.Postgres(t), standing())
	r := w.replica(w.store)
	ch := r.connect()
	held, err := w.second().DB.BeginTx(ctx, nil)
	w.must(err)
	_, err = held.ExecContext(ctx, "SELECT 1 FROM channels WHERE id = $1 FOR UPDATE", ch.ID)
	w.must(err)
	body := []byte(envelope(text("ann", "m_1", "x", w.clock.Now())))
	deliver(t, r, body)
	w.await("it is seen how old it is", func() bool { return !r.inbox.Oldest().IsZero() })
	w.clock.Advance(time.Second)
	if status := handle(r.inbox, body, sign(body)); status != http.StatusServiceUnavailable {
		w.Errorf("%d", status)
	}
	w.must(held.Rollback())
	w.drained()
}

func TestHousekeepingKeepsWhatSomebodyMayNeedAndNothingElse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s, standing())
		r := w.replica(s)
		r.connect()
		heal := w.stall()
		deliver(t, r, []byte(envelope(text("ann", "m_1", "applied later", w.clock.Now()))))
		heal()
		w.drained()
		deliver(t, r, []byte(envelope(text("ann", "m_2", "applied", w.clock.Now()), item("ann", `"hologram":{}`), item("ann", `"message":{"text":"parked"}`))))
		deliver(t, r, []byte(strings.ReplaceAll(envelope(text("ann", "m_2", "unrouted", w.clock.Now())), "1000", "2000")))
		w.drained()
		day := 24 * time.Hour
		for _, c := range []struct {
			after time.Duration
			want  map[webhookevent.State]int
		}{
			{day, map[webhookevent.State]int{applied: 1, ignored: 1, parked: 1, unrouted: 1}},
			{time.Millisecond, map[webhookevent.State]int{ignored: 1, parked: 1, unrouted: 1}},
			{6 * day, map[webhookevent.State]int{ignored: 1, parked: 1}},
			{23 * day, map[webhookevent.State]int{parked: 1}},
			{1000 * day, map[webhookevent.State]int{parked: 1}},
		} {
			w.clock.Advance(c.after)
			w.must(r.inbox.Housekeeping(ctx))
			if got := w.events(); !reflect.DeepEqual(got, c.want) {
				w.Errorf("%s later: %v, want %v", c.after, got, c.want)
			}
		}

		// Old and young ones, more than go at once.
		for _, at := range []time.Time{w.clock.Now().Add(-2 * day), w.clock.Now()} {
			w.must(s.InTx(ctx, func(tx *store.Tx) error {
				when := "$1"
				if tx.Postgres() {
					when = "$1::timestamptz"
				}
				_, err := tx.Exec(ctx, `INSERT INTO webhook_events (received_at, shard, page, body, state)
					WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11000)
					SELECT `+when+`, 0, '', $2, 'APPLIED' FROM n`, at, []byte("x"))
				return err
			}))
		}
		w.must(r.inbox.Housekeeping(ctx))
		if got := w.events(); got[applied] != 11000 {
			w.Errorf("%v", got)
		}

		// A page that nobody connects.
		w.exec("UPDATE webhook_events SET state = 'UNROUTED' WHERE state = 'APPLIED'")
		w.must(r.inbox.Housekeeping(ctx))
		if got := w.events(); got[unrouted] != 10_000 {
			w.Errorf("%v", got)
		}
	})
}

func TestEventsAreListedNewestFirstPageByPage(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		for i := range 7 {
			deliver(t, r, []byte(envelope(item("ann", fmt.Sprintf(`"hologram":{"n":%d}`, i)))))
		}
		deliver(t, r, []byte(`<html>`))
		w.drained()
		state, first := ignored, 3
		args := paging.Args{First: &first}
		var ids []int64
		for {
			list, err := r.inbox.Events(ctx, args, &state)
			w.must(err)
			for _, e := range list.Nodes {
				ids = append(ids, e.ID)
			}
			if !list.HasNext {
				break
			}
			args.After = &list.Cursors[len(list.Cursors)-1]
		}
		if len(ids) != 7 || !slices.IsSortedFunc(ids, func(a, b int64) int { return int(b - a) }) {
			w.Errorf("%v", ids)
		}
		list, err := r.inbox.Events(ctx, noPaging, nil)
		w.must(err)
		if len(list.Nodes) != 8 || list.Nodes[0].State != parked {
			w.Errorf("%d", len(list.Nodes))
		}
	})
}

func TestAnEventIsReplayedOnceAndOnlyIfItHadNoEffect(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		deliver(t, r, []byte(envelope(text("ann", "m_1", "hello", w.clock.Now()))))
		w.drained()
		id := globalid.OfNumber(ingest.Kind, int64(w.number("SELECT max(id) FROM webhook_events")))
		for _, wrong := range []globalid.ID{globalid.OfNumber(ingest.Kind, 10_000), globalid.OfNumber("chat", id.Number())} {
			if _, err := r.inbox.Replay(ctx, wrong); err == nil {
				w.Errorf("%s is replayed", wrong)
			}
		}
		r.stop()
		var mu sync.Mutex
		replayed := 0
		var crowd sync.WaitGroup
		for range 8 {
			crowd.Go(func() {
				if _, err := r.inbox.Replay(ctx, id); err == nil {
					mu.Lock()
					replayed++
					mu.Unlock()
				}
			})
		}
		crowd.Wait()
		if replayed != 1 {
			w.Errorf("%d of 8 replayed it", replayed)
		}
		r.run()
		w.drained()
	})
}

func TestAStopIsPrompt(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		over := make(chan struct{})
		go func() { r.stop(); close(over) }()
		select {
		case <-over:
		case <-time.After(5 * time.Second):
			w.Fatal("Run does not return")
		}
		given, cancel := context.WithCancel(ctx)
		cancel()
		if err := r.inbox.Housekeeping(given); err == nil {
			w.Error("housekeeping goes on without a context")
		}
	})
}
