package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"pgregory.net/rapid"
)

// Who has left a request unanswered while others answered costs the next lookup little
// time, until it answers again.
func TestWhoWasSilentIsHardlyWaitedFor(t *testing.T) {
	w := newWorld(t, 5)
	n := w.add(0, func(c *Config) { c.Timing.Fresh = -1 }).node
	for i := range uint64(3) {
		n.table.insert(w.now, testContact(i+1))
	}
	for range enoughSeen {
		n.requests.patience.answered(20 * time.Millisecond)
	}
	mute := testContact(1)
	lookup := func(answers bool) (ends time.Duration) {
		began := w.now
		over := false
		n.FindNode(w.now, []byte("key"), func(now time.Time, _ Result) { ends, over = now.Sub(began), true })
		for id, r := range n.requests.pending.all() {
			if r.sent == instantOf(began) && (answers || r.to.ID != mute.ID) {
				n.HandleResponse(w.now, id, &protocol.Message{Type: protocol.FindNode}, nil)
			}
		}
		for !over {
			w.now = n.NextDeadline()
			n.Advance(w.now)
		}
		return ends
	}
	if took := lookup(false); took != leastPatience {
		t.Errorf("the first silence was waited for %v", took)
	}
	if took := lookup(false); took != leastDoubted {
		t.Errorf("the second silence was waited for %v", took)
	}
	if took := lookup(true); took != 0 {
		t.Errorf("with all answers there, the lookup took %v", took)
	}
	if took := lookup(false); took != leastPatience {
		t.Errorf("the silence after an answer was waited for %v", took)
	}
	n.PeerSeen(w.now, mute)
	if n.requests.doubts.holds(&mute.Key, instantOf(w.now)) {
		t.Error("who has just connected is in doubt")
	}
}

// Where nobody answers, it is not the peers that are in doubt.
func TestOutageIsNoDoubt(t *testing.T) {
	w := newWorld(t, 5)
	n := w.add(0, nil).node
	for i := range uint64(3) {
		n.table.insert(w.now, testContact(i+1))
	}
	n.FindNode(w.now, []byte("key"), func(time.Time, Result) {})
	n.Advance(w.now.Add(time.Second))
	n.Advance(w.now.Add(5 * time.Second))
	for i := range uint64(3) {
		if c := testContact(i + 1); n.requests.doubts.holds(&c.Key, instantOf(w.now.Add(5*time.Second))) {
			t.Errorf("%s is in doubt", c.ID)
		}
	}
}

// Doubts are of whom was noted last, lapse, and are bounded, whatever happens.
func TestDoubtsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d doubts
		model := map[uint64]instant{}
		now := instant(1)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			now = now.add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "later")))
			n := rapid.Uint64Range(1, 8).Draw(t, "peer")
			key := testContact(n).Key
			if rapid.Bool().Draw(t, "silent") {
				d.note(&key, now)
				model[n] = now
			} else {
				d.end(&key)
				delete(model, n)
			}
			for n := range uint64(8) {
				key := testContact(n + 1).Key
				at, noted := model[n+1]
				if want := noted && now < at.add(doubtSpan); d.holds(&key, now) != want {
					t.Fatalf("peer %d in doubt: %v, want %v", n+1, !want, want)
				}
			}
		}
	})
}

func TestDoubtsAreBounded(t *testing.T) {
	var d doubts
	for i := range uint64(3 * maxDoubts) {
		key := testContact(i).Key
		d.note(&key, instant(i+1))
		if i%4 == 0 {
			d.note(&key, instant(i+1)) // again
		}
	}
	first, last := testContact(0).Key, testContact(3*maxDoubts-1).Key
	if len(d.since) > maxDoubts || len(d.order) > 2*maxDoubts || d.holds(&first, 1) || !d.holds(&last, 1) {
		t.Errorf("%d peers, %d notes are kept; the first %v, the last %v", len(d.since), len(d.order), d.holds(&first, 1), d.holds(&last, 1))
	}
}
