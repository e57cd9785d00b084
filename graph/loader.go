package graph

import (
	"context"
	"slices"
	"sync"
)

// loader reads values by key for one response. Whoever has a list says what its
// elements may ask for, and the first that asks reads for all: however many
// chats a response has, their contacts are one statement. (Collecting keys for a
// moment instead was tried: on a busy machine the moments came apart, and 25
// chats took from 11 to 35 statements.)
type loader[K comparable, V any] struct {
	read func(context.Context, []K) (map[K]V, error)
	// like is what is expected, in the form of what is asked for; nil is the same.
	like func(expected, asked K) K

	reading sync.Mutex // one reads, the others wait for what it brings
	results map[K]result[V]

	mu       sync.Mutex // taken last: reading one thing makes others expected
	expected map[K]bool
	known    map[K]V
}

type result[V any] struct {
	value V
	err   error
}

// maxKeys in one statement: SQLite joins at most 500 SELECTs to one.
const maxKeys = 400

// expect says that a key may be asked for.
func (l *loader[K, V]) expect(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expected == nil {
		l.expected = map[K]bool{}
	}
	l.expected[key] = true
}

// know gives what need not be read.
func (l *loader[K, V]) know(key K, value V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[K]V{}
	}
	l.known[key] = value
}

// get is the value of a key, the zero one if there is none.
func (l *loader[K, V]) get(ctx context.Context, key K) (V, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if value, ok := l.isKnown(key); ok {
		return value, nil
	}
	if _, ok := l.results[key]; !ok {
		l.readAll(ctx, l.with(key))
	}
	return l.results[key].value, l.results[key].err
}

func (l *loader[K, V]) isKnown(key K) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, ok := l.known[key]
	return value, ok
}

// with is a key and all that are expected and not read yet.
func (l *loader[K, V]) with(key K) []K {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := []K{key}
	for other := range l.expected {
		if l.like != nil {
			other = l.like(other, key)
		}
		_, known := l.known[other]
		_, done := l.results[other]
		if !known && !done && other != key {
			keys = append(keys, other)
		}
	}
	return keys
}

func (l *loader[K, V]) readAll(ctx context.Context, keys []K) {
	if l.results == nil {
		l.results = make(map[K]result[V], len(keys))
	}
	for some := range slices.Chunk(keys, maxKeys) {
		found, err := l.read(ctx, some)
		for _, key := range some {
			l.results[key] = result[V]{found[key], err}
		}
	}
}
