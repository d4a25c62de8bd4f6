package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

// A node with wide far buckets joins with the requests of any other, and its refreshes
// look for k more members of each wide bucket a round, until these are full: no storm.
func TestFarBucketsFillRoundByRound(t *testing.T) {
	const k, far = 4, 64
	w := newWorld(t, 11)
	w.grow(320, func(c *Config) { c.K, c.Timing.Refresh = k, -1 })
	join := func(n uint64, far int) (*member, func() int) {
		m := w.add(n, func(c *Config) { c.K, c.FarBuckets, c.Timing.Probe = k, far, -1 })
		m.node.PeerSeen(w.now, w.order[0].contact)
		m.touch()
		return m, func() (sent int) {
			w.sawRequest = func(from *member, _ *protocol.Message) {
				if from == m {
					sent++
				}
			}
			w.run(w.now.Add(10 * time.Minute))
			return sent
		}
	}
	_, usual := join(1000, 0)
	ordinary := usual()
	m, wide := join(1001, far)
	if joined := wide(); joined > 2*ordinary {
		t.Errorf("%d requests to join, an ordinary node needs %d", joined, ordinary)
	}
	rounds := 0
	for ; rounds < far/k+4; rounds++ {
		before := m.node.table.Len()
		sent := wide()
		t.Logf("round %d: %d members, %d requests", rounds+1, m.node.table.Len(), sent)
		if more := m.node.table.Len() - before; more > 6*k || sent > 25*k {
			t.Errorf("round %d: %d members more, %d requests", rounds+1, more, sent)
		}
	}
	for p, want := range []int{64, 32, 16, 8, 4, 4} {
		if got := m.node.table.members(p); got != want {
			t.Errorf("bucket %d holds %d members in the end, want %d", p, got, want)
		}
	}
}
