package build

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"
)

// A flood of strangers, each holding its connection, shuts out neither the next
// stranger nor those who were proven or dialed before.
func TestConnectionFlood(t *testing.T) {
	const most = 8
	server := newHost(t, Config{Listen: loopback[:1], MaxConns: most})
	friend, dialed := newHost(t, Config{Listen: []string{}}), newHost(t, Config{Listen: loopback[:1]})
	server.ConnManager().TagPeer(friend.ID(), "kdht", 5)
	join(t, friend, server)
	join(t, server, dialed)
	var strangers []host.Host
	for i := range 3 * most {
		h := newHost(t, Config{Listen: []string{}})
		join(t, h, server)
		if r := <-ping.Ping(testContext(t), h, server.ID()); r.Error != nil {
			t.Errorf("stranger %d is not served: %v", i, r.Error)
		}
		strangers = append(strangers, h)
	}
	within(t, func() bool { return len(server.Network().Conns()) <= most*shareInbound/4+2 })
	for _, h := range []host.Host{friend, dialed} {
		if server.Network().Connectedness(h.ID()) != network.Connected {
			t.Error("a connection that was proven or dialed has been closed for a stranger's")
		}
	}
	if last := strangers[len(strangers)-1]; server.Network().Connectedness(last.ID()) != network.Connected {
		t.Error("the last stranger has no connection")
	}
}

// Sockets that say nothing give way to those that do.
func TestSilentSockets(t *testing.T) {
	server := newHost(t, Config{Listen: loopback[:1]})
	port, err := server.Addrs()[0].ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * maxHandshakes {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	for i := range 10 {
		h := newHost(t, Config{Listen: []string{}})
		if err := h.Connect(testContext(t), info(server)); err != nil {
			t.Errorf("newcomer %d: %v", i, err)
		}
	}
}

func join(t *testing.T, from, to host.Host) {
	t.Helper()
	if err := from.Connect(testContext(t), info(to)); err != nil {
		t.Fatal(err)
	}
}

// within waits until cond holds.
func within(t *testing.T, cond func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("does not happen")
		}
	}
}

// somebody is a connection that only slots looks at.
type somebody struct {
	network.Conn
	id        peer.ID
	direction network.Direction
	streams   int
	closed    chan struct{}
}

func (s *somebody) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: s.direction}, NumStreams: s.streams}
}
func (s *somebody) RemotePeer() peer.ID { return s.id }
func (s *somebody) CloseWithError(network.ConnErrorCode) error {
	close(s.closed)
	return nil
}

// values is a connection manager that knows who is worth something.
type values struct {
	connmgr.NullConnMgr
	of map[peer.ID]int
}

func (v values) GetTagInfo(p peer.ID) *connmgr.TagInfo { return &connmgr.TagInfo{Value: v.of[p]} }

// Whom slots closes, told as a story: time, who comes, who goes.
func TestWhoGivesWay(t *testing.T) {
	start := time.Unix(0, 0)
	now := start
	v := values{of: map[peer.ID]int{"proven": 1}}
	s := newSlots(3, 1, v)
	s.now = func() time.Time { return now }
	open := make(map[string]*somebody)
	for _, step := range []struct {
		at          time.Duration
		comes, goes string
	}{
		{0, "proven", ""},
		{1 * time.Second, "old", ""},
		{2 * time.Second, "young", ""},
		{3 * time.Second, "a", "old"},   // none is settled: the oldest
		{8 * time.Second, "b", "a"},     // all are: the youngest
		{9 * time.Second, "c", "young"}, // the only settled one
		{10 * time.Second, "d", "b"},    // none again
		{60 * time.Second, "e", "d"},    // never the proven one
	} {
		now = start.Add(step.at)
		c := &somebody{id: peer.ID(step.comes), direction: network.DirInbound, closed: make(chan struct{})}
		open[step.comes] = c
		s.Connected(nil, c)
		if step.goes == "" {
			continue
		}
		select {
		case <-open[step.goes].closed:
		case <-testContext(t).Done():
			t.Fatalf("at %v %s comes, and %s does not go", step.at, step.comes, step.goes)
		}
		s.Disconnected(nil, open[step.goes])
		delete(open, step.goes)
	}
	for name, c := range open {
		select {
		case <-c.closed:
			t.Errorf("%s has been closed as well", name)
		default:
		}
	}
	s.Connected(nil, &somebody{id: "dialed", direction: network.DirOutbound})
	if len(s.open) != 3 {
		t.Errorf("%d inbound connections counted, want 3", len(s.open))
	}
}

