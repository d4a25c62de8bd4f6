package kademlia

import (
	"math/bits"
	"time"
)

// pace is how fast a member answers: one more than the place of its time among all that
// are told apart, 0 if that is not known. What it falls to at once it rises to by and
// by: a dial more or a lost packet says little, and a short round trip all.
type pace uint8

func (p *pace) note(took time.Duration) {
	now := pace(step(took)) + 1
	if *p > 0 {
		now = min(now, *p+1)
	}
	*p = now
}

// before reports whether p is known to be faster.
func (p pace) before(o pace) bool { return p > 0 && (o == 0 || p < o) }

// fastest returns the position of the fastest member of ours among those not asked that are
// about as near as candidate i: they share as many bits with the target, and each knows as
// much of what is nearer. It returns i if none is known to be faster, and on paths.
func (l *Lookup) fastest(i int) int {
	best := i
	for j := i + 1; l.paths == nil && j < len(l.candidates) && bits.LeadingZeros64(l.distances[j]) == bits.LeadingZeros64(l.distances[i]); j++ {
		c := &l.candidates[j]
		if c.state == heard && c.named[0] == 0 && c.contact.HasAddrs() && c.pace.before(l.candidates[best].pace) && !l.surplus(j) {
			best = j
		}
	}
	return best
}
