package build

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// blockedHost is a host whose dials hang.
type blockedHost struct {
	host.Host
	dials atomic.Int32
	begun chan struct{}
}

func (h *blockedHost) ID() peer.ID { return "self" }

func (h *blockedHost) Connect(ctx context.Context, _ peer.AddrInfo) error {
	h.dials.Add(1)
	h.begun <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// noService is mDNS without a network.
type noService struct{ closed bool }

func (s *noService) Start() error { return nil }
func (s *noService) Close() error { s.closed = true; return nil }

// Whatever is announced on the cable, few are dialed at a time, and closing ends
// those dials.
func TestDiscoveryIsBounded(t *testing.T) {
	h := &blockedHost{begun: make(chan struct{}, 100)}
	service := &noService{}
	d := newDiscovery(h)
	d.service = service
	d.HandlePeerFound(peer.AddrInfo{ID: "self"})
	for i := range 100 {
		d.HandlePeerFound(peer.AddrInfo{ID: peer.ID(rune('a' + i))})
	}
	for range foundAtOnce {
		<-h.begun
	}
	if err := d.Close(); err != nil || !service.closed {
		t.Errorf("service closed: %v, %v", service.closed, err)
	}
	d.HandlePeerFound(peer.AddrInfo{ID: "late"})
	if n := h.dials.Load(); n != foundAtOnce {
		t.Errorf("%d dials, want %d", n, foundAtOnce)
	}
}
