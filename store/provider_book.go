package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// provider is one peer, however many keys it serves.
type provider struct {
	id     string
	number uint32 // by which records name it
	shelf  *shelf
	own    bool // this peer itself
	// group is the address group it says it is in, 0 if none is known.
	group atomic.Uint32
	// peer is what is told of it, precoded; the Peer pointed to never changes.
	peer atomic.Pointer[protocol.Peer]
	// seen is when its addresses were last announced.
	seen atomic.Uint32
	// refs counts the records that name it; changed under the shelf's lock.
	refs atomic.Int32
	// hourly is what it has had of an hour's new records.
	hourly share

	place       // in the shelf's due while it has addresses
	size  int32 // what its addresses are charged for
}

// book holds the providers that records name, each as long as one does.
type book struct {
	self    keyspace.Key
	addrTTL tick
	shelves []shelf
	numbers numbers
}

// shelf is a part of the book.
type shelf struct {
	maxBytes int64

	mu    sync.Mutex // guards all below
	peers map[string]*provider
	due   buckets[*provider] // those with addresses, by when these get too old
	bytes int64
}

func (b *book) init(cfg *ProvidersConfig, n int) {
	b.self = cfg.Self
	b.addrTTL = seconds(cfg.AddrTTL)
	b.shelves = make([]shelf, n)
	for i := range b.shelves {
		b.shelves[i] = shelf{
			maxBytes: cfg.MaxAddrBytes / int64(n),
			peers:    make(map[string]*provider),
			due:      newBuckets[*provider](b.addrTTL),
		}
	}
}

// shelf picks by other bits of the hash than shards do.
func (b *book) shelf(h uint64) *shelf { return &b.shelves[h>>32&uint64(len(b.shelves)-1)] }

// find returns the provider with this id, nil if no record names it.
func (b *book) find(h uint64, id []byte) *provider {
	s := b.shelf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[string(id)]
}

// acquire returns the provider p with one reference more, and learns p's
// addresses if it has any. seen is when it told some before, moved whether they
// are other ones now. It returns nil if there are more providers than there are
// numbers.
func (b *book) acquire(t tick, h uint64, p *protocol.Peer) (who *provider, seen tick, moved bool) {
	s := b.shelf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	who = s.peers[string(p.ID)]
	if who == nil {
		who = &provider{id: string(p.ID), shelf: s, place: place{slot: unfiled}, own: keyspace.KeyOf(p.ID) == b.self}
		if !b.numbers.give(who) {
			return nil, 0, false
		}
		who.peer.Store(bare(p.ID))
		s.peers[who.id] = who
	}
	who.refs.Add(1)
	seen = who.seen.Load()
	if len(p.Addrs) > 0 {
		moved = s.learn(t, b.addrTTL, who, kept(p.Addrs))
	}
	return who, seen, moved
}

// restore lets who have these addresses, announced at seen, unless newer ones are
// known.
func (b *book) restore(who *provider, seen tick, addrs [][]byte) {
	s := who.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	if who.size == 0 || seen >= who.seen.Load() {
		s.learn(seen, b.addrTTL, who, kept(addrs))
	}
}

// release takes one reference to who back and forgets it with the last.
func (b *book) release(who *provider) {
	s := who.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	if who.refs.Add(-1) > 0 {
		return
	}
	if who.size > 0 {
		s.strip(who)
	}
	delete(s.peers, who.id)
	b.numbers.takeBack(who)
}

// discard forgets all providers, once all records are forgotten.
func (b *book) discard() {
	for i := range b.shelves {
		s := &b.shelves[i]
		s.mu.Lock()
		clear(s.peers)
		s.due, s.bytes = newBuckets[*provider](b.addrTTL), 0
		s.mu.Unlock()
	}
}

// listed returns what is told of who: without addresses if they are too old.
func (b *book) listed(t tick, who *provider) *protocol.Peer {
	p := who.peer.Load()
	if len(p.Addrs) > 0 && t > after(who.seen.Load(), b.addrTTL) {
		return bare(p.ID)
	}
	return p
}

