package routing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	corehost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"
)

// liveNode is a DHT on a real libp2p host on loopback.
type liveNode struct {
	*DHT
	host corehost.Host
}

func (n *liveNode) stop() {
	_ = n.Close()
	_ = n.host.Close()
}

// cluster is an overlay of live nodes.
type cluster struct {
	nodes []*liveNode
}

var loopback = map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}

// startNode starts one live node, which ends with t.
func startNode(t testing.TB, transport string, cfg Config) *liveNode {
	t.Helper()
	h, err := build.New(build.Config{Listen: []string{loopback[transport]}})
	if err != nil {
		t.Fatalf("host: %v", err)
	}
	d, err := New(h, cfg)
	if err != nil {
		_ = h.Close()
		t.Fatalf("dht: %v", err)
	}
	n := &liveNode{d, h}
	t.Cleanup(n.stop)
	return n
}

// startCluster starts n nodes that join through the first one, and returns when
// every one of them has refreshed its table after the last one came.
func startCluster(t testing.TB, n int, transport string) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := &cluster{nodes: []*liveNode{startNode(t, transport, Config{})}}
	first := []peer.AddrInfo{*corehost.InfoFromHost(c.nodes[0].host)}
	for len(c.nodes) < n {
		cfg := Config{BootstrapPeers: first}
		cfg.Strict = asksAll(len(c.nodes))
		c.nodes = append(c.nodes, startNode(t, transport, cfg))
	}
	c.each(t, func(_ int, n *liveNode) error { return n.WaitReady(ctx) })
	for range 2 {
		c.each(t, func(_ int, n *liveNode) error { return n.Refresh(ctx) })
	}
	return c
}

// asksAll reports whether lookups of the node of a cluster ask each of the k nearest, and
// so must be exact; those of every other one do.
func asksAll(i int) bool { return i%2 == 1 }

