package rpc

import (
	"math"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// line is the order in which waiting requests get their turn: start-time fair
// queueing (Goyal, Vin and Cheng 1996) by cost, in two ranks. Between peers that
// all have requests waiting, the units served differ by no more than two
// requests, however many each of them sends; between the ranks likewise, so that
// either has half of what is served as long as it wants it. Who has to go when
// there are too many follows from the same tags.
//
// It is a state machine without clock, lock or randomness. Invariants: a flow is
// among its rank's waiting if and only if turns of its peer wait; only what is
// served moves tags, so that a request that was dropped costs its peer nothing.
type line struct {
	maxPerPeer int
	ranks      [2]rank
	virtual    float64 // tag of the rank served last
	length     int
	arrivals   uint64
}

// Rank 0 is for peers that are entitled to half of what is served.
const (
	entitled = iota
	strange
)

// rank is the requests of one rank. Its tags start again when none is waiting.
type rank struct {
	flows   map[peer.ID]*flow // those waiting, and those ahead of virtual
	waiting []*flow
	virtual float64 // tag of the flow served last
	tag     float64 // this rank's, among ranks
	units   float64 // waiting
}

// flow is one peer's requests in a rank, oldest first.
type flow struct {
	peer  peer.ID
	tag   float64 // the lowest in the rank is served next
	units float64 // waiting
	turns []*turn
	at    int // among those waiting, or out
}

// turn is one request that waits.
type turn struct {
	peer    peer.ID
	rank    int
	cost    float64    // in units, above zero
	arrival uint64     // counted from 1; 0: it does not wait
	ready   chan error // gets nil when it is its turn, else why it never will be
}

// out is the position of a flow that does not wait.
const out = -1

func newLine(maxPerPeer int) line {
	l := line{maxPerPeer: maxPerPeer}
	for i := range l.ranks {
		l.ranks[i].flows = make(map[peer.ID]*flow)
	}
	return l
}

// len returns how many turns wait.
func (l *line) len() int { return l.length }

// push queues t up; false if its peer has too many waiting.
func (l *line) push(t *turn) bool {
	r := &l.ranks[t.rank]
	f := r.flows[t.peer]
	if f == nil {
		f = &flow{peer: t.peer, at: out}
		r.flows[t.peer] = f
	}
	if len(f.turns) >= l.maxPerPeer {
		return false
	}
	if len(r.waiting) == 0 {
		r.tag = max(r.tag, l.virtual)
	}
	if f.at == out {
		f.tag = max(f.tag, r.virtual)
		f.at = len(r.waiting)
		r.waiting = append(r.waiting, f)
	}
	l.arrivals++
	l.length++
	t.arrival = l.arrivals
	f.turns = append(f.turns, t)
	f.units += t.cost
	r.units += t.cost
	return true
}

// pop takes out the turn that is next; there must be one.
func (l *line) pop() *turn {
	r := &l.ranks[entitled]
	if other := &l.ranks[strange]; len(r.waiting) == 0 || len(other.waiting) > 0 && other.tag < r.tag {
		r = other
	}
	next := r.waiting[0]
	for _, f := range r.waiting[1:] {
		if f.tag < next.tag || f.tag == next.tag && f.turns[0].arrival < next.turns[0].arrival {
			next = f
		}
	}
	t := next.turns[0]
	l.virtual, r.virtual = r.tag, next.tag
	r.tag += t.cost
	next.tag += t.cost
	l.remove(t)
	return t
}

// shed takes out the turn with the least claim; there must be one. Of the rank
// that waits for more it is the peer whose last request would be served last, and
// of its requests the dearest, and of equal ones the newest.
func (l *line) shed() *turn {
	r := &l.ranks[strange]
	if l.ranks[entitled].units > r.units {
		r = &l.ranks[entitled]
	}
	last := r.waiting[0]
	for _, f := range r.waiting[1:] {
		a, b := f.tag+f.units, last.tag+last.units
		if a > b || a == b && f.turns[len(f.turns)-1].arrival > last.turns[len(last.turns)-1].arrival {
			last = f
		}
	}
	dearest := last.turns[0]
	for _, t := range last.turns[1:] {
		if t.cost >= dearest.cost {
			dearest = t
		}
	}
	l.remove(dearest)
	return dearest
}

// remove takes out t, which waits.
func (l *line) remove(t *turn) {
	r := &l.ranks[t.rank]
	f := r.flows[t.peer]
	i := slices.Index(f.turns, t)
	f.turns = slices.Delete(f.turns, i, i+1)
	f.units -= t.cost
	r.units -= t.cost
	t.arrival = 0
	l.length--
	if len(f.turns) == 0 {
		r.rest(f)
	}
	if l.length == 0 {
		l.virtual, l.ranks[entitled].tag, l.ranks[strange].tag = 0, 0, 0
	}
}

// maxIdleFlows is how many peers without waiting requests a rank remembers for
// their tags.
const maxIdleFlows = 1024

// rest takes out a flow that waits no more, and forgets what need not be
// remembered.
func (r *rank) rest(f *flow) {
	end := len(r.waiting) - 1
	r.waiting[f.at] = r.waiting[end]
	r.waiting[f.at].at = f.at
	r.waiting[end] = nil
	r.waiting = r.waiting[:end]
	f.at, f.units = out, 0
	switch {
	case end == 0:
		clear(r.flows)
		r.virtual, r.units = 0, 0
	case f.tag <= r.virtual:
		delete(r.flows, f.peer)
	case len(r.flows) > end+maxIdleFlows:
		r.sweep()
	}
}

// sweep forgets the peers without waiting requests whose tags have been reached,
// or all of them if that are too few.
func (r *rank) sweep() {
	for _, limit := range [...]float64{r.virtual, math.Inf(1)} {
		for id, f := range r.flows {
			if f.at == out && f.tag <= limit {
				delete(r.flows, id)
			}
		}
		if len(r.flows) <= len(r.waiting)+maxIdleFlows/2 {
			return
		}
	}
}
