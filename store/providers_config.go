package store

import (
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// DefaultValidity is how long a provider record holds (wire.md §8).
	DefaultValidity = 48 * time.Hour
	// DefaultAddrTTL is how long a provider's addresses are told (wire.md §8).
	DefaultAddrTTL = 24 * time.Hour
	// DefaultMaxPerKey bounds the providers of a key (reliability.md P8).
	DefaultMaxPerKey = 100
	// DefaultMaxProviderRecords bounds provider records, and keys with them.
	DefaultMaxProviderRecords = 1 << 20
	// DefaultMaxPerProvider is what one peer may hold of a store under pressure:
	// 1,000 keys for each hour of validity (reliability.md P8).
	DefaultMaxPerProvider = 48_000
	// DefaultMaxAddrBytes bounds the addresses of all providers.
	DefaultMaxAddrBytes = 64 << 20
	// maxProviderAddrs bounds the addresses of one provider in bytes: 16 of the
	// longest that are in use, those with certificate hashes, take about 1,600.
	maxProviderAddrs = 2 << 10
	// maxProviderID bounds a provider's id in bytes; real ones take at most 42.
	maxProviderID = 128
	// recordsPerShard is how many records a shard is worth; a small store has one
	// shard, so that its budgets hold exactly.
	recordsPerShard = 1 << 14
	maxShards       = 64
)

// ProvidersConfig bounds a ProviderStore. Zero fields mean the defaults.
type ProvidersConfig struct {
	// Self is this peer's place: keys farthest from it are given up first.
	Self keyspace.Key
	// Validity of a record since it was last announced, and how long the addresses
	// that came with an announcement are told; in whole seconds, at most 24 days.
	Validity, AddrTTL time.Duration
	// MaxPerKey bounds the providers of one key.
	MaxPerKey int
	// MaxKeys and MaxRecords bound the whole store. Each of the up to 64 shards gets
	// an equal part.
	MaxKeys, MaxRecords int
	// MaxPerProvider is the number of records beyond which a peer other than Self
	// gets no new ones while the store is over half of a budget, MaxPerHour that of
	// the new ones it gets in an hour then, half of them at once (below zero: any
	// number).
	MaxPerProvider int
	MaxPerHour     int
	// MaxAddrBytes bounds all addresses; beyond it, those announced longest ago are
	// forgotten and their providers listed without.
	MaxAddrBytes int64
	// Seed determines every random choice and which keys share a shard. Programs
	// draw it at random, so that nobody can aim at a shard.
	Seed uint64
}

func (c ProvidersConfig) withDefaults() ProvidersConfig {
	if c.Validity <= 0 {
		c.Validity = DefaultValidity
	}
	c.Validity = min(c.Validity, time.Duration(maxValidity)*time.Second)
	if c.AddrTTL <= 0 {
		c.AddrTTL = DefaultAddrTTL
	}
	if c.MaxPerKey <= 0 {
		c.MaxPerKey = DefaultMaxPerKey
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = DefaultMaxProviderRecords
	}
	if c.MaxKeys <= 0 {
		c.MaxKeys = c.MaxRecords
	}
	if c.MaxPerProvider <= 0 {
		c.MaxPerProvider = DefaultMaxPerProvider
	}
	if c.MaxPerHour == 0 {
		c.MaxPerHour = DefaultMaxPerHour
	}
	if c.MaxAddrBytes <= 0 {
		c.MaxAddrBytes = DefaultMaxAddrBytes
	}
	return c
}

// shards returns into how many parts, a power of two, the store is cut.
func (c *ProvidersConfig) shards() int {
	n := 1
	for n < maxShards && 2*n*recordsPerShard <= min(c.MaxRecords, c.MaxKeys) {
		n *= 2
	}
	return n
}