// each runs f for all nodes, a few at a time, and fails t if it fails.
func (c *cluster) each(t testing.TB, f func(i int, n *liveNode) error) {
	t.Helper()
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, n := range c.nodes {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := f(i, n); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// closest returns by brute force what GetClosestPeers of node asker must find.
func (c *cluster) closest(key string, asker peer.ID, k int) []peer.ID {
	target := keyspace.KeyOf([]byte(key))
	var ids []peer.ID
	for _, n := range c.nodes {
		if n.ID() != asker {
			ids = append(ids, n.ID())
		}
	}
	slices.SortFunc(ids, func(a, b peer.ID) int {
		ka, kb := keyspace.KeyOfString(string(a)), keyspace.KeyOfString(string(b))
		return keyspace.CompareDistance(&target, &ka, &kb)
	})
	return ids[:min(k, len(ids))]
}

func testCID(t testing.TB, content string) cid.Cid {
	t.Helper()
	sum, err := multihash.Sum([]byte(content), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// askedOf counts the requests by peer while f runs under the context given to
// it.
func askedOf(ctx context.Context, f func(ctx context.Context)) map[peer.ID]int {
	ctx, cancel := context.WithCancel(ctx)
	ctx, events := core.RegisterForQueryEvents(ctx)
	asked := make(map[peer.ID]int)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for ev := range events {
			if ev.Type == core.SendingQuery {
				asked[ev.ID]++
			}
		}
	}()
	f(ctx)
	cancel()
	<-counted
	return asked
}

func TestLiveOverlay(t *testing.T) {
	began := time.Now()
	c := startCluster(t, liveNodes, "tcp")
	t.Logf("%d nodes up and refreshed after %v", liveNodes, time.Since(began))
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	keys := make([]string, len(c.nodes))
	for i := range keys {
		keys[i] = fmt.Sprintf("key %d of %d", i, rng.Uint64())
	}

	t.Run("GetClosestPeers is exact but for what few know, and asks nobody twice", func(t *testing.T) {
		var inexact atomic.Int64
		c.each(t, func(i int, n *liveNode) error {
			var ids []peer.ID
			var err error
			var report Report
			asked := askedOf(t.Context(), func(ctx context.Context) {
				ids, err = n.GetClosestPeers(WithReport(ctx, &report), keys[i])
			})
			if err != nil {
				return err
			}
			want, found := c.closest(keys[i], n.ID(), 20), 0
			for _, id := range want {
				if slices.Contains(ids, id) {
					found++
				}
			}
			if found < 18 || len(ids) != 20 {
				return fmt.Errorf("closest to %q: got %v, want %v; report %+v", keys[i], ids, want, report)
			}
			if found < 20 {
				inexact.Add(1)
			}
			sum := 0
			for p, times := range asked {
				sum += times
				if times > 1 {
					return fmt.Errorf("%s was asked %d times", p, times)
				}
			}
			if asksAll(i) && report.Failed.Total() == 0 && (!slices.Equal(ids, want) || sum != report.Asked) {
				return fmt.Errorf("closest to %q, each asked: got %v, want %v; %d queries announced, report %+v", keys[i], ids, want, sum, report)
			}
			if sum != report.Asked && report.Failed.Total() == 0 || sum > report.Asked { // those around the dead are not announced
				return fmt.Errorf("%d queries announced, %d reported", sum, report.Asked)
			}
			return nil
		})
		if n := inexact.Load(); n > int64(len(c.nodes)/10) {
			t.Errorf("%d of %d lookups missed somebody", n, len(c.nodes))
		}
	})

	t.Run("values put by any are found by all others", func(t *testing.T) {
		values := make([][]byte, len(c.nodes))
		c.each(t, func(i int, n *liveNode) error {
			values[i] = []byte(keys[i])
			var report Report
			err := n.PutValue(Thorough(WithReport(t.Context(), &report)), store.ImmKey(values[i]), values[i])
			if n := len(report.Holders); err == nil && (n < 20 || n > 22 || asksAll(i) && n > 20) { // one nearer may be heard of late
				err = fmt.Errorf("%d holders", len(report.Holders))
			}
			return err
		})
		c.each(t, func(i int, n *liveNode) error {
			for j := range values {
				got, err := n.GetValue(t.Context(), store.ImmKey(values[j]), Quorum(1))
				if err != nil || string(got) != string(values[j]) {
					return fmt.Errorf("value %d: %q, %v", j, got, err)
				}
			}
			return nil
		})
	})

	t.Run("providers are found by all others", func(t *testing.T) {
		c.each(t, func(i int, n *liveNode) error { return n.Provide(t.Context(), testCID(t, keys[i]), true) })
		c.each(t, func(i int, n *liveNode) error {
			for j, other := range c.nodes {
				var found []peer.AddrInfo
				for p := range n.FindProvidersAsync(t.Context(), testCID(t, keys[j]), 1) {
					found = append(found, p)
				}
				if len(found) != 1 || found[0].ID != other.ID() || len(found[0].Addrs) == 0 {
					return fmt.Errorf("providers of %d: %v, want %v", j, found, other.ID())
				}
			}
			return nil
		})
	})

	t.Run("peers are found", func(t *testing.T) {
		c.each(t, func(i int, n *liveNode) error {
			other := c.nodes[(i+7)%len(c.nodes)]
			if err := n.host.Network().ClosePeer(other.ID()); err != nil {
				return err
			}
			n.host.Peerstore().ClearAddrs(other.ID())
			info, err := n.FindPeer(t.Context(), other.ID())
			if err != nil || len(info.Addrs) == 0 {
				return fmt.Errorf("%v, %v", info, err)
			}
			return nil
		})
	})

	// Values are found at once; the exact neighbours are, when the tables have got
	// rid of the dead, of whom answers are full until then.
	t.Run("a third of them dies", func(t *testing.T) {
		var dead sync.WaitGroup
		for _, n := range c.nodes[:liveNodes/3] {
			dead.Go(n.stop)
		}
		dead.Wait()
		c.nodes = c.nodes[liveNodes/3:]
		c.each(t, func(i int, n *liveNode) error {
			for j := range keys {
				if _, err := n.GetValue(t.Context(), store.ImmKey([]byte(keys[j])), Quorum(1)); err != nil {
					return fmt.Errorf("value %d: %v", j, err)
				}
			}
			return n.Refresh(t.Context())
		})
		c.each(t, func(i int, n *liveNode) error {
			var report Report
			ids, err := n.GetClosestPeers(WithReport(t.Context(), &report), keys[i])
			if err != nil {
				return err
			}
			if want := c.closest(keys[i], n.ID(), 20); !slices.Equal(ids, want) {
				return fmt.Errorf("closest to %q: got %v, want %v; report %+v", keys[i], ids, want, report)
			}
			return nil
		})
	})
}

// A few nodes over QUIC; the one that all of them joined through dies, and then
// a host is closed before its DHT.
func TestLiveOverQUIC(t *testing.T) {
	c := startCluster(t, 6, "quic")
	value := []byte("over QUIC")
	if err := c.nodes[1].PutValue(t.Context(), store.ImmKey(value), value); err != nil {
		t.Fatal(err)
	}
	c.nodes[0].stop()
	c.nodes = c.nodes[1:]
	late := startNode(t, "quic", Config{BootstrapPeers: []peer.AddrInfo{*corehost.InfoFromHost(c.nodes[2].host)}})
	c.nodes = append(c.nodes, late)
	if err := late.WaitPeers(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	c.each(t, func(_ int, n *liveNode) error {
		got, err := n.GetValue(t.Context(), store.ImmKey(value))
		if err != nil || string(got) != string(value) {
			return fmt.Errorf("%q, %v", got, err)
		}
		return nil
	})
	if err := late.host.Close(); err != nil {
		t.Error(err)
	}
	if err := late.Close(); err != nil {
		t.Errorf("closing the DHT after its host: %v", err)
	}
}
