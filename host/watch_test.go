package host

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// diary writes down what a Watcher is told.
type diary struct {
	t       *testing.T
	entries chan string
}

func (d *diary) watcher() Watcher {
	note := func(what string) func(peer.ID) {
		return func(p peer.ID) { d.entries <- what + " " + p.String() }
	}
	return Watcher{
		Speaks: note("speaks"), Silent: note("silent"),
		Connected: note("connected"), Disconnected: note("disconnected"),
		Addrs:     func() { d.entries <- "addrs" },
		Reachable: func(r network.Reachability) { d.entries <- "reachable " + r.String() },
	}
}

func watchNode(t *testing.T, n *node) *diary {
	t.Helper()
	d := &diary{t: t, entries: make(chan string, 1000)}
	stop, err := n.Watch(d.watcher())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return d
}

// expect waits for an entry; those of the kind "addrs" and repetitions in between
// do not matter.
func (d *diary) expect(want string) {
	d.t.Helper()
	timeout := time.After(10 * time.Second)
	var seen []string
	for {
		select {
		case got := <-d.entries:
			if got == want {
				return
			}
			seen = append(seen, got)
		case <-timeout:
			d.t.Fatalf("not told %q; heard %q", want, seen)
		}
	}
}

func TestWatch(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b, c := newNode(t, listen, Config{}), newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.identified(t, b) // before watching
		d := watchNode(t, a)
		d.expect("connected " + b.ID().String())
		d.expect("speaks " + b.ID().String())
		c.identified(t, a) // inbound, and not serving
		d.expect("connected " + c.ID().String())
		d.expect("silent " + c.ID().String())
		c.serveEcho()
		d.expect("speaks " + c.ID().String())
		b.StopServing()
		d.expect("silent " + b.ID().String())
		if err := c.h.Network().ClosePeer(a.ID()); err != nil {
			t.Fatal(err)
		}
		d.expect("disconnected " + c.ID().String())
	})
}

func TestWatchLocalEvents(t *testing.T) {
	a := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	emitter, err := a.h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer emitter.Close()
	d := watchNode(t, a)
	if err := emitter.Emit(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic}); err != nil {
		t.Fatal(err)
	}
	d.expect("reachable Public")
	if err := a.h.Network().Listen(multiaddr.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")); err != nil {
		t.Fatal(err)
	}
	d.expect("addrs")
}

// A peer may come, ask and leave before anybody looks: its end is told all the
// same, since who served it has heard of it.
func TestWatchTellsOfVisitsNeverSeen(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	emitter, err := a.h.EventBus().Emitter(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer emitter.Close()
	d := watchNode(t, a)
	if err := emitter.Emit(event.EvtPeerConnectednessChanged{Peer: b.ID(), Connectedness: network.NotConnected}); err != nil {
		t.Fatal(err)
	}
	d.expect("disconnected " + b.ID().String())
}

// A Watcher that hangs must not hold up the host, and what waits for it is one
// entry for each peer, however often that peer is identified.
func TestWatchNeverBlocksTheBus(t *testing.T) {
	a := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	emitter, err := a.h.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated))
	if err != nil {
		t.Fatal(err)
	}
	defer emitter.Close()
	b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	a.identified(t, b)
	hanging, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop, err := a.Watch(Watcher{Connected: func(peer.ID) {
		once.Do(func() { close(hanging) })
		<-release
	}})
	if err != nil {
		t.Fatal(err)
	}
	<-hanging
	const peers = 100
	for range 100 {
		for i := range peers { // Emit blocks when a subscriber's buffer is full
			if err := emitter.Emit(event.EvtPeerProtocolsUpdated{Peer: peer.ID(fmt.Sprint(i)), Added: []protocol.ID{"/x"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.mu.Lock()
	for w := range a.watching {
		w.mu.Lock()
		if len(w.order) > peers+1 || len(w.news) != len(w.order) {
			t.Errorf("%d entries wait for %d peers", len(w.order), peers)
		}
		w.mu.Unlock()
	}
	a.mu.Unlock()
	close(release)
	stop()
	stop()
}

func TestWatchNilFunctions(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	stop, err := a.Watch(Watcher{})
	if err != nil {
		t.Fatal(err)
	}
	d := watchNode(t, a)
	a.identified(t, b)
	d.expect("silent " + b.ID().String())
	if err := a.h.Network().ClosePeer(b.ID()); err != nil {
		t.Fatal(err)
	}
	d.expect("disconnected " + b.ID().String())
	stop()
}
