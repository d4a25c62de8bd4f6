package kademlia

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A node that has only just joined is offered five times as many hostile peers as
// there are honest ones, again and again. It may take them where there is room, but
// not one of those it knows and that are alive goes for them (reliability.md T1,
// P10), neither before the first refreshes nor after.
func TestNothingIsReplacedWhileBootstrapping(t *testing.T) {
	const honest, hostile = 25, 125
	for seed := range uint64(3) {
		w := newWorld(t, seed)
		small := func(c *Config) { c.K = 5 } // so that buckets are full
		w.grow(honest, small)
		inside := make(map[peer.ID]bool)
		victim := w.add(honest, func(c *Config) {
			small(c)
			c.Trace = &Trace{
				Admitted: func(c *Contact) { inside[c.ID] = true },
				Evicted: func(c *Contact, reason error) {
					delete(inside, c.ID)
					if m := w.members[c.ID]; m.fate == alive {
						t.Errorf("%v after it began, %x is evicted although it lives: %v", w.now.Sub(epoch), c.ID[2:10], reason)
					}
				},
			}
		})
		victim.node.PeerSeen(w.now, w.order[0].contact)
		victim.touch()
		w.run(w.now.Add(10 * time.Second))
		known := len(inside)
		for i := range uint64(hostile) {
			m := w.add(1000+i, small)
			if i > 0 { // they know each other, and whoever asks them
				m.node.PeerSeen(w.now, w.members[testID(1000)].contact)
				m.touch()
			}
			var come func()
			come = func() {
				victim.node.PeerSeen(w.now, m.contact)
				victim.touch()
				w.after(time.Duration(1+w.rng.IntN(60))*time.Second, come)
			}
			w.after(time.Duration(w.rng.IntN(2000))*time.Millisecond, come)
		}
		for i := range 3 { // of those it knows, some end
			w.after(time.Duration(i)*4*time.Minute, func() { w.order[1+i].fate = crashed })
		}
		w.run(w.now.Add(20 * time.Minute))
		waiting := 0
		for _, b := range victim.node.Buckets() {
			waiting += b.Replacements
		}
		if known < 5 || waiting == 0 || victim.node.View().Len() != len(inside) {
			t.Errorf("it knew %d before, %d wait for a place, %d of %d admitted are members", known, waiting, victim.node.View().Len(), len(inside))
		}
	}
}
