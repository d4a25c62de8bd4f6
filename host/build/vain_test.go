package build

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// dialed returns at how many of n addresses p may be dialed.
func dialed(v *vain, p string, n int) (yes int) {
	for range n {
		if v.tries(peer.ID(p)) {
			yes++
		}
	}
	return yes
}

// Peers that nobody reaches are dialed at all their addresses until there are many
// of them, then at a few; after a while, and for every peer that is reached, at all
// again.
func TestDialsInVain(t *testing.T) {
	v := newVain()
	now := time.Unix(1000, 0)
	v.now = func() time.Time { return now }
	for i := range calmDials / 16 {
		if n := dialed(v, fmt.Sprint("dead ", i), 16); n != 16 {
			t.Fatalf("calm: %d addresses of 16", n)
		}
	}
	if n := dialed(v, "one more", 16); n != fewDials {
		t.Errorf("%d addresses of 16 after %d in vain", n, calmDials)
	}
	if n := dialed(v, "dead 0", 1); n != 0 {
		t.Error("one that has been dialed is dialed on")
	}
	v.reached("dead 0")
	v.reached("dead 1")
	if n := dialed(v, "after two were reached", 32); n != 2*16-fewDials {
		t.Errorf("%d addresses of 32, want what the reached ones gave back", n)
	}
	now = now.Add(vainSpan)
	if n := dialed(v, "one more", 16); n != 16 {
		t.Errorf("a span later: %d addresses of 16", n)
	}
	now = now.Add(-time.Hour) // a clock set back
	if n := dialed(v, "after that", calmDials); n != calmDials {
		t.Errorf("%d addresses", n)
	}
	for i := range 2 * maxVainPeers {
		dialed(v, fmt.Sprint(i), 1)
	}
	if len(v.peers) > maxVainPeers {
		t.Errorf("%d peers remembered", len(v.peers))
	}
}

// A host that has dialed many in vain dials invented peers at few of their
// addresses, and reaches others as before.
func TestInventedPeersCostFewDials(t *testing.T) {
	victim := newHost(t, Config{Listen: loopback})
	h := newHost(t, Config{Listen: []string{}})
	addrs := make([]multiaddr.Multiaddr, 16) // nobody listens there
	for port := range addrs {
		addrs[port] = multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port+1))
	}
	const peers = 2 * calmDials / 16
	tried := 0
	for i := range peers {
		id, err := peer.IDFromBytes(append([]byte{0x12, 0x20, byte(i)}, make([]byte, 31)...))
		if err != nil {
			t.Fatal(err)
		}
		h.Peerstore().AddAddrs(id, addrs, peerstore.TempAddrTTL)
		var failed *swarm.DialError
		if _, err := h.Network().DialPeer(testContext(t), id); !errors.As(err, &failed) {
			t.Fatalf("an invented peer: %v", err)
		}
		for _, one := range failed.DialErrors {
			if !errors.Is(one.Cause, swarm.ErrGaterDisallowedConnection) {
				tried++
			}
		}
	}
	if want := calmDials + peers/2*fewDials; tried != want {
		t.Errorf("%d addresses dialed, want %d", tried, want)
	}
	for range 2 {
		if err := h.Connect(testContext(t), info(victim)); err != nil {
			t.Error(err)
		}
		_ = h.Network().ClosePeer(victim.ID())
	}
}
