package kademlia

import "time"

// few is since when there have been so few peers that together they are less than half of
// k. Before any were found, since is when there was nobody, or when the Node began.
type few struct {
	peers int
	since time.Time
}

// retry returns how long keys wait that too few peers took: twice as long after each pass
// in which nothing else was taken either, but not so long that their turn comes first.
func (r *reprovider) retry() time.Duration {
	least := r.node.cfg.Timing.Retry
	return max(least, min(least<<min(r.turn.idle, 16), r.period/fresh))
}

// end ends a pass.
func (t *outOfTurn) end() {
	switch {
	case t.taken:
		t.idle = 0
	case t.failed:
		t.idle++
	}
	*t = outOfTurn{at: t.again, last: true, idle: t.idle}
}
