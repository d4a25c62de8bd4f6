package kademlia

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/kdht/kdht/protocol/keyspace"
	"pgregory.net/rapid"
)

// maze drives one Lookup of several paths over an imaginary network in which some of
// those it begins with lie: they, and whom they name, name only what they have invented
// next to the target, which answers and names more of it.
type maze struct {
	*rapid.T
	lookup *Lookup
	honest []*Contact
	liars  map[keyspace.Key]bool
	asker  map[keyspace.Key]pathSet
	heard  map[keyspace.Key]pathSet // the paths that have heard of a peer, said once more
	open   []*Contact
	lies   uint32
	quick  bool // liars answer before all others
}

// invented returns n peers that nobody has thought of yet, each nearer to the target than
// all before.
func (m *maze) invented(n int) (named []*Contact) {
	for range n {
		m.lies++
		key := m.lookup.target
		for i, b := range binary.BigEndian.AppendUint32(nil, 1<<31-m.lies) {
			key[20+i] ^= b
		}
		m.liars[key] = true
		c := contactAt(key)
		c.Peer.Addrs = [][]byte{testAddr(1)}
		named = append(named, c)
	}
	return named
}

// nearest returns the n honest peers nearest to the target.
func (m *maze) nearest(n int) []*Contact {
	all := slices.Clone(m.honest)
	slices.SortFunc(all, func(a, b *Contact) int { return keyspace.CompareDistance(&m.lookup.target, &a.Key, &b.Key) })
	return all[:min(n, len(all))]
}

// ask asks whom the lookup names.
func (m *maze) ask(alpha int) {
	for c := m.lookup.Next(); c != nil; c = m.lookup.Next() {
		i, _ := m.lookup.find(&c.Key)
		path := m.lookup.candidates[i].asker
		switch {
		case m.asker[c.Key] != 0:
			m.Fatal("a peer is asked twice")
		case path&(path-1) != 0 || m.heard[c.Key]&path == 0:
			m.Fatalf("path %b asks a peer that paths %b have heard of", path, m.heard[c.Key])
		case len(m.open) >= max(alpha, m.lookup.k) || len(m.asker) == len(m.open) && len(m.open) >= alpha:
			m.Fatalf("%d requests under way", len(m.open)+1)
		}
		m.asker[c.Key] = path
		m.open = append(m.open, c)
	}
}

// settle lets one request be answered: any, or one to a liar if these are quick.
func (m *maze) settle(k int) {
	i := rapid.IntRange(0, len(m.open)-1).Draw(m.T, "next")
	if quick := slices.IndexFunc(m.open, func(c *Contact) bool { return m.liars[c.Key] }); m.quick && quick >= 0 {
		i = quick
	}
	c := m.open[i]
	m.open = slices.Delete(m.open, i, i+1)
	named := m.nearest(k)
	if m.liars[c.Key] {
		named = m.invented(k)
	}
	for _, o := range named {
		m.heard[o.Key] |= m.asker[c.Key]
	}
	m.lookup.follow(&c.Key)
	m.lookup.Answered(&c.Key, named)
	m.lookup.follow(nil)
}

// However many of those that a lookup begins with lie, as long as one path meets none of
// them the honest peers nearest to the target are all asked; without liars they are what
// is found. No peer is asked by two paths, or by one that has not heard of it.
func TestDisjointPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, count := rapid.IntRange(1, 8).Draw(t, "k"), rapid.IntRange(2, MaxPaths).Draw(t, "paths")
		alpha := rapid.IntRange(count, 2*count).Draw(t, "alpha")
		m := &maze{T: t, liars: map[keyspace.Key]bool{}, asker: map[keyspace.Key]pathSet{}, heard: map[keyspace.Key]pathSet{}, quick: rapid.Bool().Draw(t, "quick")}
		for i := range 60 {
			m.honest = append(m.honest, testContact(uint64(i)))
		}
		seeds := slices.Clone(m.honest[:rapid.IntRange(count, 20).Draw(t, "seeds")])
		target := keyspace.KeyOf(fmt.Appendf(nil, "target %d", rapid.Byte().Draw(t, "target")))
		m.lookup = newLookup(target, k, alpha, 3, seeds)
		m.lookup.split(count)
		lying := rapid.IntRange(0, count-1).Draw(t, "lying paths")
		for _, c := range seeds {
			i, _ := m.lookup.find(&c.Key)
			m.heard[c.Key] = 1 << (i % count)
			if m.heard[c.Key] < 1<<lying && rapid.Bool().Draw(t, "lies") {
				m.liars[c.Key] = true
			}
		}
		lied := len(m.liars) > 0
		m.honest = slices.DeleteFunc(m.honest, func(c *Contact) bool { return m.liars[c.Key] })
		for m.ask(alpha); !m.lookup.Done(); m.ask(alpha) {
			if len(m.open) == 0 {
				t.Fatal("the lookup waits for nothing")
			}
			m.settle(k)
		}
		for _, c := range m.nearest(k) {
			if m.asker[c.Key] == 0 {
				t.Fatal("one of the honest peers nearest to the target is not asked")
			}
		}
		if got := m.lookup.appendAnswered(nil, k); !lied && !slices.Equal(idsOf(got), idsOf(m.nearest(k))) {
			t.Fatalf("found %d peers, not the %d nearest", len(got), k)
		}
		for path, n := range m.lookup.paths.asked {
			if int(n) > maxAsked/count {
				t.Fatalf("path %d has asked %d peers", path, n)
			}
		}
	})
}
