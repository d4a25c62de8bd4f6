package kademlia

import "time"

// Bounds on what Seed sets off.
const (
	// maxSeeds is how many seeds are kept; a table of a network of millions has some
	// 400 members.
	maxSeeds = 1024
	// seedBatch is how many seeds are handed out at a time, as many as candidates are
	// probed at a time; seedPause is from one batch to the next.
	seedBatch = maxProbes / 2
	seedPause = 500 * time.Millisecond
)

// seeder has the contacts of an earlier run verified, a few at a time.
//
// Invariants: a seed is a candidate like any other, so it enters the table only
// after it has answered; it is handed out only while no other candidate waits;
// there is a deadline as long as there are seeds.
type seeder struct {
	node  *Node
	seeds []*Contact // nil when there is nothing to do
	tried int        // how many of them have had their turn
	next  time.Time  // when to go on
}

// Snapshot returns the table's members, for Seed in a later run: those first that
// make a whole table soonest, which is the member seen last of every bucket, then
// the next of each.
func (n *Node) Snapshot() []*Contact {
	all := make([]*Contact, 0, n.table.Len())
	for turn := 0; len(all) < n.table.Len(); turn++ {
		for p := len(n.table.buckets) - 1; p >= 0; p-- {
			if left := len(n.table.buckets[p].members) - turn; left > 0 {
				all = append(all, n.table.buckets[p].members[left-1].contact)
			}
		}
	}
	return all
}

// Seed has peers verified that were members once, best first, as Snapshot returns
// them: 16 a second, at most 1,024, and only those whose bucket has room. Who does
// not answer is forgotten; if nobody at all does, all are tried again every
// Timing.Retry until the table has a member, since it may be our own network that
// is away. The contacts must not be changed; addresses we would not dial are left
// out, as with PeerSeen.
//
// Seeds know only the part of the network they were in: whoever has come back from
// a partition must also be told of a peer by other means.
func (n *Node) Seed(now time.Time, seeds []*Contact) {
	s := &n.seeder
	for _, c := range seeds {
		if len(s.seeds) >= maxSeeds {
			break
		}
		if c = n.filtered(c); n.cfg.Admit == nil || n.cfg.Admit(c) {
			s.seeds = append(s.seeds, c)
		}
	}
	if len(s.seeds) > s.tried {
		n.upkeep.replicator.forget()
		s.next = now
	}
	s.advance(now)
}

func (s *seeder) advance(now time.Time) {
	if len(s.seeds) == 0 || s.next.After(now) {
		return
	}
	if s.tried == len(s.seeds) {
		if s.node.table.Len() > 0 {
			*s = seeder{node: s.node}
			return
		}
		s.tried = 0
	}
	s.batch(now)
	s.next = now.Add(seedPause)
	if s.tried == len(s.seeds) {
		s.next = now.Add(s.node.cfg.Timing.Retry)
	}
}

// batch hands the next few seeds to the prober.
func (s *seeder) batch(now time.Time) {
	for given := 0; given < seedBatch && s.tried < len(s.seeds) && len(s.node.prober.waiting) == 0; s.tried++ {
		if c := s.seeds[s.tried]; s.node.table.hasRoom(&c.Key) {
			s.node.prober.candidate(now, c)
			given++
		}
	}
}

func (s *seeder) nextDeadline() time.Time {
	if len(s.seeds) == 0 {
		return time.Time{}
	}
	return s.next
}
