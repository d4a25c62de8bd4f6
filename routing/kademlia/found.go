package kademlia

import "github.com/kdht/kdht/protocol/keyspace"

// What a lookup has found so far.

// take returns the nearest of the k nearest live candidates that has answered or is
// believed in, and has not been taken yet, or nil.
func (l *Lookup) take() *Contact {
	live := 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.out() || c.state == heard && l.exhausted(c) {
			continue
		}
		if c.there() && !c.given {
			if c.state == believed && c.asked == 0 && !l.dials.open(c) {
				c.state = barred
				continue
			}
			c.given = true
			return c.contact
		}
		if live++; live == l.k {
			break
		}
	}
	return nil
}

// near reports whether the peer with this key is among the k nearest live
// candidates.
func (l *Lookup) near(key *keyspace.Key) bool {
	at, known := l.find(key)
	live := 0
	for i := range l.candidates[:at] {
		if !l.candidates[i].out() {
			live++
		}
	}
	return known && live < l.k
}

// Dropped notes that the peer with this key, which may have answered, is of no
// use to the caller: the next nearest takes its place.
func (l *Lookup) Dropped(key *keyspace.Key) {
	if i, known := l.find(key); known {
		l.settle(i, failed)
		l.candidates[i].refused = true
		l.distrust()
	}
}

// count returns how many candidates are in a state.
func (l *Lookup) count(state progress) (n int) {
	for i := range l.candidates {
		if l.candidates[i].state == state {
			n++
		}
	}
	return n
}

// hop returns how far down the chain of referrals the peer with this key is.
func (l *Lookup) hop(key *keyspace.Key) int {
	if i, known := l.find(key); known {
		return int(l.candidates[i].hop)
	}
	return 0
}

// appendAnswered appends up to n peers that have answered or are believed in, nearest
// first.
func (l *Lookup) appendAnswered(dst []*Contact, n int) []*Contact {
	for i := range l.candidates {
		if n <= 0 {
			break
		}
		if l.candidates[i].there() && !l.surplus(i) {
			dst = append(dst, l.candidates[i].contact)
			n--
		}
	}
	return dst
}
