package work_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"parley/server/store"
	"parley/server/work"
)

// The tests below run this test binary again as a replica in a process of its
// own, which they kill. It says on its output what it begins.
const childURL, childMode = "WORK_TEST_CHILD_URL", "WORK_TEST_CHILD_MODE"

func TestReplicaInAProcessOfItsOwn(t *testing.T) {
	if os.Getenv(childURL) == "" {
		t.Skip("only for the crash tests")
	}
	s, err := store.Open(ctx, os.Getenv(childURL))
	if err != nil {
		t.Fatal(err)
	}
	lease, handler := time.Second, effect(s)
	if os.Getenv(childMode) == "hang" {
		handler = func(context.Context, work.Job) work.Decision { select {} }
		if !s.Postgres() {
			lease = time.Hour
		}
	}
	o := work.Options{Lease: lease, Poll: 20 * time.Millisecond, Workers: 4, Log: quiet}
	work.New(s, o, map[string]work.Handler{"say": func(ctx context.Context, j work.Job) work.Decision {
		fmt.Println("begin", j.ID)
		return handler(ctx, j)
	}}).Run(ctx)
}

// effect writes a row in the transaction that finishes the job.
func effect(s *store.Store) work.Handler {
	return func(ctx context.Context, j work.Job) work.Decision {
		err := s.InTx(ctx, func(tx *store.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO effects (lane, n) VALUES ($1, $2)", j.Lane, string(j.Payload)); err != nil {
				return err
			}
			return j.Finish(ctx, tx)
		})
		if err != nil {
			return work.Later(time.Now(), err.Error())
		}
		return work.Done()
	}
}

// child starts a replica and returns once it has begun so many jobs.
func child(t *testing.T, url, mode string, jobs int) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestReplicaInAProcessOfItsOwn$")
	c.Env = append(os.Environ(), childURL+"="+url, childMode+"="+mode)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(c) })
	for lines := bufio.NewScanner(out); jobs > 0 && lines.Scan(); jobs-- {
		t.Log("child:", lines.Text())
	}
	if jobs > 0 {
		t.Fatal("the child ended by itself")
	}
	return c
}

// kill sends SIGKILL.
func kill(c *exec.Cmd) {
	_ = c.Process.Kill()
	_ = c.Wait()
}

func TestAfterAKillTheItemRunsAgainAsLapsed(t *testing.T) {
	onBench(t, func(b *bench) {
		b.clock.at = time.Now()
		b.put(say("a", "1"), say("a", "2"))
		kill(child(b.T, b.store.URL, "hang", 1))
		// On SQLite the child's lease was for an hour.
		b.start(b.store, b.leased(time.Minute))
		again := b.next("1")
		if !again.Lapsed || again.Attempts != 2 {
			b.Errorf("got %+v", again.Job)
		}
		again.answer <- work.Done()
		if second := b.next("2"); second.Lapsed || second.Attempts != 1 {
			b.Errorf("got %+v", second.Job)
		} else {
			second.answer <- work.Done()
		}
	})
}

func TestKilledAtAnyInstantEffectsHappenOnceAndInOrder(t *testing.T) {
	const lanes, each, kills = 5, 80, 4
	onBench(t, func(b *bench) {
		b.inTx(func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, "CREATE TABLE effects (id "+map[bool]string{true: "bigserial", false: "integer PRIMARY KEY AUTOINCREMENT"}[b.store.Postgres()]+", lane text, n text)")
			return err
		})
		b.clock.at = time.Now()
		for n := range each {
			for lane := range lanes {
				b.put(say(strconv.Itoa(lane), strconv.Itoa(n)))
			}
		}
		for range kills {
			kill(child(b.T, b.store.URL, "work", 1+rand.IntN(40)))
		}
		b.clock.at = time.Now()
		o := b.leased(time.Second)
		p := work.New(b.store, o, map[string]work.Handler{"say": effect(b.store)})
		run(b.T, p)
		b.awaitEmpty()
		rows, err := b.store.Query(ctx, "SELECT lane, n FROM effects ORDER BY id")
		if err != nil {
			b.Fatal(err)
		}
		defer rows.Close()
		next := map[string]int{}
		for rows.Next() {
			var lane, n string
			if err := rows.Scan(&lane, &n); err != nil {
				b.Fatal(err)
			}
			if n != strconv.Itoa(next[lane]) {
				b.Fatalf("lane %s: %s comes where %d should", lane, n, next[lane])
			}
			next[lane]++
		}
		for lane, n := range next {
			if n != each {
				b.Errorf("lane %s: %d of %d", lane, n, each)
			}
		}
		if len(next) != lanes {
			b.Errorf("%d lanes", len(next))
		}
	})
}
