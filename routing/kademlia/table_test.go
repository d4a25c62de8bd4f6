package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"pgregory.net/rapid"
)

// The table under random operations against a model that remembers who came in
// and when each was last seen.
func TestTableInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 4).Draw(t, "k")
		table := newTable(keyspace.KeyOf([]byte("self")), k, rapid.SampledFrom([]int{0, 7, 16}).Draw(t, "far"))
		seen := map[uint64]time.Time{}
		now := epoch
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Second)
			n := rapid.Uint64Range(0, 60).Draw(t, "peer")
			c := testContact(n)
			_, member := seen[n]
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				room := table.hasRoom(&c.Key)
				if came := table.insert(now, c); came != (room && !member) {
					t.Fatalf("insert of p%d: %v with room %v, member %v", n, came, room, member)
				}
				if member || room {
					seen[n] = now
				}
			case 1:
				if table.remove(&c.Key) != member {
					t.Fatalf("remove of p%d: member is %v", n, member)
				}
				delete(seen, n)
			case 2:
				if (table.seen(now, c) != nil) != member {
					t.Fatalf("seen of p%d: member is %v", n, member)
				}
				if member {
					seen[n] = now
				}
			}
			checkTable(t, table, seen)
		}
	})
}

func checkTable(t *rapid.T, table *Table, seen map[uint64]time.Time) {
	if table.Len() != len(seen) || table.View().Len() != len(seen) {
		t.Fatalf("%d members, %d in view, want %d", table.Len(), table.View().Len(), len(seen))
	}
	for n, at := range seen {
		c := testContact(n)
		e := table.find(&c.Key)
		if e == nil || !e.seen.time().Equal(at) || !table.View().Contains(c.ID) {
			t.Fatalf("p%d is missing or out of date", n)
		}
	}
	for p := range table.buckets {
		b := &table.buckets[p]
		most := table.k
		if wide := table.far / (1 << p); p < 20 && wide > most {
			most = wide
		}
		if len(b.members) > most || len(b.replacements) > table.k {
			t.Fatalf("bucket %d holds %d and %d", p, len(b.members), len(b.replacements))
		}
		for i, e := range b.members {
			if table.prefix(&e.contact.Key) != p {
				t.Fatalf("a member of bucket %d belongs elsewhere", p)
			}
			if i > 0 && b.members[i-1].seen > e.seen {
				t.Fatalf("bucket %d is not in the order of last sight", p)
			}
		}
		for _, c := range b.replacements {
			if table.find(&c.contact.Key) != nil {
				t.Fatalf("a member of bucket %d waits for a place too", p)
			}
		}
	}
}

func TestOwnKeyIsNoMember(t *testing.T) {
	self := testContact(1)
	table := newTable(self.Key, 20, 0)
	if table.insert(epoch, self) || table.Len() != 0 || table.hasRoom(&self.Key) {
		t.Error("the table took in its own key")
	}
}

// What a peer says of its addresses replaces what we knew; hearsay does not.
func TestAddressesComeFromThePeerItself(t *testing.T) {
	w := newWorld(t, 1)
	m := w.add(0, nil)
	first := testContact(1)
	m.node.table.insert(epoch, first)
	moved := NewContact(first.ID, [][]byte{testAddr(99)})
	m.node.alive(epoch, moved)
	if got := m.node.table.contact(&first.Key); got != first {
		t.Error("hearsay replaced a member's addresses")
	}
	m.node.PeerSeen(epoch, moved)
	if got := m.node.table.contact(&first.Key); got != moved {
		t.Error("the peer's own new addresses were ignored")
	}
}
