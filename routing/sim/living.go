package sim

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
)

// index knows, better than any node can, who is where in the keyspace: the
// members that a lookup should find, in the order of their keys. It tells members
// apart by the first 64 bits of their keys.
type index struct {
	prefixes []uint64
	members  []int32
}

func prefixOf(k *keyspace.Key) uint64 { return binary.BigEndian.Uint64(k[:8]) }

func (x *index) insert(k *keyspace.Key, who int32) {
	p := prefixOf(k)
	i, _ := slices.BinarySearch(x.prefixes, p)
	x.prefixes = slices.Insert(x.prefixes, i, p)
	x.members = slices.Insert(x.members, i, who)
}

func (x *index) remove(k *keyspace.Key) {
	if i, found := slices.BinarySearch(x.prefixes, prefixOf(k)); found {
		x.prefixes = slices.Delete(x.prefixes, i, i+1)
		x.members = slices.Delete(x.members, i, i+1)
	}
}

// appendClosest appends up to n members that keep says yes to, nearest to target
// first.
func (x *index) appendClosest(dst []int32, target *keyspace.Key, n int, keep func(int32) bool) []int32 {
	return x.descend(dst, prefixOf(target), 0, len(x.prefixes), len(dst)+n, keep)
}

// descend goes through the half of [lo, hi) that target lies in first.
func (x *index) descend(dst []int32, target uint64, lo, hi, end int, keep func(int32) bool) []int32 {
	if lo >= hi || len(dst) >= end {
		return dst
	}
	differ := x.prefixes[lo] ^ x.prefixes[hi-1]
	if differ == 0 {
		for _, who := range x.members[lo:hi] {
			if len(dst) < end && keep(who) {
				dst = append(dst, who)
			}
		}
		return dst
	}
	bit := uint64(1) << (63 - bits.LeadingZeros64(differ))
	first := x.prefixes[lo] &^ (bit<<1 - 1)
	mid, _ := slices.BinarySearch(x.prefixes[lo:hi], first|bit)
	mid += lo
	if target&bit == 0 {
		dst = x.descend(dst, target, lo, mid, end, keep)
		return x.descend(dst, target, mid, hi, end, keep)
	}
	dst = x.descend(dst, target, mid, hi, end, keep)
	return x.descend(dst, target, lo, mid, end, keep)
}
