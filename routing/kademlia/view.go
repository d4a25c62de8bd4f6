package kademlia

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// View is the table's members at one moment, immutable, in the order of their
// keys. A sorted sequence of keys is a binary trie laid flat: two members
// differ first at the highest bit in which the ends of their range differ. So
// the nearest members to any target come out in order by descending into the
// target's half first, and nothing is ever sorted.
type View struct {
	prefixes []uint64 // the first 64 bits of each key: the walk touches only these
	contacts []*Contact
}

// newView orders contacts, which it takes over.
func newView(contacts []*Contact) *View {
	slices.SortFunc(contacts, func(a, b *Contact) int { return a.Key.Compare(&b.Key) })
	v := &View{prefixes: make([]uint64, len(contacts)), contacts: contacts}
	for i, c := range contacts {
		v.prefixes[i] = prefixOf(&c.Key)
	}
	return v
}

// with returns v with one more member.
func (v *View) with(c *Contact) *View {
	i, _ := v.find(&c.Key)
	w := &View{prefixes: make([]uint64, len(v.prefixes)+1), contacts: make([]*Contact, len(v.contacts)+1)}
	copy(w.prefixes, v.prefixes[:i])
	copy(w.contacts, v.contacts[:i])
	w.prefixes[i], w.contacts[i] = prefixOf(&c.Key), c
	copy(w.prefixes[i+1:], v.prefixes[i:])
	copy(w.contacts[i+1:], v.contacts[i:])
	return w
}

func prefixOf(k *keyspace.Key) uint64 { return binary.BigEndian.Uint64(k[:8]) }

// Len returns the number of members.
func (v *View) Len() int { return len(v.contacts) }

// Contains reports whether id is a member.
func (v *View) Contains(id peer.ID) bool {
	k := keyspace.KeyOfString(string(id))
	_, found := v.find(&k)
	return found
}

// find returns the position of key, or where it belongs.
func (v *View) find(key *keyspace.Key) (int, bool) {
	return slices.BinarySearchFunc(v.contacts, key, func(c *Contact, k *keyspace.Key) int { return c.Key.Compare(k) })
}

// AppendClosest appends the n members nearest to target, nearest first, to dst.
// It allocates only if dst lacks room.
func (v *View) AppendClosest(dst []*Contact, target *keyspace.Key, n int) []*Contact {
	if n <= 0 || len(v.contacts) == 0 {
		return dst
	}
	return v.descend(dst, target, prefixOf(target), 0, len(v.contacts), len(dst)+n)
}

// descend appends the members [lo, hi), nearest to target first, until dst is
// end long. prefix is the target's.
func (v *View) descend(dst []*Contact, target *keyspace.Key, prefix uint64, lo, hi, end int) []*Contact {
	for lo < hi && len(dst) < end {
		if hi-lo == 1 {
			return append(dst, v.contacts[lo])
		}
		differ := v.prefixes[lo] ^ v.prefixes[hi-1]
		if differ == 0 {
			return v.appendSorted(dst, target, lo, hi, end)
		}
		bit := uint64(1) << (63 - bits.LeadingZeros64(differ))
		mid := v.split(lo, hi, bit)
		if prefix&bit == 0 {
			dst = v.descend(dst, target, prefix, lo, mid, end)
			lo = mid
		} else {
			dst = v.descend(dst, target, prefix, mid, hi, end)
			hi = mid
		}
	}
	return dst
}

// split returns where the members with bit set begin in [lo, hi), which agree
// on all higher bits.
func (v *View) split(lo, hi int, bit uint64) int {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v.prefixes[mid]&bit == 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// appendSorted appends the members [lo, hi), whose first 64 bits are all equal:
// one member nearly always, a few only if their keys were mined.
func (v *View) appendSorted(dst []*Contact, target *keyspace.Key, lo, hi, end int) []*Contact {
	start := len(dst)
	dst = append(dst, v.contacts[lo:hi]...)
	if hi-lo > 1 {
		slices.SortFunc(dst[start:], func(a, b *Contact) int {
			return keyspace.CompareDistance(target, &a.Key, &b.Key)
		})
	}
	return dst[:min(len(dst), end)]
}

// instant is a time in nanoseconds since 1970: a third of a time.Time, for what
// every table entry of a hundred thousand simulated nodes holds.
type instant int64
