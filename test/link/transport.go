package link

import (
	"context"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// overTCP does what libp2p's TCP transport does, with the same upgrades of each
// connection, over our wires.
type overTCP struct {
	dialer    dialer
	upgrader  transport.Upgrader
	resources network.ResourceManager
}

// handshakePatience is how long libp2p waits for a TCP connection.
const handshakePatience = 5 * time.Second

// Dial implements transport.Transport.
func (t *overTCP) Dial(ctx context.Context, to multiaddr.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.resources.OpenConnection(network.DirOutbound, true, to)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, to, p, scope)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return c, nil
}

func (t *overTCP) dial(ctx context.Context, to multiaddr.Multiaddr, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	_, address, err := manet.DialArgs(to)
	if err != nil {
		return nil, err
	}
	brief, cancel := context.WithTimeout(ctx, handshakePatience)
	defer cancel()
	raw, err := t.dialer.dial(brief, address)
	if err != nil {
		return nil, err
	}
	wrapped, err := manet.WrapNetConn(raw)
	if err != nil {
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, wrapped, network.DirOutbound, p, scope)
}

// CanDial implements transport.Transport.
func (t *overTCP) CanDial(a multiaddr.Multiaddr) bool {
	protocols := a.Protocols()
	return len(protocols) == 2 && protocols[0].Code == multiaddr.P_IP4 && protocols[1].Code == multiaddr.P_TCP
}

// Listen implements transport.Transport.
func (t *overTCP) Listen(at multiaddr.Multiaddr) (transport.Listener, error) {
	_, address, err := manet.DialArgs(at)
	if err != nil {
		return nil, err
	}
	where, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	l, err := t.dialer.net.wires.listen(where)
	if err != nil {
		return nil, err
	}
	wrapped, err := manet.WrapNetListener(l)
	if err != nil {
		return nil, err
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(wrapped)), nil
}

// Protocols implements transport.Transport.
func (t *overTCP) Protocols() []int { return []int{multiaddr.P_TCP} }

// Proxy implements transport.Transport.
func (t *overTCP) Proxy() bool { return false }

// String names the transport in errors.
func (t *overTCP) String() string { return "TCP between places" }
