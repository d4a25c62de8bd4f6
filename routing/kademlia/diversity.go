package kademlia

import (
	"net/netip"
	"slices"
)

// Bounds on peers of one wide subnet, a /16 or a /32: whoever has many ids seldom
// has many of these (reliability.md T1, T2; deployed peers bound tables by the same
// figures, wire.md §10, and drop all of a subnet that exceeds that of an answer,
// which lets four liars silence its honest members: we keep as many as may be).
const (
	maxInBucket = 2
	maxInTable  = 3
	maxInAnswer = 3
)

// home is where a contact lives: the subnet of its first IPv4 address and that of
// its first IPv6 one, 0 where it has none. More are not counted: they would let one
// peer take the places of many. Where it is connected from counts before what it
// says, which costs nothing to invent. A contact without any, reached by name or by
// relay only, lives nowhere and shares a home with nobody.
type home [2]subnet

// homeOf returns where c lives; nowhere if subnets are not bounded.
func (c *Config) homeOf(o *Contact) (h home) {
	if c.Locate == nil {
		return h
	}
	if c.Connected != nil {
		if from, connected := c.Connected(o.ID); connected && from.IsValid() {
			h.settle(from)
		}
	}
	for _, a := range o.Peer.Addrs {
		if at, ok := c.Locate(a); ok {
			h.settle(at.Addr())
		}
	}
	return h
}

// settle takes ip's subnet if none of its family is known.
func (h *home) settle(ip netip.Addr) {
	family := 0
	if ip.Unmap().Is6() {
		family = 1
	}
	if h[family] == 0 {
		h[family] = wide(ip)
	}
}

// nowhere reports whether the home bounds nothing.
func (h home) nowhere() bool { return h == home{} }

// shares reports whether two homes have a subnet in common.
func (h home) shares(o home) bool { return h[0] != 0 && h[0] == o[0] || h[1] != 0 && h[1] == o[1] }

// crowded reports whether c, no member, would be one too many of its subnet in its
// bucket, those who wait for a place in a full one included, or in the table.
// Members never leave for it.
func (n *Node) crowded(c *Contact) bool {
	h := n.cfg.homeOf(c)
	b := n.table.bucket(&c.Key)
	if h.nowhere() || b == nil {
		return false
	}
	near := n.neighbours(b, h)
	if !n.table.hasRoom(&c.Key) {
		for _, waiting := range b.replacements {
			if o := waiting.contact; o.Key != c.Key && h.shares(n.cfg.homeOf(o)) {
				near++
			}
		}
		return near >= maxInBucket
	}
	all := 0
	for p := range n.table.buckets {
		all += n.neighbours(&n.table.buckets[p], h)
	}
	return near >= maxInBucket || all >= maxInTable
}

// neighbours counts the members of b that share a subnet with h.
func (n *Node) neighbours(b *bucket, h home) (count int) {
	for i := range b.members {
		if h.shares(n.cfg.homeOf(b.members[i].contact)) {
			count++
		}
	}
	return count
}

// surplus reports whether maxInAnswer candidates of the subnet of the one at
// position i are nearer to the target, and may yet be found. The target itself is
// none.
func (l *Lookup) surplus(i int) bool {
	if l.cfg == nil || l.cfg.Locate == nil || l.candidates[i].contact.Key == l.target {
		return false
	}
	h := l.cfg.homeOf(l.candidates[i].contact)
	if h.nowhere() {
		return false
	}
	nearer := 0
	for j := range l.candidates[:i] {
		if c := &l.candidates[j]; !c.out() && h.shares(l.cfg.homeOf(c.contact)) {
			nearer++
		}
	}
	return nearer >= maxInAnswer
}

// release has the candidates that are barred looked at anew.
func (l *Lookup) release() {
	for i := range l.candidates {
		if l.candidates[i].state == barred {
			l.candidates[i].state = heard
		}
	}
}

// spreadOut cuts what one answer names, in order, to maxInAnswer contacts of a
// subnet; those of the subnets it has too many of that come later are dropped.
func (c *Config) spreadOut(named []*Contact) []*Contact {
	if c.Locate == nil {
		return named
	}
	var homes []home
	return slices.DeleteFunc(named, func(o *Contact) bool {
		h := c.homeOf(o)
		n := 0
		for _, other := range homes {
			if h.shares(other) {
				n++
			}
		}
		if n >= maxInAnswer {
			return true
		}
		homes = append(homes, h)
		return false
	})
}
