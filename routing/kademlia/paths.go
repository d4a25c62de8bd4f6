package kademlia

import (
	"math/bits"

	"github.com/kdht/kdht/protocol/keyspace"
)

// MaxPaths bounds Breadth.Paths: a bit of a pathSet for each, and as many as S/Kademlia
// was evaluated with.
const MaxPaths = 8

// paths are the disjoint paths of a lookup (Baumgart and Mies, S/Kademlia, ICPADS 2007,
// §4.4): the peers it begins with are dealt out among them, and each is a walk of its own,
// of those whom the peers that it has asked have named. A liar leads astray the path that
// has asked it; the others go on.
//
// Invariants: a peer is asked by one path, and whom it names is news to that path alone; a
// peer that several paths have heard of counts for each of them, as live, answered or
// failed, whoever has asked it; no path takes more than its share of the requests, of the
// slots and of the candidates.
type paths struct {
	count int
	now   pathSet         // whose the candidates are that are being added; none: everybody's
	turn  int             // the path that asks next
	asked [MaxPaths]uint8 // requests of each
}

// pathSet is some of the paths, a bit each.
type pathSet uint8

func (s pathSet) has(path int) bool { return s>>path&1 != 0 }

// tracks are which paths a candidate belongs to.
type tracks struct {
	of    pathSet // have heard of it
	first pathSet // heard of it first, one; none if nobody has named it
	asker pathSet // has asked it, one
}

// belongs reports whether the candidate is of one of some paths; it is if none is given.
func (t *tracks) belongs(of pathSet) bool { return of == 0 || t.of&of != 0 }

// split makes a lookup that has not begun one of several paths. What is added before the
// first answer, which is what earlier lookups have found, becomes the first path's: liars
// may have named it.
func (l *Lookup) split(count int) {
	if count <= 1 {
		return
	}
	l.paths = &paths{count: count, now: 1}
	for i := range l.candidates {
		path := pathSet(1) << (i % count)
		l.candidates[i].tracks = tracks{of: path, first: path}
	}
}

// follow has what is added from now on be what the peer with this key has named; nil: what
// our own table has.
func (l *Lookup) follow(key *keyspace.Key) {
	if l.paths == nil {
		return
	}
	l.paths.now = 0
	if key != nil {
		if i, known := l.find(key); known {
			l.paths.now = l.candidates[i].asker
		}
	}
}

// tracked notes in candidate i whose it is that is being added.
func (l *Lookup) tracked(i int) {
	switch p, c := l.paths, &l.candidates[i]; {
	case p == nil:
	case p.now == 0:
		c.of = 1<<p.count - 1
	default:
		c.of |= p.now
	}
}

// roomOnPath reports whether one more candidate may be added at position, and forgets the
// farthest that is not asked of the same path's if that has its share.
func (l *Lookup) roomOnPath(position int) bool {
	if l.paths == nil || l.paths.now == 0 {
		return true
	}
	own := 0
	for i := range l.candidates {
		if l.candidates[i].first == l.paths.now {
			own++
		}
	}
	return own < maxCandidates/l.paths.count || l.dropFarthest(position, l.paths.now)
}

// most is how many requests each path may make.
func (p *paths) most() int { return maxAsked / p.count }

// exhausted reports whether nobody may ask the candidate any more.
func (l *Lookup) exhausted(c *candidate) bool {
	if l.paths == nil {
		return l.asked >= maxAsked
	}
	for of := c.of; of != 0; of &= of - 1 {
		if int(l.paths.asked[bits.TrailingZeros8(uint8(of))]) < l.paths.most() {
			return false
		}
	}
	return true
}

// nextOfPaths is Next of a lookup of several paths: they take turns.
func (l *Lookup) nextOfPaths() *Contact {
	p, open := l.paths, l.openPaths()
	for range p.count {
		path := p.turn
		p.turn = (p.turn + 1) % p.count
		if i := l.nextOf(path, open); i >= 0 {
			l.candidates[i].asker = 1 << path
			p.asked[path]++
			return l.ask(i)
		}
	}
	return nil
}

// nextOf returns the position of the peer that a path, one of so many that are not done, is
// to ask now, or -1.
func (l *Lookup) nextOf(path, open int) int {
	if int(l.paths.asked[path]) >= l.paths.most() || !l.slotOf(path, open) {
		return -1
	}
	return l.pick(1 << path)
}

// slotOf reports whether a path may have one more request in flight: it has its share of α
// until the β nearest that it knows of have answered, and then its share of k; those that
// are done need none. All together have no more.
func (l *Lookup) slotOf(path, open int) bool {
	slots, live, unsure := 0, 0, false
	for i := range l.candidates {
		c := &l.candidates[i]
		if !c.of.has(path) {
			continue
		}
		switch c.state {
		case answered:
			if !unsure {
				live++
			}
		case asking:
			if c.asker.has(path) {
				slots++
			}
			unsure = true
		case heard:
			unsure = true
		}
	}
	share := l.alpha
	if live >= l.beta {
		share = l.final
	}
	return l.slots < share && slots < max(1, share/max(1, open))
}

// doneOnPaths is Done of a lookup of several paths: of each path, the k nearest live
// candidates that it has heard of have answered, or it may ask no more.
func (l *Lookup) doneOnPaths() bool { return l.openPaths() == 0 }

// openPaths returns how many paths are not done.
func (l *Lookup) openPaths() (n int) {
	for path := range l.paths.count {
		if !l.doneOn(path) {
			n++
		}
	}
	return n
}

func (l *Lookup) doneOn(path int) bool {
	return l.doneOf(1<<path, int(l.paths.asked[path]) >= l.paths.most())
}
