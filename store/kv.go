package store

import "github.com/kdht/kdht/protocol/keyspace"

// KV is the byte store below Values: pairs ordered by their place in the
// keyspace, so that a region of the keyspace is a range of keys. It is safe for
// concurrent use. The suite in storetest says what every implementation must do.
//
// Put and Delete are quick: they change what Get and Range see at once and may
// write behind. Sync waits until the changes are safe.
type KV interface {
	// Get returns the value of key. It must not be changed, and the store does not
	// change it either: a later Put replaces it.
	Get(key keyspace.Key) (value []byte, found bool, err error)
	// Put stores value, which the caller gives away, in place of any other.
	Put(key keyspace.Key, value []byte) error
	// Delete forgets key; it is no error if there is no such key.
	Delete(key keyspace.Key) error
	// Range calls fn for every pair from first to last, both included, in ascending
	// order until fn returns false. fn may use the store. A pair put or deleted
	// meanwhile may or may not be seen; every other one is seen exactly once.
	Range(first, last keyspace.Key, fn func(key keyspace.Key, value []byte) bool) error
	// Sync returns when every change made before survives as much as the
	// implementation promises. It may wait for the disk: no lock is held meanwhile.
	Sync() error
	// Len returns the number of pairs, Bytes the length of their values in sum.
	Len() int
	Bytes() int64
	// Close syncs and closes. All later calls but Close return ErrClosed.
	Close() error
}
