package live

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/data"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
	"github.com/kdht/kdht/routing/dual"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
)

// Network is the kind of network a node is in.
type Network string

// The kinds: one's own, the public one of IPFS nodes, that of those around, and
// these two at a time.
const (
	Private Network = "private"
	Amino   Network = "amino"
	LAN     Network = "lan"
	Dual    Network = "dual"
)

// Networks are all kinds, as flags name them.
var Networks = []string{string(Private), string(Amino), string(LAN), string(Dual)}

// ParseNetwork returns the kind of a name.
func ParseNetwork(name string) (Network, error) {
	if !slices.Contains(Networks, name) {
		return "", control.Errorf(control.Usage, "--network: there is no %.20q: use private, amino, lan or dual", name)
	}
	return Network(name), nil
}

// Public reports whether the network is everybody's: then nobody serves in it who
// cannot be reached, and it has public addresses.
func (k Network) Public() bool { return k == Amino || k == Dual }

// IPFS reports whether it is one of those of IPFS nodes, whose protocols and kinds
// of values are given.
func (k Network) IPFS() bool { return k == Amino || k == LAN || k == Dual }

// Profile returns what addresses belong to such a network unless told otherwise.
func (k Network) Profile() profile.Profile {
	switch k {
	case Amino, Dual:
		return profile.Public
	case LAN:
		return profile.LAN
	}
	return profile.Private
}

// Bootstrap returns whom such a network is joined through unless told otherwise.
func (k Network) Bootstrap() []peer.AddrInfo {
	if k.Public() {
		return amino.BootstrapPeers()
	}
	return nil
}

// Rules are those of the values of such a network; nil stands for those of a
// private one.
func (k Network) Rules() data.Rules {
	if k.IPFS() {
		return amino.Validator(nil)
	}
	return nil
}

// protocols returns the ids that a node of cfg serves; all but the first may be empty.
func protocols(cfg *Config) (main, json, lan protocol.ID) {
	switch cfg.Network {
	case Amino:
		return amino.Protocol, "", ""
	case LAN:
		return amino.LANProtocol, "", ""
	case Dual:
		return amino.Protocol, "", amino.LANProtocol
	}
	return protocol.ID(cfg.Prefix + "/kad/1.0.0"), protocol.ID(cfg.Prefix + "/kad/json/1.0.0"), ""
}

// router is what the node's operations need: a DHT, or two that are one.
type router interface {
	core.Routing
	io.Closer
	Ping(ctx context.Context, id peer.ID) error
	Refresh(ctx context.Context) error
	WaitReady(ctx context.Context) error
	StopRepublishing(key string) error
}

// settings returns what the node's DHTs are made with; lan is nil but in a Dual.
func (n *Node) settings(json protocol.ID) (main routing.Config, lan *routing.Config) {
	switch n.cfg.Network {
	case Amino:
		main = amino.Config()
	case LAN:
		main = amino.LANConfig()
	case Dual:
		main = amino.Config()
		around := amino.LANConfig()
		lan = &around
	default:
		main = routing.Config{Protocol: n.protocol, JSONProtocol: json, K: n.cfg.BucketSize}
		main.Serving.Limit.Subnets = n.cfg.Profile == profile.Public
	}
	main.Mode, main.BootstrapPeers, main.Filters.Profile, main.Stores = n.cfg.Mode, n.cfg.Bootstrap, n.cfg.Profile, n.stores.Routing()
	main.Trace = n.cfg.Trace
	if lan != nil {
		n.around(lan)
	}
	return main, lan
}

// around completes the settings of the local network beside a public one.
func (n *Node) around(lan *routing.Config) {
	if n.cfg.Mode == routing.ModeClient {
		lan.Mode = routing.ModeClient
	}
	if n.cfg.Profile == profile.Private {
		lan.Filters.Profile = profile.Private
	}
	for _, p := range n.cfg.Bootstrap {
		if lan.Filters.Profile == profile.Private || slices.ContainsFunc(p.Addrs, func(a multiaddr.Multiaddr) bool { return profile.LAN.Admits(a.Bytes()) }) {
			lan.BootstrapPeers = append(lan.BootstrapPeers, p)
		}
	}
	lan.Stores, lan.Trace = n.lanStores.Routing(), n.cfg.Trace
}

// join starts the DHTs on h.
func (n *Node) join(h host.Host, json protocol.ID) (err error) {
	main, lan := n.settings(json)
	if lan == nil {
		if n.dht, err = routing.New(h, main); err != nil {
			return err
		}
		n.router = n.dht
	} else {
		both, err := dual.New(h, main, *lan)
		if err != nil {
			return err
		}
		n.router, n.dht, n.lan = both, both.WAN, both.LAN
	}
	n.closers = append(n.closers, n.router.Close)
	return nil
}

// openLAN opens the stores of the local network beside a public one.
func (n *Node) openLAN(self peer.ID) (err error) {
	switch {
	case n.cfg.Network != Dual:
	case n.stores.Dir == "":
		n.lanStores = data.Memory(self, LAN.Rules())
	default:
		n.lanStores, err = n.stores.Beside("lan", self, LAN.Rules())
	}
	return err
}

// dhts returns the DHT of each network that the node is in.
func (n *Node) dhts() []*routing.DHT {
	if n.lan == nil {
		return []*routing.DHT{n.dht}
	}
	return []*routing.DHT{n.dht, n.lan}
}

// speaks reports whether a peer that lists these protocols serves one of the node's.
func (n *Node) speaks(listed []protocol.ID) bool {
	main, _, lan := protocols(&n.cfg)
	return slices.Contains(listed, main) || lan != "" && slices.Contains(listed, lan)
}

// flagsFor are the flags that name the network of a protocol.
func flagsFor(id protocol.ID) string {
	switch id {
	case amino.Protocol:
		return "--network amino"
	case amino.LANProtocol:
		return "--network lan"
	}
	return "--protocol-prefix " + strings.TrimSuffix(string(id), "/kad/1.0.0")
}
