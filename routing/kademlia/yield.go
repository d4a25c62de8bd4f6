package kademlia

import "time"

// maxYield is how long a node's first round of refresh makes way for operations at most.
const maxYield = 10 * time.Second

// yields reports whether what is done for the table's sake waits: where somebody has an
// operation made by a node that has just joined. The peers that answer it become members
// as well, and there is less to be done afterwards; a client that lives for one operation
// is spared nearly all of it, and so are those whom it would have asked. Nothing waits
// where the end of a round is waited for.
func (r *refresher) yields(now time.Time) bool {
	return r.running && r.rounds == 0 && !r.forced && len(r.waiters) == 0 && now.Before(r.yield) && r.node.occupied()
}

// occupied reports whether any operation is under way that is not for the table's sake.
func (n *Node) occupied() bool {
	for _, q := range n.queries {
		if !q.passing {
			return true
		}
	}
	return false
}

// hold keeps the round's lookup until resume, if it is to wait.
func (r *refresher) hold(now time.Time, q *query) bool {
	if !r.yields(now) {
		return false
	}
	r.held = q
	return true
}

// resume goes on with what was held, if it need not wait any more.
func (r *refresher) resume(now time.Time) {
	if r.yields(now) {
		return
	}
	if !now.Before(r.yield) {
		r.yield = time.Time{} // for good
	}
	if len(r.node.prober.waiting) > 0 {
		r.node.prober.step(now)
	}
	q := r.held
	if r.held = nil; q == nil || q.finished {
		return
	}
	if missing := q.goal.(*lookAbout).missing(r.node.table); missing > 0 {
		q.lookup.narrow(missing)
		q.step(now)
	} else {
		q.endWalk(now, false)
	}
}
