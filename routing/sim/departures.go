package sim

import (
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// departures watches who leaves whose table: a member that would answer leaves it
// only after it has failed that node, never because somebody else wants its place.
type departures struct {
	failed map[pair]int64 // when a request to a peer that should have answered last failed
}

// pair is a node and a member of its table.
type pair struct{ who, peer int32 }

// grudge is for how long a failure is a reason to drop a peer.
const grudge = int64(time.Hour)

// fails notes that a request fails to a member that should have answered. What
// others fail needs no memory: they may be dropped at any time, and when they are
// back, for a minute.
func (d *departures) fails(r *run, who, to int32) {
	if to >= 0 && r.members[to].up && r.members[to].fate == Fine {
		d.failed[pair{who, to}] = r.now
	}
}

// admits notes that the acting node has taken somebody in.
func (c *checks) admits() { c.run.members[c.run.acting].held++ }

// evicts checks that the acting node had a reason to drop a peer.
func (c *checks) evicts(peer *kademlia.Contact, reason error) {
	r, who := c.run, c.run.acting
	r.members[who].held--
	to := r.index(peer.ID)
	if to < 0 || !r.members[to].counted {
		return
	}
	if at, failed := c.departures.failed[pair{who, to}]; !failed || at < r.now-grudge {
		r.violated("member %d dropped member %d from its table without cause (%v)", who, to, reason)
	}
}

// holds checks that a node's table holds whom it has told us of: nobody leaves in
// silence.
func (c *checks) holds(who int32) {
	m := &c.run.members[who]
	if n := m.node.View().Len(); n != int(m.held) {
		c.run.violated("the table of member %d holds %d members, of %d that came and did not leave", who, n, m.held)
		m.held = int32(n)
	}
}
