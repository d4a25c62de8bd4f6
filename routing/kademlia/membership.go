package kademlia

import (
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// What lets a peer into the table, and what takes it out.

// useful credits a peer that has answered a request of an operation.
func (n *Node) useful(now time.Time, c *Contact) {
	if e := n.alive(now, c); e != nil {
		e.strikes = 0
	}
}

// alive credits a peer that has just answered: as a server it belongs into the
// table, where there is room. It returns the peer's entry if it was a member
// before.
func (n *Node) alive(now time.Time, c *Contact) *entry {
	n.prober.pause = time.Time{}
	if e := n.table.seen(now, c); e != nil {
		return e
	}
	n.cache.came(now, c)
	if n.cfg.Admit != nil && !n.cfg.Admit(c) || n.crowded(c) {
		return nil
	}
	if !n.table.insert(now, c) {
		n.prober.contest(now, c)
		return nil
	}
	n.prober.joined(now)
	n.exiles.admitted(now, c)
	n.upkeep.replicator.changed(now)
	n.cfg.Trace.admitted(c)
	if n.table.Len() == 1 {
		n.refresher.rounds = 0
		n.refresher.start(now, false, nil)
	}
	return nil
}

// maxStrikes is how many requests of operations in a row a member may leave
// unanswered, however well it answers probes: tarpits do just that
// (reliability.md T17).
const maxStrikes = 3

// suspect looks into a peer that has failed a request of an operation. A member
// is not dropped for one failure, but probed at once.
func (n *Node) suspect(now time.Time, r *request, err error) {
	if blames(err) {
		n.cache.lost(&r.to.Key)
	}
	e := n.table.find(&r.to.Key)
	switch {
	case e == nil || !blames(err):
	case errors.Is(err, protocol.ErrUnsupported):
		n.evict(now, e.contact, errNotServing)
	case errors.Is(err, protocol.ErrTimeout) && n.requests.othersAnswered(r) && e.strike() >= maxStrikes:
		n.evict(now, e.contact, errTarpit)
	default:
		e.doubted = true
		if !now.Before(n.prober.pause) {
			n.prober.member(now, e)
		}
	}
}

// wants reports whether a newcomer with this key is verified at once: as long as
// this round of refreshes would look for more like it. The others wait for the next,
// so that who joins does not set off a probe at each of those it asks.
func (n *Node) wants(key *keyspace.Key) bool {
	p := n.table.prefix(key)
	return p != keyspace.Bits && n.table.members(p) < n.refresher.enough(p)
}

// takeIn has those who wait verified, as many as their bucket lacks.
func (n *Node) takeIn(now time.Time) {
	for p := range n.table.buckets {
		b := &n.table.buckets[p]
		for missing := n.refresher.enough(p) - len(b.members) - n.prober.expected(p); missing > 0; missing-- {
			if n.prober.full() {
				return
			}
			c := n.table.next(p)
			if c == nil {
				break
			}
			n.prober.candidate(now, c)
		}
	}
}

// evict takes a member out of the table and has somebody who waits for its place
// verified.
func (n *Node) evict(now time.Time, c *Contact, reason error) {
	if n.table.remove(&c.Key) {
		n.cfg.Trace.evicted(c, reason)
		n.cache.lost(&c.Key)
		n.upkeep.replicator.changed(now)
		n.promote(now, c)
		if reason == errProbeFailed {
			n.exiles.add(now, c)
		}
	}
}

// promote has the most recently seen of those who wait for a place in the bucket
// of c verified, if there is one.
func (n *Node) promote(now time.Time, c *Contact) {
	if n.table.bucket(&c.Key) == nil || !n.table.hasRoom(&c.Key) || n.prober.full() {
		return
	}
	if next := n.table.next(n.table.prefix(&c.Key)); next != nil {
		n.prober.candidate(now, next)
	}
}
