package kademlia

import (
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Lookup is one iterative walk towards a target and nothing else (the paper,
// §2.3; wire.md §9): candidates in order of distance, each with its state.
//
// A candidate that takes its time keeps its place, and others beyond the k nearest
// are asked meanwhile. A peer is asked at most once; one that could not be reached is dialled once
// more if others know other addresses of it. While the β nearest live candidates have not
// all answered, α are asked at a time; from then on the rest of the k nearest
// are asked at once. The lookup is done when the k nearest live candidates have
// all answered, or after maxAsked requests. A candidate that fails makes room
// for the next nearest; one that answers after having been given up counts as
// answered again. So does one that is barred, since nothing may be dialed for its
// sake; it is looked at anew when somebody else names it, or dials turn out well.
// Where hearsay is believed (hearsay.go) the last of the k nearest are not asked.
type Lookup struct {
	target         keyspace.Key
	k, alpha, beta int
	final          int         // how many may be asked at a time in the end
	candidates     []candidate // nearest first
	distances      []uint64    // their first 64 bits, which nearly always decide
	slots          int         // candidates in state asking
	asked          int
	cfg            *Config // nil: subnets are not bounded
	dials          *dials  // nil: nor are dials
	now            instant // when whom to ask was last considered
	by             uint8   // who names the candidates that are being added
	paths          *paths  // nil: there is one
	belief
}

const (
	// maxCandidates bounds what a lookup remembers, nearest first. Deployed
	// lookups hear of about 250 peers.
	maxCandidates = 512
	// usualCandidates is how many a lookup has room for at once.
	usualCandidates = 128
	// maxAsked bounds the requests of one lookup, whatever ever nearer peers the
	// answers invent. Honest lookups in networks of a million stay below 60.
	maxAsked = 256
)

// newLookup returns a lookup that begins at seeds.
func newLookup(target keyspace.Key, k, alpha, beta int, seeds []*Contact) *Lookup {
	l := &Lookup{target: target, k: k, alpha: alpha, beta: min(beta, k), final: max(alpha, k)}
	l.candidates = make([]candidate, 0, max(len(seeds), usualCandidates))
	l.distances = make([]uint64, 0, cap(l.candidates))
	for _, c := range seeds {
		l.add(c, 1)
	}
	return l
}

// walkedLookup returns a lookup that is done: all of contacts have answered.
func walkedLookup(target keyspace.Key, contacts []*Contact) *Lookup {
	l := newLookup(target, len(contacts), 1, 1, contacts)
	for i := range l.candidates {
		l.candidates[i].state = answered
	}
	return l
}

// find returns the position of the candidate with this key, or where it would
// stand.
func (l *Lookup) find(key *keyspace.Key) (int, bool) {
	near := prefixOf(&l.target) ^ prefixOf(key)
	lo, hi := 0, len(l.distances)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); l.distances[mid] < near {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < len(l.distances) && l.distances[lo] == near; lo++ {
		if order := keyspace.CompareDistance(&l.target, &l.candidates[lo].contact.Key, key); order >= 0 {
			return lo, order == 0
		}
	}
	return lo, false
}

// add makes c a candidate, or adds its addresses to those known of it.
func (l *Lookup) add(c *Contact, hop int) {
	i, known := l.find(&c.Key)
	if known {
		l.candidates[i].learn(c, l.by)
		l.tracked(i)
		return
	}
	if i >= maxCandidates || !l.roomOnPath(i) {
		return
	}
	if len(l.candidates) >= maxCandidates {
		if !l.dropFarthest(i, 0) {
			return
		}
	}
	l.candidates = slices.Insert(l.candidates, i, candidate{contact: c, hop: uint16(hop), named: namers{l.by}, namings: uint8(min(1, hop-1)), namedIn: l.answers})
	l.distances = slices.Insert(l.distances, i, prefixOf(&l.target)^prefixOf(&c.Key))
	if l.paths != nil {
		l.candidates[i].first = l.paths.now
		l.tracked(i)
	}
}

// learn takes in what another answer, by's, says of the candidate's addresses.
func (c *candidate) learn(told *Contact, by uint8) {
	switch {
	case !c.profits(told.Peer.Addrs):
		return
	case c.state == heard || c.state == barred:
		c.contact, c.state = merged(c.contact, told), heard
	default:
		c.contact, c.state, c.retried = told, heard, true
		c.named = namers{}
		if c.refused { // at an address of before
			c.refused, c.given, c.gave = false, false, 0
		}
	}
	c.named.note(by)
}

// seconded notes that one more has named candidate i, without news: who is barred
// on others' account may be asked on this one's.
func (l *Lookup) seconded(i int) {
	l.tracked(i)
	if c := &l.candidates[i]; c.named[0] != 0 && c.named.note(l.by) && c.state == barred {
		c.state = heard
	}
}

// dropFarthest forgets the farthest candidate from position on that has not been
// asked, of those that a path has heard of first or, if none is given, of all, and reports
// whether there was one.
func (l *Lookup) dropFarthest(position int, first pathSet) bool {
	for i := len(l.candidates) - 1; i >= position; i-- {
		if s := l.candidates[i].state; (s == heard || s == barred) && (first == 0 || first == l.candidates[i].first) {
			l.candidates = slices.Delete(l.candidates, i, i+1)
			l.distances = slices.Delete(l.distances, i, i+1)
			return true
		}
	}
	return false
}

// Next returns the peer to ask now and counts it as asked, or nil if nobody is
// to be asked before something else happens. A peer without known addresses,
// which only an existing connection could reach, is left until nothing else is
// under way: another answer may bring its addresses.
func (l *Lookup) Next() *Contact {
	if l.paths != nil {
		return l.nextOfPaths()
	}
	if l.asked >= maxAsked || l.slots >= l.budget() {
		return nil
	}
	i := l.pick(0)
	if i < 0 && l.believing && l.slots == 0 && l.count(slow) == 0 {
		l.distrust() // those it believes in are too few, and nobody else is to be asked
		i = l.pick(0)
	}
	if i < 0 {
		return nil
	}
	return l.ask(i)
}

// pick returns the position of the one to ask now among the candidates of some paths, all
// if none is given, or -1.
func (l *Lookup) pick(of pathSet) int {
	live, late, bare := 0, 0, -1
	for i := range l.candidates {
		c := &l.candidates[i]
		switch {
		case c.out() || !c.belongs(of):
			continue
		case l.believing && c.credible(&l.target) && (c.state != heard || !l.surplus(i)):
		case c.state == slow && late < l.k: // somebody else is asked in its place
			late++
			continue
		case c.state == heard && c.contact.HasAddrs():
			if at := l.fastest(i); at > i && l.open(&l.candidates[at]) {
				return at
			}
			if !l.surplus(i) && l.open(c) {
				return i
			}
			c.state = barred
			continue
		case c.state == heard && bare < 0:
			bare = i
		}
		if live++; live == l.window() {
			break
		}
	}
	if bare < 0 || l.slots > 0 {
		return -1
	}
	if !l.open(&l.candidates[bare]) {
		l.candidates[bare].state = barred
		return l.pick(of)
	}
	return bare
}

// spare returns the nearest candidate not asked that is wanted, and counts it as
// asked, or nil: for who wants more of those heard of than the walk does. What
// others make us dial is bounded as ever.
func (l *Lookup) spare(wanted func(*Contact) bool) *Contact {
	if l.asked >= maxAsked || l.slots >= l.alpha {
		return nil
	}
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.state != heard || !c.contact.HasAddrs() || !wanted(c.contact) {
			continue
		}
		if l.dials.open(c) {
			return l.ask(i)
		}
		c.state = barred
	}
	return nil
}

func (l *Lookup) ask(i int) *Contact {
	l.candidates[i].state, l.candidates[i].asked = asking, l.now
	l.slots++
	l.asked++
	return l.candidates[i].contact
}

// narrow bounds how many may be asked at a time from now on.
func (l *Lookup) narrow(most int) { l.alpha, l.final = min(l.alpha, most), min(l.final, most) }

// budget returns how many may be asked at a time: α until the β nearest live
// candidates have answered, then as many as are left of the k nearest.
func (l *Lookup) budget() int {
	if l.trusting {
		return l.few
	}
	live := 0
	for i := range l.candidates {
		switch l.candidates[i].state {
		case failed, barred, slow:
			continue
		case answered, believed:
			if live++; live == l.beta {
				return l.final
			}
		default:
			return l.alpha
		}
	}
	return l.alpha
}

// Done reports whether nothing more is to be asked or waited for: the k nearest
// live candidates have all answered. Those on whose account one is barred are nearer
// than that one, so that it is not left out while it may still be asked.
func (l *Lookup) Done() bool {
	if l.paths != nil {
		return l.doneOnPaths()
	}
	return l.doneOf(0, l.asked >= maxAsked)
}

// doneOf is Done of the candidates of some paths, all if none is given, which may ask no
// more if they are spent.
func (l *Lookup) doneOf(of pathSet, spent bool) bool {
	live := 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if !c.belongs(of) {
			continue
		}
		switch c.state {
		case asking, slow:
			return false
		case heard:
			if !spent {
				return false
			}
		case answered, believed:
			if live++; live == l.k {
				return true
			}
		}
	}
	return true
}

