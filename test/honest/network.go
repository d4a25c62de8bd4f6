package honest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// node is one member, and the store it keeps provider records in.
type node struct {
	host    host.Host
	dht     *routing.DHT
	records *store.ProviderStore
}

// Network is members that all know each other.
type Network struct {
	nodes []*node
}

// Start starts that many nodes and waits until each knows all others, or as many
// as a bucket holds.
func Start(ctx context.Context, count int) (*Network, error) {
	w := &Network{}
	for range count {
		n, err := w.join(ctx)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		if err := n.meet(ctx, min(count-1, 20)); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// join starts a node with the default limits and waits until it has joined.
func (w *Network) join(ctx context.Context) (*node, error) {
	h, err := build.New(build.Config{
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Protocols: []protocol.ID{routing.DefaultProtocol, routing.DefaultJSONProtocol}, UserAgent: "kdht",
	})
	if err != nil {
		return nil, err
	}
	n := &node{host: h}
	n.records = store.NewProviders(store.ProvidersConfig{Self: keyspace.KeyOfString(string(h.ID())), Seed: rand.Uint64()})
	cfg := routing.Config{Stores: routing.Stores{Providers: n.records}}
	if len(w.nodes) > 0 {
		cfg.BootstrapPeers = []peer.AddrInfo{w.nodes[0].info()}
	}
	if n.dht, err = routing.New(h, cfg); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if len(w.nodes) > 0 {
		if err := n.dht.WaitReady(ctx); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

func (n *node) info() peer.AddrInfo { return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()} }

// meet looks about until n knows so many others.
func (n *node) meet(ctx context.Context, count int) error {
	for n.dht.Stats().Table < count {
		if err := n.dht.Refresh(ctx); err != nil {
			return fmt.Errorf("honest: a node knows %d of %d others: %w", n.dht.Stats().Table, count, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("honest: a node knows %d of %d others: %w", n.dht.Stats().Table, count, ctx.Err())
		}
	}
	return nil
}

func (n *node) close() error { return errors.Join(n.dht.Close(), n.host.Close()) }

// Close ends all nodes.
func (w *Network) Close() error {
	errs := make([]error, len(w.nodes))
	var group sync.WaitGroup
	for i, n := range w.nodes {
		group.Go(func() { errs[i] = n.close() })
	}
	group.Wait()
	return errors.Join(errs...)
}

// Refused counts what the nodes have done to requests other than answer them.
type Refused struct {
	Limited, Shed uint64 // streams reset by the gate, requests dropped from the queue
	Paused        uint64 // requests after which the peer was made to wait
	Turned        uint64 // streams that were turned away or ended for others
}

// refused sums up over all nodes.
func (w *Network) refused() (r Refused) {
	for _, n := range w.nodes {
		s := n.dht.Stats()
		for _, of := range s.Server.Types {
			r.Limited += of.Limited
			r.Shed += of.Shed
		}
		r.Paused += s.Limiter.Paused
		i := s.Inbound.Refused
		r.Turned += i.Full + i.GaveWay + i.Buffers + i.Resources + i.Silent + i.Violations
	}
	return r
}

func (r Refused) minus(o Refused) Refused {
	return Refused{r.Limited - o.Limited, r.Shed - o.Shed, r.Paused - o.Paused, r.Turned - o.Turned}
}
