package interop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// kdhtPeer is one of our own nodes on a libp2p host in this process, made as an embedding program makes it.
type kdhtPeer struct {
	host host.Host
	dht  *kdht.DHT

	mu    sync.Mutex
	asked map[request]int // served, of each kind and from whom
}

type request struct {
	from peer.ID
	kind protocol.Type
}

// startKdht starts a node that listens on the given addresses and joins through the given peers, and ends it with the test.
func startKdht(t *testing.T, listen []string, bootstrap ...peer.AddrInfo) *kdhtPeer {
	t.Helper()
	h, err := build.New(build.Config{Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	p := &kdhtPeer{host: h, asked: map[request]int{}}
	p.dht, err = kdht.New(h, kdht.BootstrapPeers(bootstrap...), kdht.NamespacedValidator("v", largest{}), kdht.OnRequestHook(p.note))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.dht.Close() })
	return p
}

func (p *kdhtPeer) note(from protocol.Remote, req *protocol.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[request{peer.ID(from.Peer), req.Type}]++
}

// askedBy tells how many requests of a kind a peer has sent here.
func (p *kdhtPeer) askedBy(from peer.ID, kind protocol.Type) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[request{from, kind}]
}

// largest is the rule of the namespace "v" here and in the peers of other stacks: anything is valid, the bytewise larger value wins.
type largest struct{}

func (largest) Validate(string, []byte) error { return nil }

func (largest) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("nothing to select from")
	}
	best := 0
	for i, v := range values {
		if bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

func (p *kdhtPeer) stack() string { return "kdht" }

func (p *kdhtPeer) info() peer.AddrInfo {
	return peer.AddrInfo{ID: p.host.ID(), Addrs: p.host.Addrs()}
}

func (p *kdhtPeer) connect(ctx context.Context, to peer.AddrInfo) error {
	return p.host.Connect(ctx, to)
}

func (p *kdhtPeer) tableSize(context.Context) (int, error) {
	size := 0
	for _, b := range p.dht.Buckets() {
		size += len(b.Peers)
	}
	return size, nil
}

func (p *kdhtPeer) refresh(ctx context.Context) { _ = p.dht.Refresh(ctx) } // what it found shows in the table

func (p *kdhtPeer) about(context.Context) string {
	return fmt.Sprintf("%d connections", len(p.host.Network().Conns()))
}

// die closes the host under the node, as when a machine is gone.
func (p *kdhtPeer) die() {
	p.host.Close()
	p.dht.Close()
}

func (p *kdhtPeer) findPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	return p.dht.FindPeer(ctx, id)
}

func (p *kdhtPeer) put(ctx context.Context, key string, value []byte) ([]peer.ID, error) {
	var report routing.Report
	err := p.dht.PutValue(routing.Thorough(routing.WithReport(ctx, &report)), key, value)
	return report.Holders, err
}

func (p *kdhtPeer) get(ctx context.Context, key string) ([]byte, []peer.ID, error) {
	var report routing.Report
	value, err := p.dht.GetValue(routing.WithReport(ctx, &report), key)
	return value, report.Holders, err
}

func (p *kdhtPeer) provide(ctx context.Context, c cid.Cid) error {
	return p.dht.Provide(routing.Thorough(ctx), c, true)
}

func (p *kdhtPeer) findProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error) {
	return p.dht.FindProviders(ctx, c)
}

func (p *kdhtPeer) closest(ctx context.Context, key string) ([]peer.ID, error) {
	return p.dht.GetClosestPeers(ctx, key)
}
