package kademlia

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Table holds the peers we know to be alive, in buckets by the length of the
// prefix their keys share with ours (the paper, §2.4; wire.md §10).
//
// Invariants: every member has been verified before it came in; a member leaves
// only because it failed a probe or stopped serving, never because a newcomer
// wants its place; our own key is not a member; the published View holds exactly
// the members.
type Table struct {
	self    keyspace.Key
	k, far  int      // what capacity makes of them
	buckets []bucket // by common prefix length, as long as the deepest used
	size    int
	view    atomic.Pointer[View]
}

// newTable returns an empty table around self with k members a bucket, and up to far in
// the farthest (see capacity).
func newTable(self keyspace.Key, k, far int) *Table {
	t := &Table{self: self, k: k, far: far}
	t.view.Store(&View{self: &t.self})
	return t
}

// View returns the members as of the last change; safe from any goroutine.
func (t *Table) View() *View { return t.view.Load() }

// Len returns the number of members.
func (t *Table) Len() int { return t.size }

// prefix returns the number of the bucket that key belongs to.
func (t *Table) prefix(key *keyspace.Key) int { return keyspace.CommonPrefixLen(&t.self, key) }

// bucket returns the bucket of key, made if need be; nil for our own key.
func (t *Table) bucket(key *keyspace.Key) *bucket {
	p := t.prefix(key)
	if p == keyspace.Bits {
		return nil
	}
	if p >= len(t.buckets) {
		t.buckets = append(make([]bucket, 0, p+1), t.buckets...)[:p+1]
	}
	return &t.buckets[p]
}

// find returns the entry of the member with this key, or nil. It is valid until
// the table changes.
func (t *Table) find(key *keyspace.Key) *entry {
	p, i := t.locate(key)
	if i < 0 {
		return nil
	}
	return &t.buckets[p].members[i]
}

// locate returns the bucket of key and the position of the member with it, -1 if
// there is none.
func (t *Table) locate(key *keyspace.Key) (p, i int) {
	p = t.prefix(key)
	if c := t.View().inBucket(p, key); c != nil {
		return p, t.buckets[p].position(c)
	}
	return p, -1
}

// contact returns the member with this key, or nil.
func (t *Table) contact(key *keyspace.Key) *Contact { return t.View().contact(key) }

// depth returns the number of leading bits that the k-th nearest member shares
// with us, Bits if there are fewer than k.
func (t *Table) depth() int {
	n := 0
	for p := len(t.buckets) - 1; p >= 0; p-- {
		if n += len(t.buckets[p].members); n >= t.k {
			return p
		}
	}
	return keyspace.Bits
}

// hasRoom reports whether a verified contact would be taken in.
func (t *Table) hasRoom(key *keyspace.Key) bool {
	p := t.prefix(key)
	return p != keyspace.Bits && t.members(p) < t.capacity(p)
}

// members returns how many members bucket p has.
func (t *Table) members(p int) int {
	if p < len(t.buckets) {
		return len(t.buckets[p].members)
	}
	return 0
}

// seen notes that the peer is alive and returns its entry, valid until the table
// changes, or nil if it is no member.
func (t *Table) seen(now time.Time, c *Contact) *entry {
	p, i := t.locate(&c.Key)
	if i < 0 {
		return nil
	}
	return t.buckets[p].touch(instantOf(now), i)
}

// update gives the member c.ID the addresses of c, if it is one and c has any.
// Only what the peer itself says of its addresses belongs here: hearsay must
// not overwrite it.
func (t *Table) update(c *Contact) {
	e := t.find(&c.Key)
	if e != nil && c.HasAddrs() && !c.sameAddrs(e.contact) {
		e.contact = c
		t.view.Store(t.View().updated(t.prefix(&c.Key), c))
	}
}

// insert takes in a verified contact if there is room, and otherwise notes it
// as a replacement. It reports whether c became a member just now.
func (t *Table) insert(now time.Time, c *Contact) bool {
	b := t.bucket(&c.Key)
	if b == nil || t.seen(now, c) != nil {
		return false
	}
	room := t.capacity(t.prefix(&c.Key))
	if len(b.members) >= room {
		b.addReplacement(c, t.k, false)
		return false
	}
	b.dropReplacement(&c.Key)
	b.members = push(b.members, newEntry(now, c), room)
	t.size++
	t.view.Store(t.View().with(t.prefix(&c.Key), c))
	return true
}

// remove takes the peer with this key out of the table altogether and reports
// whether it was a member.
func (t *Table) remove(key *keyspace.Key) bool {
	p, i := t.locate(key)
	if p >= len(t.buckets) {
		return false
	}
	b := &t.buckets[p]
	b.dropReplacement(key)
	if i < 0 {
		return false
	}
	b.members = slices.Delete(b.members, i, i+1)
	t.size--
	t.view.Store(t.View().without(p, key))
	return true
}
