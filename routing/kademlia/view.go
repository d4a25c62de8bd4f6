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
	w := descent{view: v, target: target, prefix: prefixOf(target), out: dst, end: len(dst) + n}
	w.visit(0, len(v.contacts))
	return w.out
}

// descent is one walk of AppendClosest.
type descent struct {
	view   *View
	target *keyspace.Key
	prefix uint64
	out    []*Contact
	end    int // how long out may become
}

// visit appends the members [lo, hi), nearest first, until out is full.
func (w *descent) visit(lo, hi int) {
	for lo < hi && len(w.out) < w.end {
		differ := w.view.prefixes[lo] ^ w.view.prefixes[hi-1]
		if differ == 0 {
			w.appendSorted(lo, hi)
			return
		}
		bit := uint64(1) << (63 - bits.LeadingZeros64(differ))
		mid := w.split(lo, hi, bit)
		if w.prefix&bit == 0 {
			w.visit(lo, mid)
			lo = mid
		} else {
			w.visit(mid, hi)
			hi = mid
		}
	}
}

// split returns where the members with bit set begin in [lo, hi), which agree
// on all higher bits.
func (w *descent) split(lo, hi int, bit uint64) int {
	p := w.view.prefixes
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if p[mid]&bit == 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// appendSorted appends the members [lo, hi), whose first 64 bits are all equal:
// one member nearly always, a few only if their keys were mined.
func (w *descent) appendSorted(lo, hi int) {
	start := len(w.out)
	w.out = append(w.out, w.view.contacts[lo:hi]...)
	if hi-lo > 1 {
		target := w.target
		slices.SortFunc(w.out[start:], func(a, b *Contact) int {
			return keyspace.CompareDistance(target, &a.Key, &b.Key)
		})
	}
	w.out = w.out[:min(len(w.out), w.end)]
}

// instant is a time in nanoseconds since 1970: a third of a time.Time, for what
// every table entry of a hundred thousand simulated nodes holds.
type instant int64

