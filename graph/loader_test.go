package graph

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

func TestTheFirstWhoAsksReadsForAllThatAreExpected(t *testing.T) {
	var statements [][]int
	l := loader[int, string]{read: func(_ context.Context, keys []int) (map[int]string, error) {
		slices.Sort(keys)
		statements = append(statements, keys)
		return map[int]string{1: "one", 2: "two"}, nil
	}}
	for _, key := range []int{1, 2, 3, 4} {
		l.expect(key)
	}
	l.know(4, "four, as is known")
	var all sync.WaitGroup
	for _, key := range []int{1, 2, 3, 4, 2, 1} {
		all.Go(func() {
			want := map[int]string{1: "one", 2: "two", 4: "four, as is known"}[key]
			if got, err := l.get(t.Context(), key); got != want || err != nil {
				t.Errorf("%d is %q, %v", key, got, err)
			}
		})
	}
	all.Wait()
	if len(statements) != 1 || !slices.Equal(statements[0], []int{1, 2, 3}) {
		t.Errorf("read %v", statements)
	}
	if _, err := l.get(t.Context(), 5); err != nil || len(statements) != 2 {
		t.Errorf("what nobody expected: %v, %v", err, statements)
	}
}

func TestAFailedReadFailsForAllOnce(t *testing.T) {
	reads, failed := 0, errors.New("failed")
	l := loader[int, string]{read: func(context.Context, []int) (map[int]string, error) { reads++; return nil, failed }}
	l.expect(1)
	l.expect(2)
	for _, key := range []int{1, 2, 1} {
		if _, err := l.get(t.Context(), key); !errors.Is(err, failed) {
			t.Error(err)
		}
	}
	if reads != 1 {
		t.Errorf("%d reads", reads)
	}
}

func TestOneStatementHasABoundedNumberOfKeys(t *testing.T) {
	largest, read := 0, 0
	l := loader[int, int]{read: func(_ context.Context, keys []int) (map[int]int, error) {
		largest, read = max(largest, len(keys)), read+len(keys)
		return nil, nil
	}}
	for key := range 1000 {
		l.expect(key)
	}
	if _, err := l.get(t.Context(), 0); err != nil || largest > 500 || read != 1000 {
		t.Errorf("%v: %d at once, %d in all", err, largest, read)
	}
}

func TestWhatOneReadBringsMayBeExpectedOfAnother(t *testing.T) {
	// Two loaders whose reads make keys of each other expected, as messages do of
	// chats and chats of messages, must not wait for each other.
	var a, b loader[int, int]
	a.read = func(_ context.Context, keys []int) (map[int]int, error) { b.expect(keys[0] + 1); return nil, nil }
	b.read = func(_ context.Context, keys []int) (map[int]int, error) { a.expect(keys[0] + 1); return nil, nil }
	var all sync.WaitGroup
	for key := range 1000 {
		all.Go(func() { _, _ = a.get(t.Context(), key) })
		all.Go(func() { _, _ = b.get(t.Context(), key) })
	}
	all.Wait()
}
