package kademlia

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Whoever the chart says are surely the k nearest are the k nearest, as long as the
// lookups it was told of were right; and a key that was looked up is always sure.
func TestChartProperty(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	sure, all := 0, 0
	for range 200 {
		peers := make([]*Contact, 1+rng.IntN(60))
		for i := range peers {
			peers[i] = testContact(rng.Uint64())
		}
		c := chart{k: 1 + rng.IntN(20)}
		nearest := func(key *keyspace.Key) []*Contact {
			all := slices.Clone(peers)
			slices.SortFunc(all, func(a, b *Contact) int { return keyspace.CompareDistance(key, &a.Key, &b.Key) })
			return all[:min(c.k, len(all))]
		}
		for range 1 + rng.IntN(4) {
			key := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, rng.Uint64()))
			c.note(epoch, &key, nearest(&key), true)
			for i := range c.whole[1:] {
				if c.whole[i].to+1 >= c.whole[i+1].from || c.whole[i].from > c.whole[i].to {
					t.Fatalf("spans touch: %x", c.whole)
				}
			}
			if got, ok := c.nearest(nil, &key, c.k); !ok || !slices.Equal(got[:min(c.k, len(got))], nearest(&key)) {
				t.Fatal("a key that was looked up is not sure")
			}
		}
		for range 50 {
			key := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, rng.Uint64()))
			got, ok := c.nearest(nil, &key, c.k)
			all++
			if !ok {
				continue
			}
			sure++
			if !slices.Equal(got[:min(c.k, len(got))], nearest(&key)) {
				t.Fatalf("of %d peers, k %d: not the nearest, and said to be sure", len(peers), c.k)
			}
		}
	}
	if sure < all/5 || sure > all*19/20 {
		t.Errorf("%d of %d keys were sure: the test does not test", sure, all)
	}
}

// Two or three lookups chart the part of the keyspace in which a visit is.
func TestChartTakesFewLookups(t *testing.T) {
	peers := make([]*Contact, 10000)
	for i := range peers {
		peers[i] = testContact(uint64(i))
	}
	lookups, visits := 0, 0
	for i := range uint64(200) {
		key := keyspace.KeyOf(binary.BigEndian.AppendUint64([]byte("visit"), i))
		nearest := func(key *keyspace.Key) []*Contact {
			near := append([]*Contact(nil), peers...)
			slices.SortFunc(near, func(a, b *Contact) int { return keyspace.CompareDistance(key, &a.Key, &b.Key) })
			return near[:20]
		}
		c := chart{k: 20}
		near := nearest(&key)
		first, _ := key.Region(keyspace.CommonPrefixLen(&key, &near[19].Key))
		c.note(epoch, &key, near, false)
		lookups++
		step := uint64(1) << (63 - keyspace.CommonPrefixLen(&key, &near[19].Key)) / 32
		var places []keyspace.Key
		for j := range uint64(64) {
			at := first
			binary.BigEndian.PutUint64(at[:8], prefixOf(&first)+j*step)
			places = append(places, at)
		}
		for _, last := range []bool{false, true} {
			for _, at := range places {
				_, sure := c.nearest(nil, &at, c.k)
				if !c.covers(span{prefixOf(&at), prefixOf(&at)}) || last && !sure {
					c.note(epoch, &at, nearest(&at), false)
					lookups++
				}
			}
		}
		visits++
		if i == 20 {
			break // each sorts ten thousand peers
		}
	}
	if mean := float64(lookups) / float64(visits); mean > 3.5 {
		t.Errorf("%.1f lookups a visit", mean)
	} else {
		t.Logf("%.1f lookups a visit", mean)
	}
}
