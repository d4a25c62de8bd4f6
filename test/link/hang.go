package link

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Hanging returns the host as a DHT is to be given it that hangs when its place does
// (Network.Hang): its connections stand and their pings are answered, it opens streams
// and accepts them, but what others send on those that it serves is not looked at
// before it hangs no longer. Identify and ping, which are the host's own, go on.
func (n *Network) Hanging(h host.Host, place netip.Addr) host.Host { return hanging{h, n, place} }

type hanging struct {
	host.Host
	net   *Network
	place netip.Addr
}

// SetStreamHandler implements host.Host.
func (h hanging) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		handle(&hangingStream{Stream: s, net: h.net, place: h.place, due: newDeadline()})
	})
}

// hangingStream is a stream that is read while its place does not hang.
type hangingStream struct {
	network.Stream
	net   *Network
	place netip.Addr
	due   *deadline
}

// Read implements network.Stream.
func (s *hangingStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	for err == nil {
		hung, changed := s.net.hangs(s.place)
		if !hung {
			break
		}
		alarm, moved, late := s.due.wait()
		if late != nil {
			return 0, late
		}
		select {
		case <-changed:
		case <-alarm:
		case <-moved:
		}
	}
	return n, err
}

// SetDeadline implements network.Stream.
func (s *hangingStream) SetDeadline(t time.Time) error {
	s.due.set(t)
	return s.Stream.SetDeadline(t)
}

// SetReadDeadline implements network.Stream.
func (s *hangingStream) SetReadDeadline(t time.Time) error {
	s.due.set(t)
	return s.Stream.SetReadDeadline(t)
}

// hangs reports whether a place hangs, and what is closed when that may have changed.
func (n *Network) hangs(place netip.Addr) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hung[place] && !n.closed, n.changed
}
