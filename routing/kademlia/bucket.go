package kademlia

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// entry is a verified member of the table: it has answered us at least once.
type entry struct {
	contact *Contact
	added   instant
	seen    instant // when it last answered or appeared
	probing bool    // a probe is on its way; asked at most once at a time
	strikes uint8   // requests of operations in a row that it left unanswered
	doubted bool    // has failed since it was seen last
}

// strike counts an unanswered request of an operation.
func (e *entry) strike() uint8 {
	e.strikes = min(e.strikes+1, maxStrikes)
	return e.strikes
}

// bucket holds the members that share the same number of leading bits with our
// own key.
//
// Invariants: members are ordered from least to most recently seen (the paper,
// §2.2); there are never more than the table's k; replacements are peers for
// which there was no room, most recently seen last, and are not members.
type bucket struct {
	members      []*entry
	replacements []*Contact
	refreshed    instant // when a lookup last went through this range
}

// member returns the entry of id and its position, or nil.
func (b *bucket) member(id peer.ID) (*entry, int) {
	for i, e := range b.members {
		if e.contact.ID == id {
			return e, i
		}
	}
	return nil, -1
}

// touch makes the member at position i the most recently seen.
func (b *bucket) touch(now instant, i int) {
	e := b.members[i]
	e.seen, e.doubted = now, false
	copy(b.members[i:], b.members[i+1:])
	b.members[len(b.members)-1] = e
}

// addReplacement notes c for the day a member leaves, as the most recently
// seen; of more than limit the longest unseen is forgotten. Unless c is first
// hand, what was known of the peer's addresses stays.
func (b *bucket) addReplacement(c *Contact, limit int, firstHand bool) {
	for i, known := range b.replacements {
		if known.ID == c.ID {
			b.replacements = slices.Delete(b.replacements, i, i+1)
			if !firstHand {
				c = known
			}
			break
		}
	}
	if len(b.replacements) >= limit {
		b.replacements = slices.Delete(b.replacements, 0, 1+len(b.replacements)-limit)
	}
	b.replacements = append(b.replacements, c)
}

// dropReplacement forgets id among the replacements.
func (b *bucket) dropReplacement(id peer.ID) {
	b.replacements = slices.DeleteFunc(b.replacements, func(c *Contact) bool { return c.ID == id })
}

// takeReplacement returns the most recently seen replacement and forgets it, or
// nil.
func (b *bucket) takeReplacement() *Contact {
	n := len(b.replacements)
	if n == 0 {
		return nil
	}
	c := b.replacements[n-1]
	b.replacements[n-1] = nil
	b.replacements = b.replacements[:n-1]
	return c
}

func instantOf(t time.Time) instant { return instant(t.UnixNano()) }

func (i instant) time() time.Time { return time.Unix(0, int64(i)).UTC() }

func (i instant) add(d time.Duration) instant { return i + instant(d) }
