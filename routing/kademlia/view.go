package kademlia

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// View is the table's members at one moment, immutable: a shelf for each bucket,
// and on it the bucket's members in the order of their keys. A change copies the
// shelf concerned and leaves the others to be shared by both views.
//
// Nothing is ever sorted to find the nearest to a target. Which shelf comes first
// follows from the bits in which the target differs from ourselves; and a shelf, as
// a sorted sequence of keys, is a binary trie laid flat: two members differ first
// at the highest bit in which the ends of their range differ, so they come out in
// order by descending into the target's half first.
type View struct {
	self    *keyspace.Key
	shelves []shelf // by common prefix length with self
	size    int
}

// shelf holds the members of one bucket in the order of their keys.
type shelf []place

// place is a member with the first 64 bits of its key: the walk touches only
// these.
type place struct {
	prefix  uint64
	contact *Contact
}

func prefixOf(k *keyspace.Key) uint64 { return binary.BigEndian.Uint64(k[:8]) }

// Len returns the number of members.
func (v *View) Len() int { return v.size }

// Contains reports whether id is a member.
func (v *View) Contains(id peer.ID) bool {
	k := keyspace.KeyOfString(string(id))
	return v.contact(&k) != nil
}

// contact returns the member with this key, or nil.
func (v *View) contact(key *keyspace.Key) *Contact {
	return v.inBucket(keyspace.CommonPrefixLen(v.self, key), key)
}

// inBucket returns the member of bucket p with this key, or nil.
func (v *View) inBucket(p int, key *keyspace.Key) *Contact {
	if p >= len(v.shelves) {
		return nil
	}
	if i, found := v.shelves[p].find(key); found {
		return v.shelves[p][i].contact
	}
	return nil
}

// find returns the position of key, or where it belongs.
func (s shelf) find(key *keyspace.Key) (int, bool) {
	prefix := prefixOf(key)
	lo, hi := 0, len(s)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); s[mid].prefix < prefix {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < len(s) && s[lo].prefix == prefix; lo++ { // one at most, unless keys were mined
		if order := s[lo].contact.Key.Compare(key); order >= 0 {
			return lo, order == 0
		}
	}
	return lo, false
}

// changed returns v with shelf p as given, and with more members than before.
func (v *View) changed(p int, s shelf, more int) *View {
	w := &View{self: v.self, shelves: make([]shelf, max(len(v.shelves), p+1)), size: v.size + more}
	copy(w.shelves, v.shelves)
	w.shelves[p] = s
	return w
}

// with returns v with one more member, of bucket p.
func (v *View) with(p int, c *Contact) *View {
	var old shelf
	if p < len(v.shelves) {
		old = v.shelves[p]
	}
	i, _ := old.find(&c.Key)
	s := make(shelf, len(old)+1)
	copy(s, old[:i])
	s[i] = place{prefixOf(&c.Key), c}
	copy(s[i+1:], old[i:])
	return v.changed(p, s, 1)
}

// without returns v without the member of bucket p that has this key.
func (v *View) without(p int, key *keyspace.Key) *View {
	i, found := v.shelves[p].find(key)
	if !found {
		return v
	}
	s := make(shelf, 0, len(v.shelves[p])-1)
	s = append(append(s, v.shelves[p][:i]...), v.shelves[p][i+1:]...)
	return v.changed(p, s, -1)
}

// updated returns v with c in place of the member of bucket p that has its key.
func (v *View) updated(p int, c *Contact) *View {
	s := slices.Clone(v.shelves[p])
	if i, found := s.find(&c.Key); found {
		s[i].contact = c
	}
	return v.changed(p, s, 0)
}

// AppendClosest appends the n members nearest to target, nearest first, to dst.
// It allocates only if dst lacks room.
//
// A member of bucket i agrees with us in the first i bits and not in the next. If
// the target does not agree with us there either, the member is nearer to it than
// we are, and the more so the smaller i is; otherwise it is farther, and the less
// so the greater i is.
func (v *View) AppendClosest(dst []*Contact, target *keyspace.Key, n int) []*Contact {
	end := len(dst) + n
	prefix := prefixOf(target)
	p := keyspace.CommonPrefixLen(v.self, target)
	for i := p; i < len(v.shelves) && len(dst) < end; i++ {
		if v.differs(target, i) {
			dst = v.shelves[i].descend(dst, target, prefix, 0, len(v.shelves[i]), end)
		}
	}
	for i := len(v.shelves) - 1; i >= 0 && len(dst) < end; i-- {
		if i < p || !v.differs(target, i) {
			dst = v.shelves[i].descend(dst, target, prefix, 0, len(v.shelves[i]), end)
		}
	}
	return dst
}

// differs reports whether target and our own key differ in bit i.
func (v *View) differs(target *keyspace.Key, i int) bool {
	return (v.self[i/8]^target[i/8])>>(7-i%8)&1 != 0
}

// descend appends the members [lo, hi), nearest to target first, until dst is
// end long. prefix is the target's.
func (s shelf) descend(dst []*Contact, target *keyspace.Key, prefix uint64, lo, hi, end int) []*Contact {
	for lo < hi && len(dst) < end {
		if hi-lo == 1 {
			return append(dst, s[lo].contact)
		}
		differ := s[lo].prefix ^ s[hi-1].prefix
		if differ == 0 {
			return s.appendSorted(dst, target, lo, hi, end)
		}
		bit := uint64(1) << (63 - bits.LeadingZeros64(differ))
		mid := s.split(lo, hi, bit)
		if prefix&bit == 0 {
			dst = s.descend(dst, target, prefix, lo, mid, end)
			lo = mid
		} else {
			dst = s.descend(dst, target, prefix, mid, hi, end)
			hi = mid
		}
	}
	return dst
}

// split returns where the members with bit set begin in [lo, hi), which agree
// on all higher bits.
func (s shelf) split(lo, hi int, bit uint64) int {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s[mid].prefix&bit == 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// appendSorted appends the members [lo, hi), whose first 64 bits are all equal:
// one member nearly always, a few only if their keys were mined.
func (s shelf) appendSorted(dst []*Contact, target *keyspace.Key, lo, hi, end int) []*Contact {
	start := len(dst)
	for _, p := range s[lo:hi] {
		dst = append(dst, p.contact)
	}
	slices.SortFunc(dst[start:], func(a, b *Contact) int {
		return keyspace.CompareDistance(target, &a.Key, &b.Key)
	})
	return dst[:min(len(dst), end)]
}
