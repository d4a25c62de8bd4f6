package build

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// calmDials is how many addresses may be dialed in vain in a vainSpan before each
	// peer is dialed at fewDials of its addresses only. An answer may name 16 of each
	// peer, all of them somebody else's: with four liars at work these dials took
	// half of a core (reliability.md T4, P12).
	calmDials = 128
	fewDials  = 3
	vainSpan  = 10 * time.Second
	// maxVainPeers bounds the peers that are told apart in a span.
	maxVainPeers = 4096
)

// vain counts the addresses that are dialed and lead to nobody, so that peers that
// somebody has invented cost little: then each peer is dialed at a few addresses,
// in the order libp2p has them in, which is another one each time. Who can be
// reached at most of its addresses loses nothing by that.
//
// Invariant: dialed is the sum of peers, but for peers beyond maxVainPeers.
type vain struct {
	now func() time.Time

	mu     sync.Mutex
	since  time.Time
	dialed int
	peers  map[peer.ID]int // addresses dialed in this span
}

func newVain() *vain { return &vain{now: time.Now, peers: make(map[peer.ID]int)} }

// tries notes that an address of p is about to be dialed, and reports whether it
// should be.
func (v *vain) tries(p peer.ID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); now.Sub(v.since) >= vainSpan || now.Before(v.since) {
		v.since, v.dialed = now, 0
		clear(v.peers)
	}
	if v.dialed >= calmDials && v.peers[p] >= fewDials {
		return false
	}
	v.dialed++
	if _, known := v.peers[p]; known || len(v.peers) < maxVainPeers {
		v.peers[p]++
	}
	return true
}

// reached notes that p has been reached: none of its addresses was dialed in vain.
func (v *vain) reached(p peer.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dialed -= v.peers[p]
	delete(v.peers, p)
}
