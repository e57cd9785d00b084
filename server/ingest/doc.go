// Package ingest owns the way in: the webhook that providers call, the stored
// events, and the worker that has the desk apply them.
//
// The webhook checks the signature of the raw bytes, cuts the post into items,
// stores them, and only then answers. Posts that arrive together are stored by
// one statement. Workers of all replicas share the stored events: an event's
// shard (a hash of its page and person) is applied by one worker at a time, in
// the order of arrival, under a lock that ends with the transaction which both
// applies the events and marks them, so that a worker may die at any instant.
//
// Safe for concurrent use. Invariants: what was answered with 200 is stored and
// stays until it had its effect or somebody has seen why it cannot; memory is
// bounded by the byte budget; and when applying cannot keep up, the webhook
// answers 503, which providers repeat, rather than fall behind.
package ingest
