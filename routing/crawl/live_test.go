package crawl_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// loopback makes a host that ends with t.
func loopback(t *testing.T, listen ...string) host.Host {
	t.Helper()
	h, err := build.New(build.Config{Listen: append([]string{}, listen...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// overlay starts that many nodes with buckets of k, each of which has looked about after the last had come.
func overlay(t *testing.T, count, k int) (nodes []*routing.DHT, first peer.AddrInfo) {
	t.Helper()
	for i := range count {
		cfg := routing.Config{K: k}
		h := loopback(t, "/ip4/127.0.0.1/tcp/0")
		if i > 0 {
			cfg.BootstrapPeers = []peer.AddrInfo{first}
		} else {
			first = peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		}
		d, err := routing.New(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		nodes = append(nodes, d)
	}
	for _, d := range nodes {
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return nodes, first
}

// tables returns who is in whose table now.
func tables(nodes []*routing.DHT) map[peer.ID][]peer.ID {
	all := make(map[peer.ID][]peer.ID)
	for _, d := range nodes {
		all[d.ID()] = nil
		for _, b := range d.Buckets() {
			for _, e := range b.Peers {
				all[d.ID()] = append(all[d.ID()], e.Contact.ID)
			}
		}
		slices.Sort(all[d.ID()])
	}
	return all
}

// Of a live overlay a crawl finds every node, and every member of every table.
func TestLiveOverlay(t *testing.T) {
	const count, k = 36, 4
	nodes, first := overlay(t, count, k)
	h := loopback(t)
	c, err := routing.NewCaller(h, routing.DefaultProtocol, protocol.Protobuf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seeds := []crawl.Peer{{ID: first.ID, Addrs: [][]byte{first.Addrs[0].Bytes()}}}
	for try := 1; ; try++ {
		before, found := tables(nodes), make(map[peer.ID][]peer.ID)
		r, err := crawl.Run(t.Context(), c, seeds, crawl.Config{Parallel: 8}, func(v crawl.Visit) {
			if !v.Answered || !v.Whole || v.Err != nil {
				t.Errorf("%s: %v, whole %t", v.Peer.ID, v.Err, v.Whole)
			}
			found[v.Peer.ID] = slices.Sorted(slices.Values(v.Neighbours))
		})
		if err != nil || r.End != crawl.Whole || r.Answered != count || len(found) != count {
			t.Fatalf("%+v, %v, %d visits", r, err, len(found))
		}
		if maps.EqualFunc(before, found, slices.Equal) {
			t.Logf("%d nodes, %d members of tables, %d requests in %v", r.Answered, r.Edges, r.Requests, r.Took.Round(time.Millisecond))
			break
		}
		if maps.EqualFunc(before, tables(nodes), slices.Equal) || try == 5 { // nothing changed meanwhile
			t.Fatalf("the tables are\n%v\nand the crawl says\n%v", before, found)
		}
	}
	if left := len(h.Network().Peers()); left > 0 {
		t.Errorf("%d connections are left", left)
	}
}
