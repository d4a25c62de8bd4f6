package store

import (
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
)

// What a durable store adds to a ProviderStore: the same index, whose records
// come back after a restart as they were. Times are ticks, seconds on the store's
// own scale, which a restart continues where it ended (see Resume).

// Announced is what became of an announcement.
type Announced struct {
	// Peer is what is told of the provider from now on. It never changes, and is
	// the same pointer as long as the provider's addresses are.
	Peer *protocol.Peer
	// At is when the record was announced, First when for the first time, and
	// Before when the last time before, 0 if it is new.
	At, First, Before uint32
	// Seen is when the provider's addresses were announced, SeenBefore when they had
	// been before.
	Seen, SeenBefore uint32
	// Moved is whether the announcement told other addresses than were known.
	Moved bool
}

// ProviderRecord is one record with all that outlives a program.
type ProviderRecord struct {
	Key []byte
	// Peer is the provider with its addresses.
	Peer *protocol.Peer
	// Added is when the record was last announced, First when for the first time,
	// Seen when the addresses were announced.
	Added, First, Seen uint32
}

// Announce is Add, and tells what became of it.
func (s *ProviderStore) Announce(now time.Time, key []byte, p protocol.Peer) (Announced, error) {
	if err := checkProvider(key, &p); err != nil {
		return Announced{}, err
	}
	if s.closed.Load() {
		return Announced{}, ErrClosed
	}
	t := s.clock.tick(now)
	id, h := s.place(key)
	who, seen, moved := s.book.acquire(t, s.hash(p.ID), &p)
	if who == nil {
		return Announced{}, full(errNumbers, key)
	}
	a := Announced{At: t, SeenBefore: seen, Moved: moved}
	first, before, err := s.shard(h).add(t, id, who)
	a.First, a.Before = first, before
	a.Peer, a.Seen = who.peer.Load(), who.seen.Load()
	if err != nil || before != 0 {
		s.book.release(who)
	}
	// Last, so that an Advance meanwhile either saw the record or leaves this.
	s.next.sooner(after(t, min(seconds(s.cfg.Validity), seconds(s.cfg.AddrTTL))))
	if err != nil && err != ErrClosed {
		err = full(err, key)
	}
	return a, err
}

// full says for which reason there is no room for a provider of key.
func full(why error, key []byte) error {
	return fmt.Errorf("%w: %w (key %s)", ErrFull, why, show(key))
}

// Restore puts back what an earlier run held. A record that is held already keeps
// the later of both times. Budgets bind, shares and the radius do not: they were
// asked when the record came. It reports whether the record is held now.
func (s *ProviderStore) Restore(r ProviderRecord) bool {
	if checkProvider(r.Key, r.Peer) != nil || r.First > r.Added || s.closed.Load() {
		return false
	}
	s.clock.reach(r.Added)
	bare := protocol.Peer{ID: r.Peer.ID}
	who, _, _ := s.book.acquire(r.Added, s.hash(r.Peer.ID), &bare)
	if who == nil {
		return false
	}
	if len(r.Peer.Addrs) > 0 {
		s.book.restore(who, r.Seen, r.Peer.Addrs)
	}
	id, h := s.place(r.Key)
	kept := s.shard(h).restore(&r, id, who)
	if !kept {
		s.book.release(who)
	}
	s.next.sooner(after(r.Added, min(seconds(s.cfg.Validity), seconds(s.cfg.AddrTTL))))
	return kept
}

// Find returns the record of the peer with this id for key, valid or not.
func (s *ProviderStore) Find(key, id []byte) (ProviderRecord, bool) {
	who := s.book.find(s.hash(id), id)
	if who == nil {
		return ProviderRecord{}, false
	}
	in, h := s.place(key)
	added, first, found := s.shard(h).find(in, who)
	return ProviderRecord{Key: key, Peer: who.peer.Load(), Added: added, First: first, Seen: who.seen.Load()}, found
}

// Resume sets the clock of a store nobody has told the time: now is tick, or the
// latest tick restored if that is later.
func (s *ProviderStore) Resume(now time.Time, tick uint32) {
	s.clock.resume(now, tick)
}

// Tick returns now on the store's scale. It never goes back.
func (s *ProviderStore) Tick(now time.Time) uint32 { return s.clock.tick(now) }

// Latest returns the latest tick told or restored, 0 if none was.
func (s *ProviderStore) Latest() uint32 { return s.clock.latest.Load() }
