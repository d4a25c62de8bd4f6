package kademlia

import (
	"slices"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// instant is a time in nanoseconds since 1970: a third of a time.Time, for what
// every table entry of a hundred thousand simulated nodes holds.
type instant int64

// entry is a verified member of the table: it has answered us at least once. It
// lives in its bucket's slice, so a pointer to it is valid until the table changes.
type entry struct {
	contact *Contact
	seen    instant // when it last answered or appeared
	added   uint32  // seconds since 1970
	strikes uint8   // requests of operations in a row that it left unanswered
	probing bool    // a probe is on its way; asked at most once at a time
	doubted bool    // has failed since it was seen last
	pace    pace    // how fast it answers
}

func newEntry(now time.Time, c *Contact) entry {
	return entry{contact: c, seen: instantOf(now), added: uint32(now.Unix())}
}

// addedAt returns when the member came in.
func (e *entry) addedAt() time.Time { return time.Unix(int64(e.added), 0).UTC() }

// strike counts an unanswered request of an operation.
func (e *entry) strike() uint8 {
	e.strikes = min(e.strikes+1, maxStrikes)
	return e.strikes
}

// bucket holds the members that share the same number of leading bits with our
// own key.
//
// Invariants: members are ordered from least to most recently seen (the paper,
// §2.2); there are never more than the table's capacity; replacements are peers for which
// there was no room, or no need yet, most recently seen last, and are not members.
type bucket struct {
	members      []entry
	replacements []waiter
	refreshed    instant // when a lookup last went through this range
}

// position returns the position of the member that holds c, or -1.
func (b *bucket) position(c *Contact) int {
	for i := range b.members {
		if b.members[i].contact == c {
			return i
		}
	}
	return -1
}

// push appends v to s, with room for no more than limit: append would leave up to
// half of a full bucket's room unused.
func push[T any](s []T, v T, limit int) []T {
	if len(s) == cap(s) {
		s = append(make([]T, 0, max(len(s)+1, min(max(4, 2*len(s)), limit))), s...)
	}
	return append(s, v)
}

// touch makes the member at position i the most recently seen and returns it.
func (b *bucket) touch(now instant, i int) *entry {
	e := b.members[i]
	e.seen, e.doubted = now, false
	copy(b.members[i:], b.members[i+1:])
	last := &b.members[len(b.members)-1]
	*last = e
	return last
}

// addReplacement notes c for the day a member leaves, as the most recently
// seen; of more than limit the longest unseen is forgotten. Unless c is first
// hand, what was known of the peer's addresses stays.
func (b *bucket) addReplacement(c *Contact, limit int, firstHand bool) {
	w := newWaiter(c)
	if i := b.waiting(&c.Key); i >= 0 {
		w.pace = b.replacements[i].pace
		if !firstHand {
			w.contact = b.replacements[i].contact
		}
		b.replacements = slices.Delete(b.replacements, i, i+1)
	}
	if len(b.replacements) >= limit {
		b.replacements = slices.Delete(b.replacements, 0, 1+len(b.replacements)-limit)
	}
	b.replacements = push(b.replacements, w, limit)
}

// waiting returns the position of the replacement with this key, or -1.
func (b *bucket) waiting(key *keyspace.Key) int {
	prefix := uint32(prefixOf(key) >> 32)
	for i := range b.replacements {
		if b.replacements[i].prefix == prefix && b.replacements[i].contact.Key == *key {
			return i
		}
	}
	return -1
}

// dropReplacement forgets the peer with this key among the replacements.
func (b *bucket) dropReplacement(key *keyspace.Key) {
	if i := b.waiting(key); i >= 0 {
		b.replacements = slices.Delete(b.replacements, i, i+1)
	}
}

// takeReplacement returns the most recently seen replacement and forgets it, or
// nil.
func (b *bucket) takeReplacement() *Contact {
	n := len(b.replacements)
	if n == 0 {
		return nil
	}
	c := b.replacements[n-1].contact
	b.replacements[n-1] = waiter{}
	b.replacements = b.replacements[:n-1]
	return c
}

func instantOf(t time.Time) instant { return instant(t.UnixNano()) }

func (i instant) time() time.Time { return time.Unix(0, int64(i)).UTC() }

func (i instant) add(d time.Duration) instant { return i + instant(d) }
