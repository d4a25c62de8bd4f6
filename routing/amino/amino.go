// Package amino joins the public network that IPFS nodes form, which they call
// Amino, and the network of the same kind that those of one local network form.
// Both are settings of a DHT like any other:
//
//	dht, err := routing.New(h, amino.Config())
//	dht, err := kdht.New(h, kdht.Preset(amino.Config()), kdht.Mode(kdht.ModeClient))
//
// It is the only library package that links boxo, whose rules IPNS records are
// judged by; who does not import it does not link them.
//
// The invariant: a DHT made with these settings behaves as wire.md says that the
// members of these networks do: k is 20, values are public keys and IPNS records
// and nothing else, and no address of the other network is taken or told.
package amino

import (
	"github.com/ipfs/boxo/ipns"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// The protocol ids of the public network and of the local ones (wire.md §1).
const (
	Protocol    protocol.ID = "/ipfs/kad/1.0.0"
	LANProtocol protocol.ID = "/ipfs/lan/kad/1.0.0"
)

// replicas is k in both networks (wire.md §19).
const replicas = 20

// Config returns the settings of a member of the public network: it serves only
// while it can be reached, takes and tells public addresses alone, gives strangers
// the rates that are meant for them, and begins at BootstrapPeers. A test sets
// BootstrapPeers to nil and Filters.Profile to profile.Private.
func Config() routing.Config {
	c := routing.Config{
		Protocol: Protocol, Mode: routing.ModeAuto, BootstrapPeers: BootstrapPeers(), Validator: Validator(nil), K: replicas,
		Filters: routing.Filters{Profile: profile.Public},
	}
	c.Serving.Limit.PerPeer, c.Serving.Limit.Subnets = rpc.DefaultPeerRate, true
	return c
}

// LANConfig returns the settings of a member of a local network: it always serves,
// and takes and tells addresses of local networks alone. There is nobody to begin
// at: mDNS (build.Discover) or the program finds the first peers.
func LANConfig() routing.Config {
	return routing.Config{
		Protocol: LANProtocol, Mode: routing.ModeServer, Validator: Validator(nil), K: replicas,
		Filters: routing.Filters{Profile: profile.LAN},
	}
}

// Validator returns the rules of both networks: /pk/<peer id>, public keys, and
// /ipns/<peer id>, IPNS records. keys, a host's Peerstore, tells the keys of names
// that are too long to be in the name or, against the rules, not in the record; it
// may be nil.
func Validator(keys peerstore.KeyBook) store.Namespaces {
	return store.Namespaces{"pk": record.PublicKeyValidator{}, "ipns": ipns.Validator{KeyBook: keys}}
}

// bootstrapAddrs are the peers that the public network's members begin at
// (wire.md §19).
var bootstrapAddrs = [...]string{
	"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
	"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
	"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
	"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
	"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
}

// BootstrapPeers returns the public network's well-known peers.
func BootstrapPeers() []peer.AddrInfo {
	peers := make([]peer.AddrInfo, len(bootstrapAddrs))
	for i, text := range bootstrapAddrs {
		p, err := peer.AddrInfoFromString(text)
		if err != nil {
			panic("BUG: bootstrap address " + text + ": " + err.Error())
		}
		peers[i] = *p
	}
	return peers
}
