package crawl

// reading is one peer's table being read, part by part.
//
// Invariant: every key that is in none of open, and of no request under way, is in a part of the table that has been told whole,
// unless partial is set.
type reading struct {
	who     int32
	peer    Peer
	open    []region
	members []int32
	known   map[int32]struct{}
	// asked, underWay, answers and failures count requests.
	asked, underWay, answers, failures int
	err                                error
	partial, stopped                   bool
}

// maxFailures is how many requests to a peer that has answered may fail before it is left alone.
const maxFailures = 3

func newReading(who int32, p Peer) *reading {
	return &reading{who: who, peer: p, open: []region{{}}, known: make(map[int32]struct{})}
}

// ready reports whether the peer is to be asked once more now: one request until it has answered, then several at a time.
func (r *reading) ready(atOnce, most int) bool {
	return len(r.open) > 0 && r.asked < most && (r.answers == 0 && r.underWay == 0 || r.answers > 0 && r.underWay < atOnce)
}

// over reports whether there is nothing left to ask; most is how many requests there may be.
func (r *reading) over(most int) bool {
	if r.asked >= most && len(r.open) > 0 {
		r.stop()
	}
	return r.underWay == 0 && len(r.open) == 0
}

// next takes the part to ask for: the one opened last, so that few are open at a time.
func (r *reading) next() region {
	last := len(r.open) - 1
	part := r.open[last]
	r.open = r.open[:last]
	r.asked++
	r.underWay++
	return part
}

// full reports whether the table has as many members as are believed; then no more is asked.
func (r *reading) full(most int) bool {
	if len(r.members) < most {
		return false
	}
	r.partial = true
	r.stop()
	return true
}

// adds takes down a member of the table, and reports whether it is a new one.
func (r *reading) adds(n int32) bool {
	if _, ok := r.known[n]; ok {
		return false
	}
	r.known[n] = struct{}{}
	r.members = append(r.members, n)
	return true
}

// answered opens what an answer leaves open: it told of all members that share more bits with the key than the farthest of those it
// named, and of all that there are if it named one at most, since nobody's answers are as short as that.
func (r *reading) answered(a Ask, named, farthest int) {
	r.underWay--
	r.answers++
	if r.stopped || named <= 1 {
		return
	}
	left, ok := a.region.beyond(a.place, farthest)
	r.open = append(r.open, left...)
	r.partial = r.partial || !ok
}

// failed takes that a request failed: who has answered before is asked once more.
func (r *reading) failed(part region, err error) {
	r.underWay--
	r.failures++
	r.err = err
	switch {
	case r.answers == 0 || r.failures >= maxFailures || r.stopped:
		r.partial = true
		r.stop()
	case part.again:
		r.partial = true
	default:
		part.again = true
		r.open = append(r.open, part)
	}
}

// stop has nothing more asked.
func (r *reading) stop() {
	r.partial = r.partial || len(r.open) > 0 || r.underWay > 0
	r.stopped, r.open = true, nil
}
