package kademlia

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Bounds on the connections that what others say makes us open: an answer names
// whom its sender likes, at any address (reliability.md T4, P12).
const (
	// maxDials bounds the peers that one lookup dials, maxVain those among them that
	// it dials in vain because one peer has named them; a dial under way is in vain
	// until it is not.
	maxDials = 60
	maxVain  = 3
	// maxNearby bounds the peers of one /24 or /56 that a lookup dials by hearsay,
	// maxRecent those that all lookups do within a minute or two.
	maxNearby = 6
	maxRecent = 24
	// maxSubnets bounds the subnets remembered for maxRecent.
	maxSubnets = 4096
)

// dials is what a lookup may still open connections for.
//
// Invariants: made <= maxDials; vain[0], of peers that we know ourselves, is not
// bounded, every other is at most maxVain.
type dials struct {
	cfg    *Config
	recent *recentDials
	made   int
	vain   []uint8 // by namer: dials in vain or under way
	ends   map[netip.AddrPort]struct{}
	nearby map[subnet]uint8
}

// newDials returns what a lookup may dial; nil, no bound, if asking a peer costs
// no connection.
func (n *Node) newDials() *dials {
	if n.cfg.Connected == nil {
		return nil
	}
	return &dials{cfg: &n.cfg, recent: &n.recent, vain: make([]uint8, 1, 32)}
}

// namer returns the number of another peer that names candidates. Those after the
// 254th share one.
func (d *dials) namer() uint8 {
	if d == nil {
		return 0
	}
	if len(d.vain) < 256 {
		d.vain = append(d.vain, 0)
	}
	return uint8(len(d.vain) - 1)
}

// namers is who has named a candidate: the first few of them, 0 for nobody. One
// that we know ourselves, under addresses that nobody has added to, has none.
type namers [3]uint8

// note adds by and reports whether it is news.
func (n *namers) note(by uint8) bool {
	for i, known := range n {
		if known == 0 {
			n[i] = by
			return by != 0
		}
		if known == by {
			return false
		}
	}
	return false
}

// open reports whether the candidate may be asked, and counts the dial that this
// takes, if it does. The candidate keeps only those addresses that may be dialed.
func (d *dials) open(c *candidate) bool {
	if d == nil {
		return true
	}
	if _, connected := d.cfg.Connected(c.contact.ID); connected {
		return true
	}
	payer, ok := d.payer(c)
	if !ok || d.made >= maxDials || payer > 0 && !d.reach(c) {
		return false
	}
	d.made++
	d.vain[payer] += min(1, payer)
	c.payer = payer
	return true
}

// payer returns whose account a dial to the candidate is on: a namer's that has
// dials left, or ours if we knew the peer ourselves.
func (d *dials) payer(c *candidate) (uint8, bool) {
	if c.named[0] == 0 {
		return 0, true
	}
	for _, by := range c.named {
		if by != 0 && d.vain[by] < maxVain {
			return by, true
		}
	}
	return 0, false
}

// done gives back what the dial to the candidate has cost: it was not in vain. It
// reports whether there was anything.
func (d *dials) done(c *candidate) bool {
	if d == nil || c.payer == 0 {
		return false
	}
	d.vain[c.payer]--
	c.payer = 0
	return true
}

// reach cuts the candidate's addresses to those where no other peer has been
// dialed by this lookup, in subnets that have not been dialed too often, and
// reports whether any is left. Names and relays pass.
func (d *dials) reach(c *candidate) bool {
	if d.cfg.Locate == nil {
		return true
	}
	addrs := c.contact.Peer.Addrs
	kept := make([][]byte, 0, len(addrs))
	var at []netip.AddrPort
	for _, a := range addrs {
		end, located := d.cfg.Locate(a)
		if _, taken := d.ends[end]; located && (taken || !d.room(end.Addr())) {
			continue
		}
		kept = append(kept, a)
		if located {
			at = append(at, end)
		}
	}
	if len(kept) == 0 {
		return len(addrs) == 0
	}
	if len(kept) < len(addrs) {
		c.contact = NewContact(c.contact.ID, kept)
	}
	d.take(at)
	return true
}

func (d *dials) room(ip netip.Addr) bool {
	s := narrow(ip)
	return d.nearby[s] < maxNearby && d.recent.count(s) < maxRecent
}

// take counts a dial to one peer at these places.
func (d *dials) take(at []netip.AddrPort) {
	if d.ends == nil {
		d.ends, d.nearby = make(map[netip.AddrPort]struct{}), make(map[subnet]uint8)
	}
	var counted []subnet
	for _, end := range at {
		d.ends[end] = struct{}{}
		s := narrow(end.Addr())
		if !slices.Contains(counted, s) {
			counted = append(counted, s)
			d.nearby[s]++
			d.recent.add(s)
		}
	}
}

// recentDials counts the dials into each subnet within the last one or two
// minutes. It remembers two generations, each at most maxSubnets; a full one is
// followed by the next early.
type recentDials struct {
	began    time.Time
	now, old map[subnet]uint8
}

// turn begins the next generation if it is time to.
func (r *recentDials) turn(now time.Time) {
	if age := now.Sub(r.began); age >= time.Minute || len(r.now) >= maxSubnets {
		r.old, r.now, r.began = r.now, nil, now
		if age >= 2*time.Minute {
			r.old = nil
		}
	}
}

func (r *recentDials) count(s subnet) int { return int(r.now[s]) + int(r.old[s]) }

func (r *recentDials) add(s subnet) {
	if r.now == nil {
		r.now = make(map[subnet]uint8)
	}
	r.now[s]++
}

// subnet is a block of addresses: the first bits of one, told apart from those of
// the other family by the highest bits.
type subnet uint64

// narrow returns the /24 or /56 of ip, wide its /16 or /32: what one host has, and
// what one operator has (reliability.md T1).
func narrow(ip netip.Addr) subnet { return subnetOf(ip, 24, 56) }
func wide(ip netip.Addr) subnet   { return subnetOf(ip, 16, 32) }

func subnetOf(ip netip.Addr, four, six int) subnet {
	if ip = ip.Unmap(); ip.Is4() {
		b := ip.As4()
		return subnet(binary.BigEndian.Uint32(b[:]))>>(32-four) | 1<<62
	}
	b := ip.As16()
	return subnet(binary.BigEndian.Uint64(b[:8]))>>(64-six) | 1<<63
}
