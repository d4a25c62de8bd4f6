package kademlia

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// What a visit asks of its chart for each of up to 4,096 keys, twice.
func BenchmarkChartNearest(b *testing.B) {
	b.ReportAllocs()
	rng := rand.New(rand.NewPCG(1, 2))
	c := chart{k: 20}
	for range 100 {
		p := testContact(rng.Uint64())
		c.note(time.Time{}, &p.Key, []*Contact{p}, false)
	}
	keys := make([]keyspace.Key, 256)
	for i := range keys {
		keys[i] = testContact(rng.Uint64()).Key
	}
	var near []*Contact
	i := 0
	for b.Loop() {
		near, _ = c.nearest(near[:0], &keys[i%len(keys)], c.k)
		i++
	}
}
