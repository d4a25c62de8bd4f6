package live_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/test/live"
)

// A client that learns the whole town knows all of it within a minute, and finds the nearest
// peers in one hop.
func TestWholeTown(t *testing.T) {
	const nodes, lookups = 42, 10
	synctest.Test(t, func(t *testing.T) {
		town, err := live.Start(t.Context(), live.Config{Nodes: nodes, Seed: 3, Virtual: true})
		if err != nil {
			t.Fatal(err)
		}
		defer town.Close()
		town.Settle(t.Context(), time.Minute)
		o, err := town.Learner(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		town.Settle(t.Context(), time.Minute)
		known := o.Known()
		t.Logf("%+v", known)
		if !known.Ready || known.Peers < nodes*95/100 || known.Peers > nodes {
			t.Errorf("%+v", known)
		}
		hops, quality := 0, 0.0
		for range lookups {
			h, q, err := o.Lookup(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			hops, quality = hops+h, quality+q
		}
		if hops > lookups+1 || quality < 0.98*lookups {
			t.Errorf("%d hops in %d lookups, %.2f of the nearest found", hops, lookups, quality/lookups)
		}
	})
}
