package store

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// DefaultMaxAge is how long a value is kept after it was last put (wire.md §7).
	DefaultMaxAge = 48 * time.Hour
	// DefaultMaxBytes bounds what values are charged for (reliability.md P9).
	DefaultMaxBytes = 256 << 20
	// DefaultMaxRecords bounds the number of values.
	DefaultMaxRecords = 1 << 20
	// maxUnknown bounds a record's unknown fields in bytes; rust's publisher and ttl
	// take about 50.
	maxUnknown = 1 << 10
	// storedOverhead is what the stored form adds to key, unknown fields and value.
	storedOverhead = 1 + 8 + 2*binary.MaxVarintLen32
	// indexCost is what a record is charged for its index entry in bytes, measured
	// with the memory KV (TestValueMemory).
	indexCost = 320
)

// ValuesConfig bounds a ValueStore. Zero fields mean the defaults.
type ValuesConfig struct {
	// Self is this peer's place: what is farthest from it is given up first.
	Self keyspace.Key
	// MaxAge is how long a value is kept after it was last put, in whole seconds;
	// negative: for ever.
	MaxAge time.Duration
	// MaxValue and MaxKey bound one record, in bytes.
	MaxValue, MaxKey int
	// MaxRecords and MaxBytes bound all records.
	MaxRecords int
	MaxBytes   int64
	// MaxPerHour is how many new values one other peer gets in in an hour, and
	// MaxBytesPerPeer how many bytes of new ones in the time a value is kept, half of
	// that at once, while the store is over half of a budget; below zero: any number.
	MaxPerHour      int
	MaxBytesPerPeer int64
}

func (c ValuesConfig) withDefaults() ValuesConfig {
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.MaxValue <= 0 {
		c.MaxValue = protocol.MaxValue
	}
	if c.MaxKey <= 0 {
		c.MaxKey = protocol.MaxValueKey
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = DefaultMaxRecords
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxPerHour == 0 {
		c.MaxPerHour = DefaultMaxPerHour
	}
	if c.MaxBytesPerPeer == 0 {
		c.MaxBytesPerPeer = DefaultMaxBytesPerPeer
	}
	return c
}

// radius is the leading 64 bits of the distance within which records are
// expected, 0 if not known.
type radius struct{ far atomic.Uint64 }

func (r *radius) set(d *keyspace.Distance) {
	var zero keyspace.Distance
	far := farFrom(&zero, d)
	if far == 0 && *d != zero {
		far = 1
	}
	r.far.Store(far)
}

// beyond reports whether something this far lies outside.
func (r *radius) beyond(far uint64) bool {
	limit := r.far.Load()
	return limit != 0 && far > limit
}
