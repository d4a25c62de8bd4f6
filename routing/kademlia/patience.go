package kademlia

import (
	"math/bits"
	"time"
)

// Bounds on patience.
const (
	// leastSlot and leastPatience are granted to every request, however fast all
	// others are, but of lookups that doubt and to peers in doubt: somebody far from
	// everybody else must be heard.
	leastSlot     = 300 * time.Millisecond
	leastPatience = time.Second
	// enoughSeen is how many answers make a judgement; beforehand patience is what
	// the configuration grants at most.
	enoughSeen = 16
	// mostSeen is how many answers a judgement rests on; older ones fade.
	mostSeen = 512
	// steps is how finely answers' times are told apart: this many to an octave.
	steps = 4
)

// patience learns from the answers that come how long it pays to wait for one.
// A quarter of them take longer than a slot lasts; few take two thirds longer than
// nineteen in twenty do, and after that a walk goes on without them.
//
// Peers that answer probes only cannot make lookups wait (reliability.md T17, P21),
// and peers that answer fast cannot make them hasty unless nearly all answers are
// theirs.
type patience struct {
	timing *Timing
	seen   [16 * steps]uint16 // answers by the logarithm of their milliseconds
	total  int
	slot   time.Duration // 0: not known yet
	giveUp time.Duration
	hasty  time.Duration // giveUp of those who think that members have died in numbers
}

// of returns how long a request may hold its slot, and when a walk goes on
// without it.
func (p *patience) of() (slot, giveUp time.Duration) {
	if p.slot == 0 {
		return p.timing.Slot, p.timing.GiveUp
	}
	return p.slot, p.giveUp
}

// answered notes how long an answer has taken.
func (p *patience) answered(took time.Duration) {
	p.seen[step(took)]++
	if p.total++; p.total == mostSeen {
		p.total = 0
		for i := range p.seen {
			p.seen[i] /= 2
			p.total += int(p.seen[i])
		}
	}
	if p.total%enoughSeen == 0 {
		p.slot = between(leastSlot, p.share(75), p.timing.Slot)
		p.hasty = between(p.slot, p.share(98), p.timing.GiveUp)
		p.giveUp = between(max(leastPatience, p.slot), p.share(95)*5/3, p.timing.GiveUp)
	}
}

// brief returns how long to wait for a peer that is in doubt: most answers have come by
// then.
func (p *patience) brief() time.Duration {
	if p.slot == 0 {
		return leastSlot
	}
	return max(leastDoubted, p.share(75))
}

// between returns d, or least if d is less, but never more than most.
func between(least, d, most time.Duration) time.Duration { return min(max(least, d), most) }

// share returns the time that so many percent of the answers have not exceeded.
func (p *patience) share(percent int) time.Duration {
	left := p.total*percent/100 + 1
	for i, n := range p.seen {
		if left -= int(n); left <= 0 {
			return atMost(i)
		}
	}
	return atMost(len(p.seen) - 1)
}

// longer returns which share of the answers has taken longer than d, never quite none.
func (p *patience) longer(d time.Duration) float64 {
	n := 0
	for _, seen := range p.seen[step(d):] {
		n += int(seen)
	}
	return (float64(n) + 0.5) / float64(p.total+1)
}

// step returns the place of a time among all that are told apart.
func step(took time.Duration) int {
	ms := uint64(max(1, took/time.Millisecond)) << 2 // so that there are two bits after the first
	octave := bits.Len64(ms) - 3
	return min(octave*steps+int(ms>>octave&(steps-1)), 16*steps-1)
}

// atMost returns the longest time of a place.
func atMost(place int) time.Duration {
	octave, part := place/steps, place%steps
	return time.Duration(steps+part+1) << octave * time.Millisecond / steps
}
