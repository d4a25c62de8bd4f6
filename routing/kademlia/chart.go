package kademlia

import (
	"math/bits"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// chart is who is where in a part of the keyspace, as lookups there have found: enough of
// it to tell for many keys who is nearest to each, without a lookup for each.
//
// A lookup that has ended knows everybody who is nearer to its target than the k-th
// nearest: a ball. Where balls lie side by side without a gap, the k nearest to any key
// are known whose own ball lies inside.
//
// Invariant: peers has each once; whole is ascending, and no two of its spans touch.
type chart struct {
	k     int
	since time.Time // when the first of its lookups ended
	peers shelf
	whole []span // everybody there is known
}

// span is a part of the keyspace by the first 64 bits of its keys, both ends included.
type span struct{ from, to uint64 }

// note takes in the end of a lookup. all says whether those it found are all there are if
// they are fewer than k.
func (c *chart) note(now time.Time, target *keyspace.Key, closest []*Contact, all bool) {
	if len(c.whole) == 0 {
		c.since = now
	}
	for _, p := range closest {
		if i, known := c.peers.find(&p.Key); !known {
			c.peers = slices.Insert(c.peers, i, place{prefixOf(&p.Key), p})
		}
	}
	if len(closest) < c.k {
		if all {
			c.whole = []span{{0, 1<<64 - 1}}
		}
		return
	}
	center := prefixOf(target)
	ball(center, center^prefixOf(&closest[c.k-1].Key), func(s span) bool {
		c.cover(s)
		return true
	})
}

// forget takes out a peer that is not there.
func (c *chart) forget(p *Contact) {
	if i, known := c.peers.find(&p.Key); known {
		c.peers = slices.Delete(c.peers, i, i+1)
	}
}

// nearest appends n of those known, the nearest to key first, and reports whether the first
// k of them are the k nearest of all. n is k or more.
func (c *chart) nearest(dst []*Contact, key *keyspace.Key, n int) (near []*Contact, sure bool) {
	first, center := len(dst), prefixOf(key)
	near = c.peers.descend(dst, key, center, 0, len(c.peers), first+n)
	if len(near)-first < c.k {
		return near, c.covers(span{0, 1<<64 - 1})
	}
	sure = true
	ball(center, center^prefixOf(&near[first+c.k-1].Key), func(s span) bool {
		sure = c.covers(s)
		return sure
	})
	return near, sure
}

// ball calls f, until it returns false, for the spans that together are all that is nearer
// to a place than a distance, the largest first.
func ball(center, radius uint64, f func(span) bool) {
	for left := radius; left != 0; {
		bit := uint64(1) << (63 - bits.LeadingZeros64(left))
		left &^= bit
		from := (center ^ (radius &^ (bit<<1 - 1))) &^ (bit - 1)
		if !f(span{from, from | (bit - 1)}) {
			return
		}
	}
}

// covers reports whether everybody in s is known.
func (c *chart) covers(s span) bool {
	i, _ := slices.BinarySearchFunc(c.whole, s.from, func(w span, from uint64) int {
		if w.to < from {
			return -1
		}
		return 1
	})
	return i < len(c.whole) && c.whole[i].from <= s.from && s.to <= c.whole[i].to
}

// cover notes that everybody in s is known.
func (c *chart) cover(s span) {
	first := 0
	for first < len(c.whole) && s.from > 0 && c.whole[first].to < s.from-1 {
		first++
	}
	after := first
	for after < len(c.whole) && (s.to == 1<<64-1 || c.whole[after].from <= s.to+1) {
		s.from, s.to = min(s.from, c.whole[after].from), max(s.to, c.whole[after].to)
		after++
	}
	c.whole = slices.Replace(c.whole, first, after, s)
}
