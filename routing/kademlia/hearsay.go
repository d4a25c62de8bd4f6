package kademlia

import (
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// A lookup for peers need not ask each of the k nearest whether it is there: that is
// most of what a lookup costs, in requests and in time, and tells nothing where all are.
// Peers name whom they have verified, and those next to the target know the same twenty.
// A peer is believed in that several have named, if
//   - a few of the k nearest have answered, the nearest of all among them;
//   - nobody whom this lookup has asked has failed, and those who have not answered yet
//     have not been silent for so long that deaths are likely;
//   - nearly all whom we have asked on others' word before have answered.
//
// Otherwise each of the k nearest is asked, as in the paper. Who looks for a record asks
// each anyway; what is stored goes to those believed in at once, and who does not take it
// is replaced by the next nearest.
const (
	// leastConfirmed of the k nearest have answered before others are believed in,
	// and leastVouchers answers have named each of these: two liars are not enough.
	leastConfirmed = 4
	leastVouchers  = 3
	// deadShare of the peers asked would not answer if members had died in numbers.
	// What a lookup meets then is so many times as likely as it is if all are there:
	// up to likelyAlive hearsay is believed, from likelyDead on it is not any more.
	deadShare   = 0.25
	likelyAlive = 0.15
	likelyDead  = 100
	// leastTried is how many peers have been asked on others' word before that is worth
	// anything; for one who did not answer at least mostBroken did, or deaths are likely
	// from the first if no more than manyBroken did. Older ones fade from mostTried on.
	leastTried = 16
	mostBroken = 64
	manyBroken = 10
	mostTried  = 1024
)

// hearsay is what became of asking peers that leastVouchers answers had named.
type hearsay struct{ kept, broken uint16 }

func (h *hearsay) note(kept bool) {
	if kept {
		h.kept++
	} else {
		h.broken++
	}
	if h.kept+h.broken >= mostTried {
		h.kept, h.broken = h.kept/2, h.broken/2
	}
}

// reliable reports whether peers that others name are there, as far as we can tell.
func (h *hearsay) reliable() bool {
	return h.kept+h.broken >= leastTried && int(h.broken)*mostBroken <= int(h.kept)
}

// poor reports whether many of the peers that others name are not there.
func (h *hearsay) poor() bool {
	return h.kept+h.broken >= leastTried && int(h.broken)*manyBroken >= int(h.kept)
}

// kept notes that a peer has answered, if it is one that others have named.
func (q *query) kept(c *Contact) {
	if q.named(c) {
		q.node.requests.hearsay.note(true)
	}
}

// broken notes that a request has failed, if it was to one that others have named and says
// that it is not there.
func (q *query) broken(r *request, err error) {
	gone := errors.Is(err, protocol.ErrTimeout) || errors.Is(err, protocol.ErrUnreachable)
	if gone && q.node.requests.othersAnswered(r) && q.named(r.to) {
		q.node.requests.hearsay.note(false)
	}
}

func (q *query) named(c *Contact) bool {
	i, known := q.lookup.find(&c.Key)
	return known && q.lookup.candidates[i].namings >= leastVouchers
}

// trust lets the lookup believe in peers, if what is heard is worth anything. Disjoint
// paths are for those who do not think so; and who looks for one peer looks for those who
// know it, which may be few.
func (q *query) trust() {
	_, one := q.goal.(*findPeer)
	q.lookup.doubting = !q.passing && q.node.requests.hearsay.poor()
	q.lookup.trusting = !one && q.request.Type == protocol.FindNode && !q.passing && !q.node.cfg.Strict && q.lookup.paths == nil && q.node.requests.hearsay.reliable()
}

// consider judges, before anybody is asked, what this lookup has met, and takes the k
// nearest for found if they may be believed in.
func (q *query) consider(now time.Time) {
	l := q.lookup
	l.now, l.believing = instantOf(now), false
	if q.passing || l.doubting {
		return
	}
	odds := l.deaths(&q.node.requests.patience)
	if l.doubting = odds >= likelyDead; l.doubting || !l.trusting {
		l.trusting = false
		return
	}
	confirmed, whole := l.confirmed(), l.whole()
	least := min(leastConfirmed, l.k)
	l.believing = odds <= likelyAlive && confirmed >= least
	switch l.few = (l.alpha + 1) / 2; {
	case l.believing && whole:
		l.believe()
	case whole && confirmed < least:
		l.few = min(l.few, least-confirmed+1)
	}
}

// credible reports whether the candidate may be believed in. The target itself is not: who
// looks for it wants to know.
func (c *candidate) credible(target *keyspace.Key) bool {
	return (c.namings >= leastVouchers || c.holds) && (c.state == heard || c.state == asking || c.state == slow) && c.contact.HasAddrs() && c.contact.Key != *target
}

// there reports whether the candidate counts as found: it has answered, or is believed in.
func (c *candidate) there() bool { return c.state == answered || c.state == believed }

// told returns a bit for each of contacts that is believed in.
func (l *Lookup) told(contacts []*Contact) (bits uint64) {
	for i, c := range contacts {
		if at, known := l.find(&c.Key); known && l.candidates[at].state == believed && !l.candidates[at].holds {
			bits |= 1 << i
		}
	}
	return bits
}

// vouch notes that the answer looked at has named candidate i, once.
func (l *Lookup) vouch(i int) {
	if c := &l.candidates[i]; c.namings < leastVouchers && c.namedIn != l.answers {
		c.namings, c.namedIn = c.namings+1, l.answers
	}
}

// standing yields the k nearest candidates that may yet be found, nearest first.
func (l *Lookup) standing(yield func(i int, c *candidate) bool) {
	live := 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.out() || c.state == heard && l.surplus(i) {
			continue
		}
		if live++; !yield(i, c) || live == l.k {
			return
		}
	}
}

