// Package bench measures the layers together: a request from bytes to bytes,
// and over real sockets. Each layer alone is measured beside its code.
//
//	go test ./test/bench -bench . -benchtime 1s -count 6 | tee new.txt
//	benchstat new.txt
package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	libp2pprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

const protocolID libp2pprotocol.ID = "/kdht/kad/1.0.0"

// nowhere is a Network for a Node that is filled by hand: it only remembers
// what it should have sent.
type nowhere struct{ asked []kademlia.RequestID }

// Send implements kademlia.Network.
func (n *nowhere) Send(id kademlia.RequestID, _ *kademlia.Contact, _ *protocol.Message) {
	n.asked = append(n.asked, id)
}

// book knows nobody but who is in the table, and is connected to nobody.
type book struct{}

func (book) Contact(peer.ID) *kademlia.Contact { return nil }
func (book) Connected(peer.ID) bool            { return false }

// member returns a well-formed peer id and four addresses made from a number,
// as many as the peers measured in performance.md §2.1 had.
func member(n uint64) *kademlia.Contact {
	id := append([]byte{0x12, 0x20}, make([]byte, 32)...)
	binary.BigEndian.PutUint64(id[2:], n)
	var addrs [][]byte
	for _, text := range []string{
		"/ip4/10.%d.%d.%d/tcp/4001", "/ip4/10.%d.%d.%d/udp/4001/quic-v1",
		"/ip4/172.%d.%d.%d/tcp/4001", "/ip4/172.%d.%d.%d/udp/4001/quic-v1",
	} {
		addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf(text, 16+n>>16&15, n>>8&255, n&255)).Bytes())
	}
	return kademlia.NewContact(peer.ID(id), addrs)
}