// Answered notes that the peer with this key has answered and named closer. It
// returns the length of the chain of referrals that led to it.
func (l *Lookup) Answered(key *keyspace.Key, closer []*Contact) (hop int) {
	i, known := l.find(key)
	if !known {
		return 0
	}
	if !l.candidates[i].refused {
		l.settle(i, answered)
	} else if s := l.candidates[i].state; s == asking || s == slow {
		l.settle(i, failed)
	}
	l.reached(i)
	hop = int(l.candidates[i].hop)
	for _, c := range closer {
		l.add(c, hop+1)
	}
	return hop
}

// Failed notes that the peer with this key is not to be expected to answer; lost
// says that it could not be reached.
func (l *Lookup) Failed(key *keyspace.Key, lost bool) {
	if i, known := l.find(key); known && l.candidates[i].state != answered {
		l.settle(i, failed)
		l.distrust()
		l.candidates[i].lost = lost
		if l.cfg != nil && l.cfg.Locate != nil {
			l.release() // there may be room for another of its subnet
		}
	}
}

// Reached notes that the peer with this key, whatever it has answered, is where it
// was dialed.
func (l *Lookup) Reached(key *keyspace.Key) {
	if i, known := l.find(key); known {
		l.reached(i)
	}
}

func (l *Lookup) reached(i int) {
	if l.dials.done(&l.candidates[i]) {
		l.release()
	}
}

// Slow notes that the peer with this key takes its time: its slot is free for
// another, and its answer is still waited for.
func (l *Lookup) Slow(key *keyspace.Key) {
	if i, known := l.find(key); known && l.candidates[i].state == asking {
		l.settle(i, slow)
	}
}

// settle moves candidate i from its state to another and frees its slot.
func (l *Lookup) settle(i int, to progress) {
	if l.candidates[i].state == asking {
		l.slots--
	}
	l.candidates[i].state = to
}
