package build

import (
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// maxPending is how many inbound streams may be about to say what protocol they
	// are for, which takes 10 s at most and a few KiB each. libp2p's own bound is
	// some hundreds for all peers together, so that two peers' silent streams would
	// lock everybody else out (reliability.md T7).
	maxPending = 4096
	// pendingPerPeer is one peer's part of them; crowdedPerPeer while more than half
	// are taken. With the 200 connections there can be, the other half suffices.
	pendingPerPeer = 64
	crowdedPerPeer = 8
)

// fairPending is a resource manager that shares the streams that have not yet
// named their protocol among the peers.
//
// Invariant: of never has an entry of zero, and total is the sum of its entries.
type fairPending struct {
	network.ResourceManager

	mu    sync.Mutex
	total int
	of    map[peer.ID]int
}

func newFairPending(m network.ResourceManager) *fairPending {
	return &fairPending{ResourceManager: m, of: make(map[peer.ID]int)}
}

// OpenStream implements network.ResourceManager.
func (f *fairPending) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	if dir != network.DirInbound {
		return f.ResourceManager.OpenStream(p, dir)
	}
	if err := f.enter(p); err != nil {
		return nil, err
	}
	scope, err := f.ResourceManager.OpenStream(p, dir)
	if err != nil {
		f.leave(p)
		return nil, err
	}
	return &pendingStream{StreamManagementScope: scope, leave: sync.OnceFunc(func() { f.leave(p) })}, nil
}

func (f *fairPending) enter(p peer.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := pendingPerPeer
	if f.total >= maxPending/2 {
		limit = crowdedPerPeer
	}
	if n := f.of[p]; n >= limit || f.total >= maxPending {
		return fmt.Errorf("%d inbound streams without protocol, %d in all: %w", n, f.total, network.ErrResourceLimitExceeded)
	}
	f.of[p]++
	f.total++
	return nil
}

func (f *fairPending) leave(p peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total--
	if f.of[p]--; f.of[p] == 0 {
		delete(f.of, p)
	}
}

// pendingStream is the scope of a stream that counts as pending until it has a
// protocol or has ended.
type pendingStream struct {
	network.StreamManagementScope
	leave func()
}

// SetProtocol implements network.StreamManagementScope.
func (s *pendingStream) SetProtocol(id protocol.ID) error {
	err := s.StreamManagementScope.SetProtocol(id)
	if err == nil {
		s.leave()
	}
	return err
}

// Done implements network.StreamManagementScope.
func (s *pendingStream) Done() {
	s.StreamManagementScope.Done()
	s.leave()
}
