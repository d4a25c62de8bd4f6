package kademlia

import (
	"math"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A record can be given to a peer as soon as it is clear that it is one of the k nearest,
// which is long before the walk has shown that there is nobody nearer. Two things say so:
// how large the network is (netsize.go), and that peers next to the key have named it. Who
// takes the record has also shown that it is there. The walk goes on as ever, and whoever
// of the k nearest has not been given the record by its end is given it then: an early
// copy that goes to the wrong peer is one too many, and none too few.
//
// surely is how many deviations lie between the place that is to be expected of a peer
// and the k-th: nine in ten of those that are given the record early by the size of the
// network alone are among the k nearest.
const surely = 1.28

// headway is what of a store is done before its walk is over, and what its caller is told
// before all is.
type headway struct {
	early  *fanout                       // nil: nothing is given before the end of the walk
	enough func(now time.Time, r Result) // nil: nobody waits for half of the copies
}

// WhenHalf has told called once, as soon as half of the k nearest peers known hold the record
// of the store or announcement with this id, with what has been done by then. It is called
// before the operation's own end, and not at all if that comes first: in networks of a few
// peers, and where nobody takes the record.
func (n *Node) WhenHalf(id QueryID, told func(now time.Time, r Result)) {
	if q := n.queries[id]; q != nil {
		q.enough = told
	}
}

// prepare lets a store begin before its walk is over, unless nobody's word is believed, or
// there are too few replicas to tell chance from purpose.
func (q *query) prepare() {
	cfg := &q.node.cfg
	if g, ok := q.goal.(*store); ok && !q.passing && !cfg.Strict && q.lookup.paths == nil && cfg.K >= fewest && cfg.Region != RegionAlways {
		if m := g.message(); m != nil {
			q.early = &fanout{query: q, message: m}
		}
	}
}

// hasten gives the record to those who are clearly near enough.
func (q *query) hasten(now time.Time) {
	f := q.early
	if f == nil || q.finished || f.given >= q.node.cfg.K {
		return
	}
	peers := q.node.mostSize(now)
	for c := q.lookup.soon(peers, instantOf(now)); c != nil; c = q.lookup.soon(peers, instantOf(now)) {
		f.give(now, c)
	}
}

// copies returns who holds the record by now.
func (q *query) copies() []peer.ID {
	switch {
	case q.spread != nil:
		return q.spread.holders
	case q.early != nil:
		return q.early.holders
	}
	return nil
}

// soon returns the nearest of the k nearest live candidates that is clearly one of the k
// nearest of so many peers, and counts it as given, or nil.
func (l *Lookup) soon(peers float64, now instant) *Contact {
	most := float64(l.k) - surely*math.Sqrt(float64(l.k))
	live := 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.out() || c.state == heard && l.surplus(i) {
			continue
		}
		clear := peers > 0 && peers*share(l.distances[i]) <= most || c.nearby >= leastVouchers
		if clear && !c.given && c.contact.HasAddrs() && (c.state != heard || l.dials.open(c)) {
			c.given, c.gave = true, now
			return c.contact
		}
		if live++; live == l.k {
			break
		}
	}
	return nil
}

// neighbours notes whom a peer that has answered has named, if it is one of them: nearer than
// the farthest of these, and so at home where they are. Who is not names those on the way.
func (q *query) neighbours(now time.Time, from *Contact, m *protocol.Message) {
	if q.early == nil || q.spread != nil {
		return
	}
	l, named := q.lookup, q.looked(m)
	keys, far := make([]keyspace.Key, len(named)), uint64(0)
	for i := range named {
		_, keys[i] = q.node.shared(&named[i])
		far = max(far, prefixOf(&l.target)^prefixOf(&keys[i]))
	}
	own, peers := prefixOf(&l.target)^prefixOf(&from.Key), q.node.mostSize(now)
	sure := uint8(1)
	switch {
	case own >= far || peers*share(own) > float64(l.k):
		return
	case peers > 0:
		sure = leastVouchers
	}
	for _, key := range append(keys, from.Key) {
		if at, known := l.find(&key); known {
			c := &l.candidates[at]
			c.nearby = min(c.nearby+sure, leastVouchers)
		}
	}
}

// took notes that the peer with this key holds the record: it is there, and as long as the
// walk is under way nobody else has taken its place.
func (l *Lookup) took(key *keyspace.Key, walking bool) {
	if i, known := l.find(key); known {
		c := &l.candidates[i]
		if c.holds = true; walking && c.state == failed {
			c.state, c.refused = answered, false
		}
	}
}

// given reports whether the peer with this key has been given the record.
func (l *Lookup) given(key *keyspace.Key) bool {
	i, known := l.find(key)
	return known && l.candidates[i].given
}

// onWord reports whether the walk has not asked the peer with this key, which was given the
// record on others' word.
func (l *Lookup) onWord(key *keyspace.Key) bool {
	i, known := l.find(key)
	return known && (l.candidates[i].state == believed || l.candidates[i].state == heard && l.candidates[i].gave != 0)
}

// open reports whether the candidate may be dialed, or is dialed already to be given the
// record.
func (l *Lookup) open(c *candidate) bool { return c.gave != 0 || l.dials.open(c) }

// held returns how many of the k nearest live candidates hold the record.
func (l *Lookup) held() (n int) {
	live := 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.out() {
			continue
		}
		if c.holds {
			n++
		}
		if live++; live == l.k {
			break
		}
	}
	return n
}

// halfway tells who waits for half of the copies, if there are so many, and if those who
// hold them are not there for a purpose, as far as one can tell.
func (q *query) halfway(now time.Time) {
	if q.enough == nil || q.finished || q.lookup.held() < (q.node.cfg.K+1)/2 || q.wary(now) {
		return
	}
	told := q.enough
	q.enough = nil
	r := q.result(now, nil)
	r.Report.Partial = true
	told(now, r)
}
