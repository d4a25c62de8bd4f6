// Package live runs a node: a libp2p host and the DHT on it, as the program's
// commands want them. The same Node serves `kdht run`, the overlay of `kdht dev`
// and, for a moment, each command that is given --bootstrap.
//
//	n, err := live.Start(live.Config{Listen: build.Listen(0)})
//	err = n.Join(ctx)
//	stored, err := n.Put(ctx, control.PutRequest{Key: key, Value: value}, nil)
//
// The invariant: every error that comes out of here is a *control.Error, one line
// that says what to do next, with no library's name in it.
package live

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/data"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Config says what node to run. The zero value is a client that nobody can reach.
type Config struct {
	// Key is the identity (nil: a new one). Signer signs /mut values (nil: Key).
	Key, Signer crypto.PrivKey
	// Listen are the addresses to listen on; without any the node cannot be reached.
	// Fallback, if not nil, are those taken when one of Listen is in use.
	Listen, Fallback []string
	// Bootstrap are the peers to join through.
	Bootstrap []peer.AddrInfo
	// Network is the kind of network (empty: Private). Prefix names a private one: its
	// protocol is <Prefix>/kad/1.0.0.
	Network Network
	Prefix  string
	Mode    routing.Mode
	// Profile is what addresses belong to the network. In a Dual it is that of the
	// public one; the local one has its own, or if this is profile.Private none either.
	Profile profile.Profile
	// MDNS finds peers of the same network on the local one.
	MDNS bool
	// BucketSize is k (0: 20).
	BucketSize int
	// Stores are the node's, which closes them (nil: in memory).
	Stores *data.Stores
	// Trace are told what its DHTs do.
	Trace []*routing.Trace
}

// Node is a running node. Close ends it.
type Node struct {
	cfg      Config
	protocol protocol.ID
	host     host.Host
	router   router
	dht      *routing.DHT // of the network, of the public one in a Dual
	stores   *data.Stores
	closers  []func() error // last first
	started  time.Time

	lan       *routing.DHT // of the local network, in a Dual
	lanStores *data.Stores
}

var _ control.Node = (*Node)(nil)

// Start starts a node, and closes its stores if that fails. It is a member of its network as soon as it knows another
// one, which Join waits for.
func Start(cfg Config) (*Node, error) {
	if cfg.Signer == nil {
		cfg.Signer = cfg.Key
	}
	main, json, _ := protocols(&cfg)
	n := &Node{cfg: cfg, protocol: main, stores: cfg.Stores, started: time.Now()}
	if err := n.start(json); err != nil {
		if n.dht == nil && n.stores != nil {
			_ = n.stores.Close()
		}
		_ = n.Close()
		return nil, classify(err)
	}
	return n, nil
}

func (n *Node) start(json protocol.ID) error {
	h, err := n.listen(n.cfg.Listen, json)
	if errors.Is(err, syscall.EADDRINUSE) && n.cfg.Fallback != nil {
		h, err = n.listen(n.cfg.Fallback, json)
	}
	if err != nil {
		return err
	}
	n.host = h
	if n.stores == nil {
		n.stores = data.Memory(h.ID(), n.cfg.Network.Rules())
	}
	n.closers = append(n.closers, h.Close)
	if err := n.openLAN(h.ID()); err != nil {
		return err
	}
	if err := n.join(h, json); err != nil {
		if n.lanStores != nil {
			_ = n.lanStores.Close()
		}
		return err
	}
	if n.cfg.MDNS {
		discovery, err := build.Discover(h, mdnsService(strings.TrimSuffix(string(n.protocol), "/kad/1.0.0")))
		if err != nil {
			return err
		}
		n.closers = append(n.closers, discovery.Close)
	}
	return nil
}

func (n *Node) listen(addrs []string, json protocol.ID) (host.Host, error) {
	if addrs == nil {
		addrs = []string{} // nil would mean all interfaces
	}
	if err := occupied(addrs); err != nil {
		return nil, err
	}
	main, _, lan := protocols(&n.cfg)
	served := slices.DeleteFunc([]protocol.ID{main, json, lan}, func(id protocol.ID) bool { return id == "" })
	dialed := n.cfg.Profile
	if n.cfg.Network == Dual {
		dialed = profile.Private // both kinds of addresses; each DHT takes its own alone
	}
	return build.New(build.Config{PrivKey: n.cfg.Key, Listen: addrs, Protocols: served, UserAgent: userAgent, Profile: dialed})
}

// mdnsService is the name under which the nodes of one network find each other.
func mdnsService(prefix string) string {
	sum := sha256.Sum256([]byte(prefix))
	return "_kdht-" + hex.EncodeToString(sum[:4]) + "._udp"
}

// userAgent is what the program calls itself to other peers.
const userAgent = "kdht"

// Close ends the node.
func (n *Node) Close() error {
	var errs []error
	for len(n.closers) > 0 {
		last := len(n.closers) - 1
		errs = append(errs, n.closers[last]())
		n.closers = n.closers[:last]
	}
	return errors.Join(errs...)
}

// ID returns the node's id.
func (n *Node) ID() peer.ID { return n.host.ID() }

// Info returns how others reach the node.
func (n *Node) Info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}
}

// FullAddrs returns addresses of a peer that end in its id.
func FullAddrs(p peer.AddrInfo) []string {
	full, err := peer.AddrInfoToP2pAddrs(&p)
	if err != nil {
		return nil
	}
	return texts(full)
}

func texts(addrs []multiaddr.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}

func asPeer(p peer.AddrInfo) control.Peer {
	return control.Peer{ID: p.ID.String(), Addrs: texts(p.Addrs)}
}

// Peers returns how many peers are in the routing table.
func (n *Node) Peers() (peers int) {
	for _, d := range n.dhts() {
		peers += d.Stats().Table
	}
	return peers
}

// Meet looks about until the node knows at least count others, again after a
// pause: a peer that has only just joined knows few.
func (n *Node) Meet(ctx context.Context, count int) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		if err := n.router.Refresh(ctx); err != nil {
			return classify(err)
		}
		if n.Peers() >= count {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return classify(ctx.Err())
		}
	}
}

// WaitReady waits until the node knows another one, however long it takes.
func (n *Node) WaitReady(ctx context.Context) error { return classify(n.router.WaitReady(ctx)) }
