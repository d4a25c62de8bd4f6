package host

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Ranker is a Transport that can hold on to connections; an Endpoint is one.
type Ranker interface {
	// Rank says what connections to p are worth: those of the lowest value are the
	// first to be closed where there are too many, and those of peers to keep never
	// are for that reason (Saver closes idle ones). Zero and false take back what was said. The host forgets the value when
	// the peer disconnects.
	Rank(p peer.ID, value int, keep bool)
}

// Locator is a Transport that knows where connected peers are; an Endpoint is one.
type Locator interface {
	// Origin returns the IP address that p's direct connection comes from or leads
	// to; false if there is none.
	Origin(p peer.ID) (netip.Addr, bool)
}

// Rank implements Ranker by the host's connection manager.
func (e *Endpoint) Rank(p peer.ID, value int, keep bool) {
	e.ranking.Lock()
	defer e.ranking.Unlock()
	conns, tag := e.host.ConnManager(), string(e.cfg.Protocol)
	if value != 0 {
		conns.TagPeer(p, tag, value)
	} else {
		conns.UntagPeer(p, tag)
	}
	if keep {
		conns.Protect(p, tag)
	} else {
		conns.Unprotect(p, tag)
	}
}

// Origin implements Locator.
func (e *Endpoint) Origin(p peer.ID) (ip netip.Addr, ok bool) {
	for _, c := range e.host.Network().ConnsToPeer(p) {
		if c.Stat().Limited {
			continue
		}
		if ip = remoteIP(c.RemoteMultiaddr()); ip.IsValid() {
			return ip, true
		}
	}
	return ip, false
}
