package kademlia

import (
	"testing"
	"time"
)

// Half of a network is gone for ten minutes. A minute after it has come back,
// nearly all who were evicted are members again.
func TestExilesComeBack(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(60, nil)
	w.run(w.now.Add(time.Minute))
	far := func(i int) bool { return i%2 == 1 }
	before := make([]int, len(w.order))
	for i, m := range w.order {
		before[i] = m.node.table.Len()
		if far(i) {
			m.fate = crashed
		}
	}
	w.run(w.now.Add(25 * time.Minute))
	lost := 0
	for i, m := range w.order {
		lost += before[i] - m.node.table.Len()
		if len(m.node.exiles.list) > maxExiles {
			t.Errorf("%d exiles", len(m.node.exiles.list))
		}
	}
	for i, m := range w.order {
		if far(i) {
			m.fate = alive
		}
	}
	w.run(w.now.Add(time.Minute))
	missing := 0
	for i, m := range w.order {
		if !far(i) {
			missing += max(0, before[i]-m.node.table.Len())
		}
	}
	if lost < 300 || missing > lost/20 {
		t.Errorf("%d members were evicted, %d are missing a minute after", lost, missing)
	}
}

// Who stays away is forgotten in the end, and nobody is kept awake.
func TestExilesAreForgotten(t *testing.T) {
	w := newWorld(t, 5)
	n := w.add(0, nil).node
	for i := range uint64(2 * maxExiles) {
		n.exiles.add(epoch, testContact(100+i))
	}
	if len(n.exiles.list) != maxExiles {
		t.Errorf("%d exiles are remembered", len(n.exiles.list))
	}
	n.exiles = exiles{node: n}
	n.exiles.add(epoch, testContact(1))
	tries, now := 0, epoch
	for ; !n.exiles.nextDeadline().IsZero() && tries < 100; tries++ {
		now = n.exiles.nextDeadline()
		n.exiles.advance(now)
		for _, r := range n.requests.pending.all() {
			n.HandleResponse(now, r.id, nil, errSilent)
		}
	}
	if tries != exileTries || now.Sub(epoch) < 40*time.Minute || now.Sub(epoch) > time.Hour {
		t.Errorf("tried %d times, last after %v", tries, now.Sub(epoch))
	}
}
