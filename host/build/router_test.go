package build

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// guide is a router that knows one peer.
type guide struct {
	h      host.Host
	knows  peer.AddrInfo
	asked  atomic.Int32
	closed atomic.Int32
	// alive tells whether the host still worked when the router was closed.
	alive bool
	stop  chan struct{}
}

func (g *guide) FindPeer(_ context.Context, id peer.ID) (peer.AddrInfo, error) {
	g.asked.Add(1)
	if id != g.knows.ID {
		return peer.AddrInfo{}, errors.New("never heard of it")
	}
	return g.knows, nil
}

func (g *guide) Close() error {
	g.closed.Add(1)
	g.alive = g.h.Network().Connectedness(g.knows.ID) == network.Connected
	close(g.stop)
	return nil
}

func TestRouterServesTheHostAndClosesWithIt(t *testing.T) {
	b := newHost(t, Config{Listen: loopback})
	var g *guide
	h, err := New(Config{Listen: loopback, Options: []libp2p.Option{Router(func(h host.Host) (*guide, error) {
		g = &guide{h: h, knows: peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}, stop: make(chan struct{})}
		go func() { <-g.stop }() // goleak sees it if Close is never called
		return g, nil
	})}})
	if err != nil {
		t.Fatal(err)
	}
	if g == nil || g.h.ID() != h.ID() {
		t.Fatal("the router was not made for the host")
	}
	if err := h.Connect(testContext(t), peer.AddrInfo{ID: b.ID()}); err != nil || g.asked.Load() == 0 {
		t.Errorf("without an address the host asked its router %d times: %v", g.asked.Load(), err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if g.closed.Load() != 1 || !g.alive {
		t.Errorf("closed %d times, before the network: %v", g.closed.Load(), g.alive)
	}
}

func TestRouterFails(t *testing.T) {
	failure := errors.New("no DHT today")
	_, err := New(Config{Listen: loopback, Options: []libp2p.Option{Router(func(host.Host) (*guide, error) { return nil, failure })}})
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestRouterClosesWhenListeningFails(t *testing.T) {
	var g *guide
	_, err := New(Config{Listen: []string{"/ip4/192.0.2.1/tcp/0"}, Options: []libp2p.Option{Router(func(h host.Host) (*guide, error) {
		g = &guide{h: h, stop: make(chan struct{})}
		return g, nil
	})}})
	if err == nil || g == nil || g.closed.Load() != 1 {
		t.Errorf("listening on a strange address: %v", err)
	}
}

func TestRouterBeforeAndAfterItsTime(t *testing.T) {
	r := &router{}
	if _, err := r.FindPeer(t.Context(), "x"); !errors.Is(err, errNoRouter) {
		t.Errorf("got %v", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
