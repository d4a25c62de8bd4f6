package build

import (
	"time"

	"github.com/kdht/kdht/protocol/profile"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Gater returns a connection gater that lets a host dial only what is inside the
// network of p, and asks next, if that is not nil, besides. libp2p asks it when
// names have been resolved: a name that leads into a private network is not
// followed there (reliability.md T5).
//
// It holds for all that the host dials, not for the DHT alone: a host that is in
// a public and in a local network at once takes profile.Private and relies on
// what each DHT takes from others.
func Gater(p profile.Profile, next connmgr.ConnectionGater) connmgr.ConnectionGater {
	if next == nil {
		next = open{}
	}
	return dialGate{next, p}
}

// dialGate is a gater that asks another besides.
type dialGate struct {
	connmgr.ConnectionGater
	profile profile.Profile
}

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g dialGate) InterceptAddrDial(p peer.ID, a multiaddr.Multiaddr) bool {
	return g.profile.Dials(a.Bytes()) && g.ConnectionGater.InterceptAddrDial(p, a)
}

// gate puts our gaters before the one that Options have set, if any.
func (c *Config) gate(s *slots) libp2p.Option {
	return func(made *libp2p.Config) error {
		made.ConnectionGater = slotGate{Gater(c.Profile, made.ConnectionGater).(dialGate), s, newVain()}
		return nil
	}
}

// slotGate tells slots of the sockets that are accepted, and refuses none, but in
// a crowd accepts them slowly; and it tells vain of the addresses that are dialed.
type slotGate struct {
	dialGate
	slots *slots
	vain  *vain
}

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g slotGate) InterceptAddrDial(p peer.ID, a multiaddr.Multiaddr) bool {
	return g.dialGate.InterceptAddrDial(p, a) && g.vain.tries(p)
}

// InterceptAccept implements connmgr.ConnectionGater.
func (g slotGate) InterceptAccept(c network.ConnMultiaddrs) bool {
	if !g.dialGate.InterceptAccept(c) {
		return false
	}
	g.slots.begun(c)
	if wait := g.slots.hesitation(); wait > 0 {
		time.Sleep(wait) // this is the goroutine that accepts; maxHesitation is all that Close waits for it
	}
	return true
}

// InterceptSecured implements connmgr.ConnectionGater.
func (g slotGate) InterceptSecured(d network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if d == network.DirInbound {
		g.slots.secured(c)
	} else {
		g.vain.reached(p)
	}
	return g.dialGate.InterceptSecured(d, p, c)
}

// open is a gater that lets everything pass.
type open struct{}

func (open) InterceptPeerDial(peer.ID) bool                      { return true }
func (open) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool { return true }
func (open) InterceptAccept(network.ConnMultiaddrs) bool         { return true }
func (open) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

func (open) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
