// Package store keeps what a peer holds for others: value records and provider
// records (wire.md §7, §8).
//
// Values takes every put, ours and a remote peer's, through one rule: validate,
// compare with what is stored, stamp, store. Providers is an index from a key to
// the peers that announced it. Both are bounded in count and in bytes, forget in
// small steps without stopping for it, and when full give up what lies farthest from
// this peer in the keyspace first, because that is what others are asked for.
// Below Values lies a KV, an ordered byte store that a durable one replaces.
//
//	values := store.NewValues(store.NewMemory(), store.DefaultNamespaces(time.Now), store.ValuesConfig{Self: self})
//	err := values.Put(time.Now(), record)
//	record, found, err := values.Get(time.Now(), key)
//
// Whoever owns a store calls Advance when NextDeadline has come. Nothing here but
// SystemUptime reads a clock, nothing starts a goroutine or draws from a global
// random source; all of it may be called from many goroutines.
//
// Invariant: what is handed out was valid when it was stored, is not older than
// its validity, and is never changed afterwards.
package store

import (
	"time"

	"github.com/kdht/kdht/protocol"
)

// Values stores value records, one per key. It is safe for concurrent use.
type Values interface {
	// Put stores rec if its value is valid and nothing better is stored, stamps it
	// with now and keeps copies. Storing the value already held refreshes its age.
	// The error wraps ErrInvalid, ErrOld, ErrTooLarge, ErrNamespace, ErrFull or
	// ErrClosed, or is the underlying store's.
	Put(now time.Time, rec protocol.Record) error
	// Get returns the record stored for key, the caller's own copy with
	// TimeReceived set, or false if there is none or it is too old. The value is
	// not validated again: whoever uses it does that.
	Get(now time.Time, key []byte) (protocol.Record, bool, error)
	// NextDeadline says when Advance has something to do, zero if never.
	NextDeadline() time.Time
	// Advance forgets what has become too old. It does a bounded amount of work; if
	// more is left, NextDeadline is not after now.
	Advance(now time.Time)
	// Len returns the number of records held, Bytes what they are charged for.
	Len() int
	Bytes() int64
	// Close closes the underlying store. Put and Get then return ErrClosed.
	Close() error
}

// Providers stores provider records: which peers announced that they can serve a
// key. It is safe for concurrent use.
type Providers interface {
	// Add records that provider serves key, or refreshes the record. Whether the
	// sender may say so is the caller's to check. A provider without addresses
	// keeps those it announced before. The error wraps ErrInvalid, ErrTooLarge,
	// ErrFull or ErrClosed.
	Add(now time.Time, key []byte, provider protocol.Peer) error
	// Append appends at most max providers of key to dst, a random sample in random
	// order. They are precoded, shared and must not be changed; one whose addresses
	// are too old comes without any.
	Append(now time.Time, key []byte, dst []protocol.Peer, max int) ([]protocol.Peer, error)
	// Remove forgets that the peer with this id serves key.
	Remove(key, id []byte)
	// NextDeadline says when Advance has something to do, zero if never.
	NextDeadline() time.Time
	// Advance forgets what has become too old. It does a bounded amount of work; if
	// more is left, NextDeadline is not after now.
	Advance(now time.Time)
	// Len returns the number of provider records held.
	Len() int
	// Close forgets everything. Add and Append then return ErrClosed.
	Close() error
}
