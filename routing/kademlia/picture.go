package kademlia

import (
	"cmp"
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// shelves is into how many parts a picture is cut, so that what changes in one moves the
// others not.
const shelves = 1 << 12

// picture is many peers in little memory: of each the beginning of its key, and its id and
// addresses in one piece.
//
// Invariant: shelf i holds those whose keys begin with the bits of i, in any order; count is
// how many there are, size the bytes of their pieces.
type picture struct {
	shelf [][]person // nil: there is nobody
	count int
	size  int
}

// person is one peer: its id after its length, its addresses each after theirs.
type person struct {
	key   uint64 // the first 64 bits
	piece string
}

func personOf(c *Contact) person {
	b := append([]byte{byte(len(c.ID))}, c.ID...)
	for _, a := range c.Peer.Addrs {
		b = append(append(b, byte(len(a)), byte(len(a)>>8)), a...)
	}
	return person{prefixOf(&c.Key), string(b)}
}

// contact is the reverse of personOf.
func (p *person) contact() *Contact {
	n := int(p.piece[0])
	id, rest := peer.ID(p.piece[1:1+n]), p.piece[1+n:]
	var addrs [][]byte
	for len(rest) > 0 {
		size := int(rest[0]) | int(rest[1])<<8
		addrs = append(addrs, []byte(rest[2:2+size]))
		rest = rest[2+size:]
	}
	return contactOf(id, addrs)
}

// bytes returns what the picture takes.
func (p *picture) bytes() int {
	const header, entry = 24, 24
	sum := len(p.shelf)*header + p.size
	for _, s := range p.shelf {
		sum += cap(s) * entry
	}
	return sum
}

// span returns the shelves that a tract has a part in, from one up to another.
func (t tract) span() (from, to int) {
	from = int(t.prefix >> 52)
	return from, from + max(1, shelves>>t.bits)
}

// within returns how many are known of a tract.
func (p *picture) within(t tract) (n int) {
	if p.shelf == nil {
		return 0
	}
	from, to := t.span()
	for _, s := range p.shelf[from:to] {
		for i := range s {
			if t.holds(s[i].key) {
				n++
			}
		}
	}
	return n
}

// replace has these be all who are in a tract. Those whose id does not fit a piece are left
// out.
func (p *picture) replace(t tract, all []*Contact) {
	if p.shelf == nil {
		p.shelf = make([][]person, shelves)
	}
	from, to := t.span()
	for i := from; i < to; i++ {
		p.shelf[i] = slices.DeleteFunc(p.shelf[i], func(o person) bool {
			gone := t.holds(o.key)
			if gone {
				p.count--
				p.size -= len(o.piece)
			}
			return gone
		})
	}
	for _, c := range all {
		if len(c.ID) > maxIDSize || !c.HasAddrs() {
			continue
		}
		one := personOf(c)
		p.shelf[one.key>>52] = append(p.shelf[one.key>>52], one)
		p.count++
		p.size += len(one.piece)
	}
}

// closest returns the n nearest to a key, nearest first.
func (p *picture) closest(target *keyspace.Key, n int) []*Contact {
	var near []*person
	home := int(prefixOf(target) >> 52)
	for i := 0; i < len(p.shelf) && len(near) < n; i++ { // in the order of their distance
		s := p.shelf[home^i]
		first := len(near)
		for j := range s {
			near = append(near, &s[j])
		}
		slices.SortFunc(near[first:], func(a, b *person) int {
			return cmp.Compare(a.key^prefixOf(target), b.key^prefixOf(target))
		})
	}
	all := make([]*Contact, 0, n)
	for _, one := range near[:min(n, len(near))] {
		all = append(all, one.contact())
	}
	return all
}
