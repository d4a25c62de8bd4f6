// Package build makes the libp2p host that a kdht node runs on: TCP and QUIC,
// noise and TLS, yamux, identify and ping, with the resource manager on. Relaying,
// hole punching and port mapping are off unless asked for.
//
//	h, err := build.New(build.Config{KeyFile: "node.key", Listen: build.Listen(4001)})
//
// A program that has a host already does not need this package. It is the only
// library package of kdht that links all of go-libp2p.
//
// The invariant: New either returns a host that listens on every address it was
// told to, under the identity it was told to, or an error that says in one line
// what to do about it, and leaves nothing behind.
package build

import (
	"errors"
	"fmt"

	"github.com/kdht/kdht/protocol/profile"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	muxer "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says what host to make. The zero value makes one with a new identity on
// free ports of all interfaces.
type Config struct {
	// KeyFile holds the identity; it is made if it does not exist. PrivKey is the
	// identity itself. At most one of them is given; with neither it is random.
	KeyFile string
	PrivKey crypto.PrivKey
	// Listen are the multiaddrs to listen on, all of them: Listen(0) if nil. An
	// empty list that is not nil means that the host only dials.
	Listen []string
	// Announce are the multiaddrs told to others instead of those listened on.
	Announce []string
	// Protocols are the DHT protocols whose streams get the limits of
	// MaxInbound; DefaultProtocols if nil.
	Protocols []protocol.ID
	// MaxInbound is how many inbound DHT streams the resource manager admits: 4096.
	MaxInbound int
	// MaxConns is the number of connections beyond which the least useful are
	// closed, after a grace period: 192, or fewer where the process may open few
	// files. Three quarters of them are for connections that others make; the youngest
	// of peers that are of no use to us make room for more.
	MaxConns int
	// UserAgent is what identify tells others about the program.
	UserAgent string
	// Metrics receives libp2p's own metrics; none are kept if nil.
	Metrics prometheus.Registerer
	// Relay lets the host be reached through relays; HolePunching upgrades such
	// connections to direct ones (and implies Relay); NATPortMap asks the router for
	// a port; AutoNATService helps others to find out about their reachability.
	Relay, HolePunching, NATPortMap, AutoNATService bool
	// Profile is the kind of network: outside profile.Private, addresses that are not
	// inside are not dialed, whoever names them and whatever names lead to them.
	Profile profile.Profile
	// Options are applied last: Router, a connection gater, which is asked besides
	// our own, further transports. What the fields above set cannot be set again.
	Options []libp2p.Option
}

// New makes the host and starts it. The caller closes it.
func New(cfg Config) (host.Host, error) {
	if !cfg.Profile.Valid() {
		return nil, fmt.Errorf("build: there is no %s; use profile.Private, profile.Public or profile.LAN", cfg.Profile)
	}
	key, err := cfg.identity()
	if err != nil {
		return nil, err
	}
	listen, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	opts, err := cfg.options(key)
	if err != nil {
		return nil, err
	}
	managers, err := cfg.managers()
	if err != nil {
		return nil, err
	}
	opts = append(opts, libp2p.ConnectionManager(managers.conns), libp2p.ResourceManager(managers.resources))
	opts = append(append(opts, cfg.Options...), cfg.gate(managers.slots))
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build: make libp2p host: %w", err), managers.close())
	}
	h.Network().Notify(managers.slots)
	if err := listenAll(h, listen, cfg.Listen == nil); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// identity returns the host's private key, nil for a random one.
func (c *Config) identity() (crypto.PrivKey, error) {
	switch {
	case c.KeyFile != "" && c.PrivKey != nil:
		return nil, errors.New("build: both KeyFile and PrivKey are given; give one")
	case c.KeyFile != "":
		return LoadOrCreateKey(c.KeyFile)
	}
	return c.PrivKey, nil
}

// options returns c as libp2p understands it.
func (c *Config) options(key crypto.PrivKey) ([]libp2p.Option, error) {
	opts := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		libp2p.DefaultSecurity,
		libp2p.Muxer(muxer.ID, newMultiplexer()),
		libp2p.Ping(true),
	}
	if key != nil {
		opts = append(opts, libp2p.Identity(key))
	}
	if len(c.Announce) > 0 {
		announce, err := parse(c.Announce)
		if err != nil {
			return nil, err
		}
		opts = append(opts, libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return announce }))
	}
	if c.UserAgent != "" {
		opts = append(opts, libp2p.UserAgent(c.UserAgent))
	}
	if c.Metrics != nil {
		opts = append(opts, libp2p.PrometheusRegisterer(c.Metrics))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	opts = append(opts, c.reachability()...)
	// Listening comes later, one address after the other, so that each failure is
	// seen; this also keeps relays off unless they are asked for above.
	return append(opts, libp2p.NoListenAddrs), nil
}

// reachability returns the options for peers behind routers.
func (c *Config) reachability() []libp2p.Option {
	var opts []libp2p.Option
	if c.Relay || c.HolePunching {
		opts = append(opts, libp2p.EnableRelay())
	} else {
		opts = append(opts, libp2p.DisableRelay())
	}
	if c.HolePunching {
		opts = append(opts, libp2p.EnableHolePunching())
	}
	if c.NATPortMap {
		opts = append(opts, libp2p.NATPortMap())
	}
	if c.AutoNATService {
		opts = append(opts, libp2p.EnableNATService())
	}
	return opts
}
