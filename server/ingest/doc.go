// Package ingest owns the way in: the webhook that providers call, the stored
// events, and the worker that has the desk apply those that wait.
//
// The webhook checks the signature of the raw bytes, cuts the post into items,
// and answers once they are durable. Posts that arrive together share one
// transaction, in which the desk applies their events, and those that had no
// effect are stored with the reason: nearly always an answer says that the event
// was applied, so that nothing is left to fall behind. (Storing first and
// applying afterwards took twice the statements, and a second write of each row.)
//
// What cannot be applied now, because somebody holds what it needs or the
// database fails it, is stored to be applied later. An event's shard (a hash of
// its page and person) keeps the order: in a process one goroutine takes a
// shard's events in, while any of them waits the later ones wait behind it, and
// one worker of all replicas at a time applies them, under a lock that ends with
// the transaction that does it, so that any of them may die at any instant.
//
// Safe for concurrent use. Invariants: what was answered with 200 had its
// effect, or is stored and stays until it has or somebody has seen why it cannot; memory is
// bounded by the byte budget; and when applying cannot keep up, the webhook
// answers 503, which providers repeat, rather than fall behind.
package ingest
