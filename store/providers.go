package store

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// ProviderStore is the Providers every peer uses: an index in memory from a key
// to its providers, cut into shards by key. A key is known by its place in the
// keyspace, a record takes 8 bytes and its key 11 for all of them, in pages ordered
// by distance from this peer; a provider's addresses are held once, however many
// keys it announced, and encoded once.
//
// Who gets in when there is no room:
//   - A key with MaxPerKey providers takes a new one in place of the shortest
//     standing among a random few, so that a flood of newcomers mostly displaces
//     itself; if many of those few say that they live in one /16 (IPv6: /32), one
//     of these, so that peers with few subnets do not shut out the others.
//   - A full shard gives up the key farthest from this peer, and refuses a key that
//     is farther than all it holds.
//   - Over half of a budget, a peer that holds MaxPerProvider records, or has got
//     MaxPerHour within an hour, gets no new ones, and new keys beyond the radius
//     are refused.
//
// That is all the fairness there is: peers behind many ids and many addresses are
// not recognised.
//
// Locks: a shard's, then a part of the provider book's, then that of its numbers;
// nothing else is called under them.
type ProviderStore struct {
	cfg    ProvidersConfig
	clock  clock
	radius radius
	book   book
	arena  *arena
	shards []shard
	next   deadline
	size   atomic.Int64
	closed atomic.Bool
}

var _ Providers = (*ProviderStore)(nil)

// NewProviders returns an empty store.
func NewProviders(cfg ProvidersConfig) *ProviderStore {
	cfg = cfg.withDefaults()
	s := &ProviderStore{cfg: cfg, arena: new(arena)}
	runtime.AddCleanup(s, (*arena).close, s.arena) // of one that nobody closes
	n := cfg.shards()
	s.book.init(&s.cfg, n)
	s.shards = make([]shard, n)
	for i := range s.shards {
		s.shards[i].init(s, i)
	}
	return s
}

// Add implements Providers. At most protocol.MaxAddrs addresses and 2 KiB of them
// are kept, the first ones.
func (s *ProviderStore) Add(now time.Time, key []byte, p protocol.Peer) error {
	_, err := s.Announce(now, key, p)
	return err
}

// Append implements Providers. What it costs depends on max, not on how many
// providers the key has.
func (s *ProviderStore) Append(now time.Time, key []byte, dst []protocol.Peer, max int) ([]protocol.Peer, error) {
	if s.closed.Load() {
		return dst, ErrClosed
	}
	if max <= 0 || len(key) > protocol.MaxProviderKey {
		return dst, nil
	}
	id, h := s.place(key)
	return s.shard(h).appendSample(s.clock.tick(now), id, dst, max), nil
}

// Remove implements Providers.
func (s *ProviderStore) Remove(key, id []byte) {
	if who := s.book.find(s.hash(id), id); who != nil {
		in, h := s.place(key)
		s.shard(h).removeRecord(in, who)
	}
}

// NextDeadline implements Providers. It may be early, never late.
func (s *ProviderStore) NextDeadline() time.Time {
	next := s.next.at.Load()
	if next == 0 {
		return time.Time{}
	}
	return s.clock.time(next)
}

// Advance implements Providers.
func (s *ProviderStore) Advance(now time.Time) {
	t := s.clock.tick(now)
	s.next.at.Store(0)
	s.book.expire(t)
	s.next.sooner(s.book.next())
	work := 0
	for i := range s.shards {
		sh := &s.shards[i]
		for n := 1; n > 0; work += n {
			sh.mu.Lock()
			sh.touch(t)
			n = 0
			if work < sweepWork {
				n = sh.expire(t)
			}
			if n == 0 {
				s.next.sooner(sh.sweep.next())
			}
			sh.mu.Unlock()
		}
	}
}

// SetRadius tells the distance from this peer beyond which it is not expected to
// hold records. Zero means that it is not known.
func (s *ProviderStore) SetRadius(d keyspace.Distance) { s.radius.set(&d) }

// Len implements Providers.
func (s *ProviderStore) Len() int { return int(s.size.Load()) }

// Keys returns the number of keys that have a provider.
func (s *ProviderStore) Keys() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += s.shards[i].keys
		s.shards[i].mu.Unlock()
	}
	return n
}

// Close implements Providers.
func (s *ProviderStore) Close() error {
	s.closed.Store(true)
	for i := range s.shards {
		s.shards[i].discard()
	}
	s.arena.close()
	s.book.discard()
	s.next.at.Store(0)
	return nil
}

func checkProvider(key []byte, p *protocol.Peer) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("%w: the provider key is empty: give the multihash of the content", ErrInvalid)
	case len(key) > protocol.MaxProviderKey:
		return fmt.Errorf("%w: a provider key of %d bytes exceeds the limit of %d: give the multihash of the content",
			ErrTooLarge, len(key), protocol.MaxProviderKey)
	case len(p.ID) == 0:
		return fmt.Errorf("%w: the provider of %s has no id: give its peer id", ErrInvalid, show(key))
	case len(p.ID) > maxProviderID:
		return fmt.Errorf("%w: a provider id of %d bytes exceeds the limit of %d: give its peer id",
			ErrTooLarge, len(p.ID), maxProviderID)
	}
	return nil
}

func (s *ProviderStore) shard(h uint64) *shard { return &s.shards[h&uint64(len(s.shards)-1)] }

// hash spreads keys and ids over shards. It is a multiply-and-fold hash, seeded:
// an attacker who could aim at a shard would only fill that one sooner.
func (s *ProviderStore) hash(b []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	h := s.cfg.Seed ^ odd
	for len(b) >= 8 {
		h = fold(h^binary.LittleEndian.Uint64(b), odd)
		b = b[8:]
	}
	for _, c := range b {
		h = fold(h^uint64(c), odd)
	}
	return fold(h, s.cfg.Seed|1)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// deadline is the earliest tick at which something may be due, 0 for never.
type deadline struct{ at atomic.Uint32 }

// sooner lowers the deadline to t unless t is 0.
func (d *deadline) sooner(t tick) {
	for t != 0 {
		at := d.at.Load()
		if at != 0 && at <= t || d.at.CompareAndSwap(at, t) {
			return
		}
	}
}
