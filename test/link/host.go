package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	goquic "github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// TCP and QUIC are addresses to listen on at a place, on free ports.
func TCP(place netip.Addr) string { return fmt.Sprintf("/ip4/%s/tcp/0", place) }

// QUIC: see TCP.
func QUIC(place netip.Addr) string { return fmt.Sprintf("/ip4/%s/udp/0/quic-v1", place) }

// Host makes a host at a place, as build.New does. It listens with TCP and QUIC
// unless cfg.Listen says otherwise. The caller closes it before the network.
func (n *Network) Host(place netip.Addr, cfg build.Config) (host.Host, error) {
	if cfg.Listen == nil {
		cfg.Listen = []string{TCP(place), QUIC(place)}
	}
	cfg.Options = append(cfg.Options[:len(cfg.Options):len(cfg.Options)], n.Transports(place))
	return build.New(cfg)
}

// Transports makes a host send all it sends from a place.
func (n *Network) Transports(place netip.Addr) libp2p.Option {
	return func(cfg *libp2p.Config) error {
		cfg.Transports, cfg.QUICReuse = nil, nil
		tcp := libp2p.Transport(func(u transport.Upgrader, r network.ResourceManager) *overTCP {
			return &overTCP{dialer{n, place}, u, r}
		})
		return cfg.Apply(tcp, libp2p.Transport(quic.NewTransport), n.quicAt(place))
	}
}

// quicAt makes QUIC's sockets ours.
func (n *Network) quicAt(place netip.Addr) libp2p.Option {
	listen := func(_ string, at *net.UDPAddr) (net.PacketConn, error) {
		bound := *at
		if bound.IP.IsUnspecified() {
			bound.IP = place.AsSlice()
		}
		real, err := n.wires.packets(&bound)
		if err != nil {
			return nil, err
		}
		return newPackets(n, place, real), nil
	}
	return libp2p.QUICReuse(closing,
		quicreuse.OverrideListenUDP(listen),
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return selector(place), nil }))
}

// closing makes QUIC's sockets, and closes them with the host, which libp2p does with
// its own only.
func closing(life fx.Lifecycle, reset goquic.StatelessResetKey, token goquic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
	m, err := quicreuse.NewConnManager(reset, token, opts...)
	if err == nil {
		life.Append(fx.StopHook(m.Close))
	}
	return m, err
}

// selector says that all is sent from one place.
type selector netip.Addr

// PreferredSourceIPForDestination implements quicreuse.SourceIPSelector.
func (s selector) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return netip.Addr(s).AsSlice(), nil
}

// dialer opens TCP connections from a place.
type dialer struct {
	net   *Network
	place netip.Addr
}

// dial opens a connection to an IP address and port.
func (d dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	return d.net.wires.connect(ctx, d.net, d.place, to)
}
