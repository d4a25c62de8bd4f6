package kademlia

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"pgregory.net/rapid"
)

// contactAt is a contact at a chosen place of the keyspace.
func contactAt(key keyspace.Key) *Contact { return &Contact{Key: key} }

// drawKeys draws distinct keys, some of which share long prefixes as mined ones
// do.
func drawKeys(t *rapid.T) []keyspace.Key {
	n := rapid.IntRange(0, 80).Draw(t, "n")
	seen := make(map[keyspace.Key]bool)
	var keys []keyspace.Key
	for range n {
		var k keyspace.Key
		if len(keys) > 0 && rapid.Bool().Draw(t, "mined") {
			k = keys[rapid.IntRange(0, len(keys)-1).Draw(t, "near")]
			k[31] = rapid.Byte().Draw(t, "last")
		} else {
			binary.BigEndian.PutUint64(k[:], rapid.Uint64().Draw(t, "first"))
		}
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	return keys
}

func TestViewNamesTheClosestInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := drawKeys(t)
		var target keyspace.Key
		if len(keys) > 0 && rapid.Bool().Draw(t, "of member") {
			target = keys[rapid.IntRange(0, len(keys)-1).Draw(t, "member")]
		}
		binary.BigEndian.PutUint32(target[28:], rapid.Uint32().Draw(t, "target"))
		n := rapid.IntRange(0, 30).Draw(t, "wanted")
		self := keyspace.KeyOf([]byte("self"))
		if rapid.Bool().Draw(t, "among them") {
			self = keyspace.Key{31: 7}
		}
		v := &View{self: &self}
		var all []*Contact
		for _, k := range keys {
			if k != self {
				all = append(all, contactAt(k))
				v = v.with(keyspace.CommonPrefixLen(&self, &k), all[len(all)-1])
			}
		}
		got := v.AppendClosest(nil, &target, n)
		slices.SortFunc(all, func(a, b *Contact) int { return keyspace.CompareDistance(&target, &a.Key, &b.Key) })
		if want := all[:min(n, len(all))]; !slices.Equal(got, want) {
			t.Fatalf("%d wanted of %d: got %d, in another order or others", n, len(all), len(got))
		}
	})
}

// tableOf returns a table that was offered n contacts, with k a bucket.
func tableOf(n, k int) *Table {
	t := newTable(keyspace.KeyOf([]byte("self")), k, 0)
	for i := range n {
		t.insert(epoch, testContact(uint64(i)))
	}
	return t
}

func BenchmarkClosest20(b *testing.B) {
	for _, size := range []struct{ offered, k int }{{1000, 20}, {10_000, 20}, {1000, 1000}, {10_000, 2000}} {
		t := tableOf(size.offered, size.k)
		b.Run(fmt.Sprintf("offered=%d/k=%d/held=%d", size.offered, size.k, t.Len()), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			targets := make([]keyspace.Key, 1024)
			for i := range targets {
				targets[i] = keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, rng.Uint64()))
			}
			dst := make([]*Contact, 0, 20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				dst = t.View().AppendClosest(dst[:0], &targets[i%1024], 20)
			}
			if len(dst) != 20 {
				b.Fatal(len(dst))
			}
		})
	}
}

// BenchmarkFindNodeHandler is the handler alone, decoded request to answer
// ready for encoding; protocol/rpc has it from bytes to bytes.
func BenchmarkFindNodeHandler(b *testing.B) {
	w := newWorld(b, 1)
	m := w.add(0, nil)
	for i := range 1000 {
		m.node.table.insert(epoch, testContact(uint64(i+1)))
	}
	req := &protocol.Message{Type: protocol.FindNode, Key: []byte("hello")}
	resp := &protocol.Message{}
	from := protocol.Remote{Peer: testID(7)}
	b.ReportAllocs()
	for b.Loop() {
		resp.CloserPeers = resp.CloserPeers[:0]
		if err := m.handlers.FindNode(epoch, from, req, resp); err != nil {
			b.Fatal(err)
		}
	}
	if len(resp.CloserPeers) < 20 {
		b.Fatal(len(resp.CloserPeers))
	}
}

func BenchmarkInsertAndRemove(b *testing.B) {
	t := tableOf(1000, 20)
	c := t.View().shelves[0][0].contact
	b.ReportAllocs()
	for b.Loop() {
		t.remove(&c.Key)
		t.insert(epoch, c)
	}
}