// confirmed returns how many of the k nearest have answered, 0 if the nearest has not.
func (l *Lookup) confirmed() (n int) {
	for _, c := range l.standing {
		if c.state == answered {
			n++
		} else if n == 0 {
			return 0
		}
	}
	return n
}

// deaths returns how many times as likely it is that members have died in numbers, going
// by what this lookup has met: each answer speaks against it, and each silence that lasts
// for it, the more the fewer answers have ever taken so long. A silence that was given up
// has ended all belief.
func (l *Lookup) deaths(p *patience) float64 {
	odds := 1.0
	for i := range l.candidates {
		since := instant(0)
		switch c := &l.candidates[i]; {
		case c.state == answered || c.holds:
			odds *= 1 - deadShare
			continue
		case c.state == asking || c.state == slow:
			since = c.asked
		case c.state == heard && c.gave != 0:
			since = c.gave
		default:
			continue
		}
		late := p.longer(time.Duration(l.now - since))
		odds *= (deadShare + (1-deadShare)*late) / late
	}
	return odds
}

// whole reports whether each of the k nearest, or of all if they are fewer, has answered
// or may be believed in.
func (l *Lookup) whole() (whole bool) {
	for _, c := range l.standing {
		if whole = c.there() || c.credible(&l.target); !whole {
			return false
		}
	}
	return whole
}

// believe takes the k nearest for found: nobody is waited for any more.
func (l *Lookup) believe() {
	last := 0
	for i, c := range l.standing {
		if last = i; !c.there() {
			l.settle(i, believed)
		}
	}
	for i := range l.candidates[:last] {
		if c := &l.candidates[i]; c.state == heard { // surplus, passed over
			c.state = barred
		}
	}
}

// belief is what a lookup makes of what it hears.
type belief struct {
	answers   uint16 // looked at
	trusting  bool   // peers may be believed in
	believing bool   // and are, so that they are not asked
	few       int    // how many may be asked at a time while it trusts
	doubting  bool   // members seem to have died in numbers
}

// window returns how many of the nearest live candidates are asked: k, and as many more as
// will be needed if members have died in numbers.
func (l *Lookup) window() int {
	if l.doubting && l.paths == nil {
		return l.k + l.k/3
	}
	return l.k
}

// distrust has everybody be asked from now on: somebody has failed.
func (l *Lookup) distrust() { l.trusting, l.believing = false, false }