// newServer returns a server whose table was offered 1,000 peers (it holds
// about 130), with a memory store.
func newServer(tb testing.TB, self peer.ID) *rpc.Server {
	net, now := &nowhere{}, time.Unix(0, 0)
	node, err := kademlia.NewNode(kademlia.Config{Self: self, Network: net, Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		tb.Fatal(err)
	}
	verified := &protocol.Message{CloserPeers: []protocol.Peer{member(0).Peer}}
	for i := range uint64(1000) {
		node.PeerSeen(now, member(i))
		for ; len(net.asked) > 0; net.asked = net.asked[1:] {
			node.HandleResponse(now, net.asked[0], verified, nil)
		}
	}
	if n := node.View().Len(); n < 100 {
		tb.Fatalf("the table holds %d peers only", n)
	}
	h := &kademlia.Handlers{
		Self: self, K: 20, View: node.View, Book: book{},
		Values:    store.NewValues(store.NewMemory(), store.DefaultNamespaces(time.Now), store.ValuesConfig{}),
		Providers: store.NewProviders(store.ProvidersConfig{}),
	}
	s := rpc.NewServer(protocol.Protobuf, nil)
	s.Behind(rpc.NewLoad(rpc.LoadConfig{}))
	s.Handle(protocol.Ping, h.Ping)
	s.Handle(protocol.FindNode, h.FindNode)
	s.Handle(protocol.GetValue, h.GetValue)
	s.Handle(protocol.PutValue, h.PutValue)
	s.Handle(protocol.GetProviders, h.GetProviders)
	s.Handle(protocol.AddProvider, h.AddProvider)
	return s
}

// requests are what is asked; the providers and values exist.
func requests(tb testing.TB, s *rpc.Server, from protocol.Remote) map[string][]byte {
	value := []byte("a value of some bytes")
	key := []byte(store.ImmKey(value))
	mh := append([]byte{0x12, 0x20}, make([]byte, 32)...)
	messages := map[string]*protocol.Message{
		"PING":          {Type: protocol.Ping, ClusterLevel: 1},
		"FIND_NODE":     {Type: protocol.FindNode, Key: []byte(member(5).ID), ClusterLevel: 1},
		"PUT_VALUE":     {Type: protocol.PutValue, Key: key, HasRecord: true, Record: protocol.Record{Key: key, Value: value}, ClusterLevel: 1},
		"GET_VALUE":     {Type: protocol.GetValue, Key: key, ClusterLevel: 1},
		"ADD_PROVIDER":  {Type: protocol.AddProvider, Key: mh, ProviderPeers: []protocol.Peer{kademlia.NewContact(from.Peer, member(1).Peer.Addrs).Peer}},
		"GET_PROVIDERS": {Type: protocol.GetProviders, Key: mh, ClusterLevel: 1},
	}
	frames := make(map[string][]byte)
	for _, name := range []string{"PUT_VALUE", "ADD_PROVIDER", "PING", "FIND_NODE", "GET_VALUE", "GET_PROVIDERS"} {
		frame, err := protocol.Protobuf.Append(nil, messages[name])
		if err != nil {
			tb.Fatal(err)
		}
		frames[name] = frame
		if _, _, err := s.Serve(time.Now(), from, frame, nil); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return frames
}

// BenchmarkServe is one request from bytes to bytes, without a network.
func BenchmarkServe(b *testing.B) {
	self, from := member(1<<20).ID, protocol.Remote{Peer: member(1 << 21).ID}
	s := newServer(b, self)
	for name, frame := range requests(b, s, from) {
		b.Run(name, func(b *testing.B) {
			var out []byte
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				answer, _, err := s.Serve(now, from, frame, out[:0])
				if err != nil {
					b.Fatal(err)
				}
				if answer != nil {
					out = answer
				}
			}
			b.ReportMetric(float64(len(out)), "answer-B")
		})
	}
}

// BenchmarkOverTheWire is requests over one connection, 64 streams at a time:
// what FIND_NODE costs more than PING is ours, the rest is the transport's.
func BenchmarkOverTheWire(b *testing.B) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		b.Run(listen[len("/ip4/127.0.0.1/"):len("/ip4/127.0.0.1/")+3], func(b *testing.B) {
			server, client := newHost(b, listen), newClient(b)
			s := newServer(b, server.ID())
			frames := requests(b, s, protocol.Remote{Peer: client.ID()})
			serve(b, server, s)
			client.Peerstore().AddAddrs(server.ID(), server.Addrs(), peerstore.PermanentAddrTTL)
			for _, name := range []string{"PING", "FIND_NODE", "GET_VALUE", "GET_PROVIDERS"} {
				b.Run(name, func(b *testing.B) { ask(b, client, server.ID(), frames[name], 32) })
			}
		})
	}
}

func newHost(b *testing.B, listen string) libp2phost.Host {
	h, err := build.New(build.Config{Listen: []string{listen}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	return h
}

// newClient returns a host that may open as many streams as it is told to:
// kdht's own hosts are content with 8 to one peer.
func newClient(b *testing.B) libp2phost.Host {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	return h
}

func serve(b *testing.B, h libp2phost.Host, s *rpc.Server) {
	e, err := host.NewEndpoint(h, host.Config{Protocol: protocolID})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	e.Serve(map[libp2pprotocol.ID]host.FrameHandler{
		protocolID: func(from host.Sender, frame, out []byte) ([]byte, time.Duration, error) {
			return s.Serve(time.Now(), protocol.Remote{Peer: from.Peer, IP: from.IP}, frame, out)
		},
	})
}

// ask sends frame b.N times over as many streams, each waiting for its answer.
func ask(b *testing.B, h libp2phost.Host, to peer.ID, frame []byte, streams int) {
	e, err := host.NewEndpoint(h, host.Config{Protocol: protocolID, MaxStreamsPerPeer: streams})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var open []host.Stream
	for range streams {
		s, err := e.Open(context.Background(), to, true)
		if err != nil {
			b.Fatal(err)
		}
		open = append(open, s)
	}
	var left atomic.Int64
	var group sync.WaitGroup
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for _, s := range open {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := s.WriteFrame(frame); err != nil {
					b.Error(err)
					return
				}
				if _, err := s.ReadFrame(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	for _, s := range open {
		s.Reset()
	}
}
