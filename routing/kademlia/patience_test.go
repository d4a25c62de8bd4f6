package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"pgregory.net/rapid"
)

func TestPatienceFollowsAnswers(t *testing.T) {
	timing := &Timing{Slot: time.Second, GiveUp: 5 * time.Second}
	p := patience{timing: timing}
	expect := func(what string, slot, giveUp time.Duration) {
		t.Helper()
		gotSlot, gotGiveUp := p.of()
		for _, d := range [][2]time.Duration{{gotSlot, slot}, {gotGiveUp, giveUp}} {
			if d[0] < d[1] || d[0] > d[1]*5/4 { // a quarter is how finely times are told apart
				t.Errorf("%s: slot %v, given up after %v; want %v and %v", what, gotSlot, gotGiveUp, slot, giveUp)
			}
		}
	}
	expect("nothing known", time.Second, 5*time.Second)
	for range 15 {
		p.answered(time.Millisecond)
	}
	expect("too little known", time.Second, 5*time.Second)
	for range 100 {
		p.answered(time.Millisecond)
	}
	expect("all near", leastSlot, leastPatience)
	for range 2000 {
		p.answered(480 * time.Millisecond)
	}
	expect("all at 480 ms", 480*time.Millisecond, leastPatience)
	for range 2000 {
		p.answered(900 * time.Millisecond)
	}
	expect("all at 900 ms", 900*time.Millisecond, 1500*time.Millisecond)
	for range 2000 {
		p.answered(9 * time.Second)
	}
	expect("all late", time.Second, 5*time.Second)
}

// Whatever comes in, patience stays within its bounds, and a time's place holds it.
func TestPatienceStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := patience{timing: &Timing{Slot: time.Second, GiveUp: 5 * time.Second}}
		for _, ms := range rapid.SliceOfN(rapid.Int64Range(-10, 100_000), 0, 600).Draw(t, "ms") {
			took := time.Duration(ms) * time.Millisecond
			p.answered(took)
			if i := step(took); ms > 0 && ms < 65_000 && (took > atMost(i) || i > 0 && took < atMost(i-1)) {
				t.Fatalf("%v is told to be at most %v and at least %v", took, atMost(i), atMost(i-1))
			}
		}
		slot, giveUp := p.of()
		if slot < leastSlot || slot > time.Second || giveUp < leastPatience || giveUp < slot || giveUp > 5*time.Second {
			t.Fatalf("slot %v, given up after %v", slot, giveUp)
		}
	})
}

// A peer that a walk no longer waits for is suspected only when it has been silent
// for as long as the configuration grants.
func TestHasteIsNoSuspicion(t *testing.T) {
	w := newWorld(t, 3)
	n := w.add(0, nil).node
	for i := range uint64(3) {
		n.table.insert(w.now, testContact(i+1))
	}
	for range enoughSeen {
		n.requests.patience.answered(time.Millisecond)
	}
	slowest := testContact(1)
	n.FindNode(w.now, []byte("key"), nil)
	entry := func() *entry { return n.table.find(&slowest.Key) }
	for id, r := range n.requests.pending.all() {
		if r.to.ID != slowest.ID {
			n.HandleResponse(w.now, id, &protocol.Message{Type: protocol.FindNode}, nil)
		}
	}
	n.Advance(w.now.Add(time.Second))
	if len(n.queries) != 0 || entry().strikes != 0 || entry().doubted {
		t.Errorf("after 1 s: %d lookups wait, %+v", len(n.queries), *entry())
	}
	n.Advance(w.now.Add(5 * time.Second))
	if entry().strikes != 1 || !entry().doubted {
		t.Errorf("after 5 s: %+v, want a strike and doubt", *entry())
	}
}
