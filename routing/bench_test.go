package routing

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// fillTable offers d a thousand peers, two thirds of them connected, and waits
// until its buckets are nearly full.
func fillTable(b *testing.B, w *world, d *DHT) (members []peer.ID) {
	b.Helper()
	for i := range 1000 {
		sum := make([]byte, 32)
		_, _ = rand.Read(sum)
		mh, err := multihash.Encode(sum, multihash.SHA2_256)
		if err != nil {
			b.Fatal(err)
		}
		f := w.addPeer(peer.ID(mh), nil)
		f.change(func(f *fake) { f.handlers = d.server.handlers })
		members = append(members, f.id)
		c := kademlia.NewContact(f.id, [][]byte{f.addr.Bytes(), f.addr.Bytes()})
		if _, err := ask(d.loop, func(now time.Time) error { d.loop.node.PeerSeen(now, c); return nil }); err != nil {
			b.Fatal(err)
		}
		if i%3 != 0 {
			d.book.connected.Store(f.id, speaks)
		}
	}
	if err := d.WaitPeers(b.Context(), 100); err != nil {
		b.Fatal(err)
	}
	return members
}

// What one FIND_NODE costs a server from the frame that came to the frame that
// goes out: gate, decode, table, encode, trim.
func BenchmarkServeFindNode(b *testing.B) {
	w := newWorld(b)
	d, _ := w.start(Config{Serving: Serving{Limit: rpc.LimiterConfig{PerPeer: rpc.Rate{PerSecond: 1e9, Burst: 1e9}, Egress: 1e15}}})
	members := fillTable(b, w, d)
	serve := d.server.handlers[DefaultProtocol]
	from := host.Sender{Peer: members[1]}
	var frames [][]byte
	for i := range 64 {
		frame, err := protocol.Protobuf.Append(nil, &protocol.Message{Type: protocol.FindNode, Key: fmt.Appendf(nil, "key %d", i), ClusterLevel: 1})
		if err != nil {
			b.Fatal(err)
		}
		frames = append(frames, frame)
	}
	out := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	size := 0
	for i := 0; b.Loop(); i++ {
		answer, _, err := serve(from, frames[i%len(frames)], out)
		if err != nil {
			b.Fatal(err)
		}
		size = len(answer)
	}
	b.ReportMetric(float64(size), "bytes/answer")
}

// What one lookup costs all 60 nodes of an overlay in memory together.
func BenchmarkLookup(b *testing.B) {
	w := newWorld(b)
	dhts, _ := w.overlay(60, Config{Serving: Serving{Limit: rpc.LimiterConfig{PerPeer: rpc.Unlimited}}})
	b.ReportAllocs()
	asked := 0
	for i := 0; b.Loop(); i++ {
		var report Report
		ids, err := dhts[i%60].GetClosestPeers(WithReport(context.Background(), &report), fmt.Sprint(i))
		if err != nil || len(ids) != 20 {
			b.Fatal(len(ids), err)
		}
		asked += report.Asked
	}
	b.ReportMetric(float64(asked)/float64(b.N), "requests/op")
	w.requests(0)
}
