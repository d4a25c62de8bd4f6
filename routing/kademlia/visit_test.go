package kademlia

import (
	"testing"
	"time"

)

// Whoever begins while most of the network is not there yet, or does not answer, does not
// take the few it finds for all: its keys are told to the others when they are.
func TestVisitBelievesFewOnlyIfNobodyFailed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first int
		fate  fate
		after time.Duration
	}{{"most are not up", 3, alive, 4 * time.Minute}, {"most hang", 40, hung, 30 * time.Minute}, {"most are gone", 40, crashed, 30 * time.Minute}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.grow(tc.first, calmTables)
			for _, m := range w.order[3:] {
				m.fate = tc.fate
			}
			p := publish(w.order[0], 100)
			w.run(w.now.Add(tc.after))
			if p.due() != len(p.keys) {
				t.Fatalf("%d of %d keys are due, none is held by more than 2", p.due(), len(p.keys))
			}
			for _, m := range w.order[3:] {
				m.fate = alive
				p.node.PeerSeen(w.now, m.contact)
				m.touch()
			}
			if tc.first == 3 {
				w.grow(37, calmTables)
			}
			w.run(w.now.Add(time.Hour))
			if p.due() > 0 || p.held(20) < 18 {
				t.Errorf("%d keys are due, one is held by %d of its 20 nearest", p.due(), p.held(20))
			}
		})
	}
}

