package build

import (
	"errors"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// An inbound stream of a peer, to be named and ended by the test.
func pendingOf(t *testing.T, f *fairPending, p string) (network.StreamManagementScope, error) {
	t.Helper()
	s, err := f.OpenStream(peer.ID(p), network.DirInbound)
	if err != nil && !errors.Is(err, network.ErrResourceLimitExceeded) {
		t.Fatal(err)
	}
	return s, err
}

func TestPendingStreamsOfOnePeer(t *testing.T) {
	f := newFairPending(&network.NullResourceManager{})
	var open []network.StreamManagementScope
	for range pendingPerPeer {
		s, err := pendingOf(t, f, "greedy")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if _, err := pendingOf(t, f, "greedy"); err == nil {
		t.Errorf("more than %d of one peer", pendingPerPeer)
	}
	if _, err := pendingOf(t, f, "modest"); err != nil {
		t.Errorf("another peer is refused: %v", err)
	}
	if _, err := f.OpenStream("greedy", network.DirOutbound); err != nil {
		t.Errorf("an outbound stream is refused: %v", err)
	}
	if err := open[0].SetProtocol("/x"); err != nil { // one that says what it is for makes room
		t.Fatal(err)
	}
	open[0].Done() // and only once
	open[1].Done() // as does one that ends
	for range 2 {
		if _, err := pendingOf(t, f, "greedy"); err != nil {
			t.Errorf("no room after two have left: %v", err)
		}
	}
	if _, err := pendingOf(t, f, "greedy"); err == nil {
		t.Error("the end of a stream with a protocol made room twice")
	}
}

func TestManyPeersOfPendingStreamsLeaveRoom(t *testing.T) {
	f := newFairPending(&network.NullResourceManager{})
	const peers = 250
	for range pendingPerPeer {
		for i := range peers {
			_, _ = pendingOf(t, f, fmt.Sprint("greedy ", i))
		}
	}
	if f.total > maxPending {
		t.Errorf("%d streams, at most %d", f.total, maxPending)
	}
	for range crowdedPerPeer {
		if _, err := pendingOf(t, f, "modest"); err != nil {
			t.Fatalf("with %d streams of %d greedy peers: %v", f.total, peers, err)
		}
	}
}

// refusing is a resource manager that refuses something.
type refusing struct {
	network.NullResourceManager
	open, named error
}

func (r *refusing) OpenStream(peer.ID, network.Direction) (network.StreamManagementScope, error) {
	return &refusingScope{named: r.named}, r.open
}

type refusingScope struct {
	network.NullScope
	named error
}

func (s *refusingScope) SetProtocol(protocol.ID) error { return s.named }

func TestPendingStreamsThatAreRefused(t *testing.T) {
	refused := fmt.Errorf("enough: %w", network.ErrResourceLimitExceeded)
	f := newFairPending(&refusing{open: refused})
	if _, err := pendingOf(t, f, "p"); err == nil || f.total != 0 || len(f.of) != 0 {
		t.Errorf("%v; %d streams of %d peers remain", err, f.total, len(f.of))
	}
	f = newFairPending(&refusing{named: refused})
	s, err := pendingOf(t, f, "p")
	if err != nil {
		t.Fatal(err)
	}
	if s.SetProtocol("/x") == nil || f.total != 1 {
		t.Errorf("a stream that was refused its protocol counts as %d", f.total)
	}
	if s.Done(); f.total != 0 || len(f.of) != 0 {
		t.Errorf("%d streams of %d peers remain", f.total, len(f.of))
	}
}
