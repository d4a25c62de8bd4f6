package host

import (
	"errors"
	"testing"
	"time"

	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"
)

// A connection through a relay is no connection for the DHT: it is limited, and
// its address is the relay's.
func TestRelayedConnectionDoesNotCount(t *testing.T) {
	relay, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.EnableRelayService(), libp2p.ForceReachabilityPublic(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	relayInfo := peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}
	relayed := func(cfg build.Config) *node {
		cfg.Relay = true
		h, err := build.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEndpoint(h, Config{Protocol: testProtocol})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(e.Close(), h.Close()) })
		return &node{Endpoint: e, h: h}
	}
	a, b := relayed(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}}), relayed(build.Config{Listen: []string{}})
	froms := make(chan Sender, 1)
	b.Serve(map[protocol.ID]FrameHandler{testProtocol: func(from Sender, frame, out []byte) ([]byte, time.Duration, error) {
		froms <- from
		return append(out, frame...), 0, nil
	}})
	if err := b.h.Connect(testContext(t), relayInfo); err != nil {
		t.Fatal(err)
	}
	// The relay announces its service shortly after it has started.
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err = client.Reserve(testContext(t), b.h, relayInfo); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	d := watchNode(t, a)
	circuit := relay.Addrs()[0].Encapsulate(multiaddr.StringCast("/p2p/" + relay.ID().String() + "/p2p-circuit"))
	limited := network.WithAllowLimitedConn(testContext(t), "test")
	if err := a.h.Connect(limited, peer.AddrInfo{ID: b.ID(), Addrs: []multiaddr.Multiaddr{circuit}}); err != nil {
		t.Fatal(err)
	}
	if got := a.h.Network().Connectedness(b.ID()); got != network.Limited {
		t.Fatalf("connectedness %v", got)
	}
	if a.Connected(b.ID()) || b.Connected(a.ID()) {
		t.Error("a relayed connection counts")
	}
	s, err := a.h.NewStream(limited, b.ID(), testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(frameOf([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if from := <-froms; from.IP.IsValid() || from.Peer != a.ID() {
		t.Errorf("comes from %v", from)
	}
	_ = s.Reset()
	_ = a.h.Network().ClosePeer(relay.ID())
	d.expect("disconnected " + relay.ID().String())
	for len(d.entries) > 0 {
		if entry := <-d.entries; entry == "connected "+b.ID().String() || entry == "speaks "+b.ID().String() {
			t.Errorf("told %q of a relayed connection", entry)
		}
	}
}