// expire forgets addresses that are due, up to a bound on its work.
func (b *book) expire(t tick) {
	work := 0
	for i := range b.shelves {
		s := &b.shelves[i]
		for n := 1; n > 0 && work < sweepWork; work += n {
			s.mu.Lock()
			n = s.expire(t, b.addrTTL)
			s.mu.Unlock()
		}
	}
}

// next returns when expire has something to do, 0 if never.
func (b *book) next() tick {
	var next deadline
	for i := range b.shelves {
		s := &b.shelves[i]
		s.mu.Lock()
		next.sooner(s.due.next())
		s.mu.Unlock()
	}
	return next.at.Load()
}

// learn takes addrs, which it copies, for who's, and reports whether they are
// other ones.
func (s *shelf) learn(t, ttl tick, who *provider, addrs [][]byte) (moved bool) {
	if len(addrs) == 0 {
		return false
	}
	who.seen.Store(t)
	if slices.EqualFunc(who.peer.Load().Addrs, addrs, bytes.Equal) {
		return false
	}
	if who.size > 0 {
		s.strip(who)
	}
	p := &protocol.Peer{ID: []byte(who.id), Addrs: addrs}
	*p = p.Clone()
	p.Precode()
	who.peer.Store(p)
	who.group.Store(addrGroup(addrs))
	who.size = addrCost(addrs)
	s.bytes += int64(who.size)
	s.due.add(t, after(t, ttl), who)
	for s.bytes > s.maxBytes && s.expire(t, ttl) > 0 {
	}
	for s.bytes > s.maxBytes {
		s.giveUp(t, ttl)
	}
	return true
}

// expire looks at a few providers whose addresses are due and returns how many.
func (s *shelf) expire(t, ttl tick) int {
	due := s.due.take(t, sweepChunk)
	for _, who := range due {
		if until := after(who.seen.Load(), ttl); t > until {
			s.strip(who)
		} else {
			s.due.add(t, until, who)
		}
	}
	return len(due)
}

// giveUp forgets the addresses of a provider of the earliest slot.
func (s *shelf) giveUp(t, ttl tick) {
	who := s.due.oldest()
	if until := after(who.seen.Load(), ttl); until/s.due.width > who.slot {
		s.due.remove(who) // announced again since: to where it belongs
		s.due.add(t, until, who)
		return
	}
	s.strip(who)
}

// strip forgets who's addresses, of which it has some.
func (s *shelf) strip(who *provider) {
	s.due.remove(who)
	s.bytes -= int64(who.size)
	who.size = 0
	who.peer.Store(bare([]byte(who.id)))
}

// bare returns a precoded peer without addresses.
func bare(id []byte) *protocol.Peer {
	p := &protocol.Peer{ID: slices.Clone(id)}
	p.Precode()
	return p
}

// kept returns the leading addresses that are within the limits for a provider.
func kept(addrs [][]byte) [][]byte {
	size := 0
	for i, addr := range addrs {
		size += len(addr)
		if i == protocol.MaxAddrs || size > maxProviderAddrs {
			return addrs[:i]
		}
	}
	return addrs
}

// addrGroup returns where the first address with an IP lies, its /16 (IPv6: /32), 0
// if none has one. Whoever has many ids seldom has many of these (reliability.md
// P8).
func addrGroup(addrs [][]byte) uint32 {
	const ip4, ip6 = 4, 41 // multiaddr protocol codes, each one byte
	for _, a := range addrs {
		switch {
		case len(a) >= 5 && a[0] == ip4:
			return ip4<<24 | uint32(a[1])<<8 | uint32(a[2])
		case len(a) >= 17 && a[0] == ip6:
			return binary.BigEndian.Uint32(a[1:]) | 1<<31
		}
	}
	return 0
}

// addrCost is what addrs take in memory: a slice header each, and the bytes twice,
// once encoded.
func addrCost(addrs [][]byte) int32 {
	n := 0
	for _, addr := range addrs {
		n += 24 + 2*len(addr)
	}
	return int32(n)
}
