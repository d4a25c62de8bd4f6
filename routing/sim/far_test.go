package sim

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

var (
	wideNodes = flag.Int("widenodes", 300, "how many nodes TestFarBuckets simulates")
	wideK     = flag.Int("widek", 4, "their k")
	wideFar   = flag.Int("widefar", 64, "the size of their farthest bucket")
	wideRate  = flag.Float64("widerate", 10, "how many of them join a second")
)

// Lookups take at most 0.8 times the hops with wide far buckets, over the same network,
// when these are full, and no more requests. The tables are filled by refreshes of a
// minute instead of ten, and nobody is probed meanwhile:
//
//	go test ./routing/sim -run FarBuckets -v -widenodes 10000 -widek 20 -widefar 512 -timeout 1h
func TestFarBuckets(t *testing.T) {
	looked := func(far int) Report {
		rounds := time.Duration(*wideFar / *wideK)
		cfg := Config{
			Seed: 31, Nodes: *wideNodes, JoinRate: *wideRate, Settle: (rounds + 4) * time.Minute, Lookups: 2 * *wideNodes, Rate: 100,
			Measure: Measure{Memory: true},
			Node:    kademlia.Config{K: *wideK, Breadth: kademlia.Breadth{FarBuckets: far}, Timing: kademlia.Timing{Refresh: time.Minute, Probe: day, Suspect: day}},
		}
		start := time.Now()
		_, r, err := simulated(t.Context(), cfg, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.WriteText(os.Stdout)
		t.Logf("far buckets of %d: %.0f members, %.2f hops, %.1f requests a lookup, p50 %v, p99 %v, %d bytes a node; %d requests in all, %v",
			far, r.Table.Size, r.Hops, r.Messages, r.P50.Round(time.Millisecond), r.P99.Round(time.Millisecond), r.BytesPerNode, r.Requests, time.Since(start).Round(time.Second))
		return r
	}
	usual, wide := looked(0), looked(*wideFar)
	if wide.Hops > 0.8*usual.Hops || wide.Messages > 1.05*usual.Messages || wide.Exact < 0.99 {
		t.Errorf("%.2f hops and %.1f requests instead of %.2f and %.1f; %.4f of the lookups exact", wide.Hops, wide.Messages, usual.Hops, usual.Messages, wide.Exact)
	}
}
