package ingest

import (
	"time"

	"golang.org/x/sync/semaphore"
)

// What the tests of this package may know.
const (
	MaxBody    = maxBody
	Batch      = groupRows
	FirstLimit = firstRate / 2
	MaxLag     = maxLag
	ShardLock  = shardLock
	Shards     = shards
)

func RowsOf(body []byte) []row { return rowsOf(body, time.Time{}) }

// Shard is the shard of a person's events.
func Shard(body []byte) int { return int(RowsOf(body)[0].shard) }

// SetBudget bounds the bytes in flight before anything is.
func (in *Inbox) SetBudget(n int64) { in.bytes = semaphore.NewWeighted(n) }

// Applied is how many events had their effect as they came.
func (in *Inbox) Applied() int { return int(in.applied.Load()) }

// Waiting is how many events this replica takes for unapplied.
func (in *Inbox) Waiting() int {
	in.backlog.mu.Lock()
	defer in.backlog.mu.Unlock()
	return in.backlog.waiting + in.backlog.stored + in.backlog.storing
}

// Oldest is the arrival of the oldest unapplied event that this replica knows of.
func (in *Inbox) Oldest() time.Time {
	in.backlog.mu.Lock()
	defer in.backlog.mu.Unlock()
	return in.backlog.oldest
}

// HasRoom says whether so many bytes more may be in flight.
func (in *Inbox) HasRoom(n int64) bool {
	if !in.bytes.TryAcquire(n) {
		return false
	}
	in.bytes.Release(n)
	return true
}