// Who has just come is not taken for one that asks nothing: where all others have
// streams it would lose its place before it could open one.
func TestNewcomersMayOpenStreams(t *testing.T) {
	now := time.Unix(0, 0)
	s := newSlots(3, 1, values{})
	s.now = func() time.Time { return now }
	come := func(name string, streams int) *somebody {
		c := &somebody{id: peer.ID(name), direction: network.DirInbound, streams: streams, closed: make(chan struct{})}
		s.Connected(nil, c)
		return c
	}
	first := come("first", 8)
	now = now.Add(time.Millisecond)
	newcomer := come("newcomer", 0)
	now = now.Add(opening - time.Millisecond)
	come("second", 8)
	come("third", 8)
	if _, ok := s.open[newcomer]; !ok || len(s.open) != 3 {
		t.Error("the newcomer gave way before it could ask")
	}
	if _, ok := s.open[first]; ok {
		t.Error("the first of them is still there")
	}
	now = now.Add(time.Millisecond)
	come("fourth", 8)
	if _, ok := s.open[newcomer]; ok {
		t.Error("who asks nothing is still there")
	}
}

// Those who have settled keep half of the places, however many newcomers arrive.
func TestFloodLeavesTheSettled(t *testing.T) {
	now := time.Unix(0, 0)
	s := newSlots(8, 1, values{})
	s.now = func() time.Time { return now }
	come := func(name string) *somebody {
		c := &somebody{id: peer.ID(name), direction: network.DirInbound, closed: make(chan struct{})}
		s.Connected(nil, c)
		return c
	}
	var old []*somebody
	for i := range 4 {
		old = append(old, come(fmt.Sprint("old ", i)))
	}
	now = now.Add(settling)
	var last []*somebody
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		last = append(last, come(fmt.Sprint("new ", i)))
	}
	for _, c := range append(old, last[len(last)-4:]...) {
		if _, ok := s.open[c]; !ok {
			t.Errorf("%s has been closed", c.id)
		}
	}
	if len(s.open) != 8 {
		t.Errorf("%d connections, want 8", len(s.open))
	}
}

// sock is a socket that has just been accepted.
type sock struct {
	network.ConnMultiaddrs
	addr   multiaddr.Multiaddr
	mu     sync.Mutex
	closed bool
}

func (s *sock) RemoteMultiaddr() multiaddr.Multiaddr { return s.addr }
func (s *sock) Close() error                         { s.mu.Lock(); defer s.mu.Unlock(); s.closed = true; return nil }

// The bound on handshakes holds whatever comes and goes, and the list and its
// index agree.
func TestHandshakesBounded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newSlots(1, 5, values{})
	now := time.Unix(0, 0)
	s.now = func() time.Time { return now }
	var socks []*sock
	for i := range 2000 {
		now = now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
		if rng.IntN(3) == 0 && len(socks) > 0 {
			s.secured(socks[rng.IntN(len(socks))])
			continue
		}
		c := &sock{addr: multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 1+rng.IntN(50)))}
		socks = append(socks, c)
		s.begun(c)
		if n := s.pending.Len(); n > 5 || n != len(s.byAddr) || n == 0 {
			t.Fatalf("step %d: %d handshakes, %d addresses", i, n, len(s.byAddr))
		}
		if c.closed {
			t.Fatalf("step %d: the newest was closed", i)
		}
	}
}

func TestRoomFor(t *testing.T) {
	for _, c := range []struct {
		conns, files int
		want         room
	}{
		{192, 0, room{192, maxHandshakes, 0}},
		{192, 1 << 20, room{192, maxHandshakes, 0}},
		{192, 160, room{75, 30, 120}},
		{192, 8, room{5, 2, 8}},
		{4, 160, room{4, 30, 120}},
	} {
		got := roomFor(c.conns, c.files)
		if got != c.want {
			t.Errorf("%d connections, %d files: %+v, want %+v", c.conns, c.files, got, c.want)
		}
		if got.sockets > 0 && got.conns+got.handshakes > got.sockets {
			t.Errorf("%d files: more than there are", c.files)
		}
	}
}

// Who is asking something stays before those who say nothing, whoever came first.
func TestIdleGivesWay(t *testing.T) {
	now := time.Unix(0, 0)
	s := newSlots(4, 1, values{})
	s.now = func() time.Time { return now }
	come := func(streams int) *somebody {
		now = now.Add(opening) // who has come before has had time to open a stream
		c := &somebody{id: "stranger", direction: network.DirInbound, streams: streams, closed: make(chan struct{})}
		s.Connected(nil, c)
		return c
	}
	goes := func(c *somebody) {
		t.Helper()
		select {
		case <-c.closed:
		case <-testContext(t).Done():
			t.Fatal("an idle connection stays where busy ones have to go")
		}
	}
	come(1)
	idle, settled := come(0), come(0)
	come(1)
	come(1) // nobody has settled: the oldest of the idle
	goes(idle)
	now = now.Add(time.Minute)
	come(1) // all have: the youngest of the idle, of which there is one
	goes(settled)
}
