package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Any live peer of a far bucket is as good a member as any other, and nearly all lookups
// begin with these: so of two who wait for a place there, the one takes it that is known to
// answer faster (proximity neighbour selection; Gummadi and others, SIGCOMM 2003; Kaune and others,
// P2P 2008). Of two and not of all, so that nobody has more than twice the share of the places
// that they have of those who wait, however near they sit to us. Members never leave for it.

// waiter is a peer that waits for a place in a bucket.
type waiter struct {
	contact *Contact
	prefix  uint32 // the first 32 bits of its key
	pace    pace   // how fast it has answered
}

func newWaiter(c *Contact) waiter { return waiter{contact: c, prefix: uint32(prefixOf(&c.Key) >> 32)} }

// timed notes how long a member, or a peer that waits for a place, took to answer.
func (t *Table) timed(key *keyspace.Key, took time.Duration) {
	if e := t.find(key); e != nil {
		e.pace.note(took)
		return
	}
	p := t.prefix(key)
	if p >= farBuckets || p >= len(t.buckets) {
		return
	}
	if b := &t.buckets[p]; len(b.replacements) > 0 {
		if i := b.waiting(key); i >= 0 {
			b.replacements[i].pace.note(took)
		}
	}
}

// next takes the one who is to have a place in bucket p from those who wait for it, nil if
// nobody does: the most recently seen, or, in a far bucket, the faster of the last two.
func (t *Table) next(p int) *Contact {
	b := &t.buckets[p]
	n := len(b.replacements)
	if n == 0 {
		return nil
	}
	if p < farBuckets && n > 1 {
		if last, other := &b.replacements[n-1], &b.replacements[n-2]; other.pace.before(last.pace) {
			*last, *other = *other, *last
		}
	}
	return b.takeReplacement()
}
