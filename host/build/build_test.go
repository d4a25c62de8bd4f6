package build

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}

func newHost(t *testing.T, cfg Config) host.Host {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestNewOverEachTransport(t *testing.T) {
	for _, listen := range loopback {
		a, b := newHost(t, Config{Listen: []string{listen}}), newHost(t, Config{Listen: []string{listen}, UserAgent: "kdht-test"})
		if len(b.Addrs()) != 1 {
			t.Fatalf("%s: listens on %v", listen, b.Addrs())
		}
		if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
			t.Fatal(err)
		}
		if r := <-ping.Ping(testContext(t), a, b.ID()); r.Error != nil {
			t.Errorf("%s: ping: %v", listen, r.Error)
		}
		if agent, err := a.Peerstore().Get(b.ID(), "AgentVersion"); err != nil || agent != "kdht-test" {
			t.Errorf("%s: agent %v, %v", listen, agent, err)
		}
	}
}

func TestNewWithNothingButDialing(t *testing.T) {
	a, b := newHost(t, Config{Listen: []string{}}), newHost(t, Config{Listen: loopback})
	if len(a.Network().ListenAddresses()) != 0 {
		t.Errorf("listens on %v", a.Network().ListenAddresses())
	}
	if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Error(err)
	}
}

func TestRelayingIsOff(t *testing.T) {
	h := newHost(t, Config{Listen: loopback})
	for _, id := range h.Mux().Protocols() {
		if strings.Contains(string(id), "circuit") || strings.Contains(string(id), "dcutr") || strings.Contains(string(id), "autonat") {
			t.Errorf("speaks %s without being asked to", id)
		}
	}
	h = newHost(t, Config{Listen: loopback, Relay: true})
	if !slices.Contains(h.Mux().Protocols(), "/libp2p/circuit/relay/0.2.0/stop") {
		t.Errorf("Relay: speaks %v", h.Mux().Protocols())
	}
}

func TestAnnounce(t *testing.T) {
	h := newHost(t, Config{Listen: loopback, Announce: []string{"/dns4/node.example/tcp/4001"}})
	if got := h.Addrs(); len(got) != 1 || got[0].String() != "/dns4/node.example/tcp/4001" {
		t.Errorf("announces %v", got)
	}
}

// Two hosts of one process share a registerer.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	a := newHost(t, Config{Listen: loopback, Metrics: reg})
	newHost(t, Config{Listen: loopback, Metrics: reg})
	b := newHost(t, Config{Listen: loopback})
	if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil || len(families) == 0 {
		t.Errorf("%d metrics, %v", len(families), err)
	}
}

// What libp2p's resource manager counts, for all hosts of the process together, is
// counted for those alone that were given a registerer.
func TestNobodyCountsWithoutRegisterer(t *testing.T) {
	reg := prometheus.NewRegistry()
	rcmgr.MustRegisterWith(reg)
	counted := func() (n float64) {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return n
	}
	connect := func(metrics prometheus.Registerer) bool {
		before := counted()
		a, b := newHost(t, Config{Listen: loopback, Metrics: metrics}), newHost(t, Config{Listen: loopback, Metrics: metrics})
		if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
			t.Fatal(err)
		}
		return counted() != before
	}
	if connect(nil) {
		t.Error("connections of hosts without metrics are counted")
	}
	if !connect(prometheus.NewRegistry()) {
		t.Error("connections of hosts with metrics are not counted")
	}
}

func TestPortInUse(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, taken := range []string{
		fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", tcp.Addr().(*net.TCPAddr).Port),
		fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", udp.LocalAddr().(*net.UDPAddr).Port),
	} {
		_, err := New(Config{Listen: append(loopback[:len(loopback):len(loopback)], taken)})
		checkLine(t, err, "cannot listen on "+taken, "the port is in use", "choose another port")
	}
}

func TestBadConfig(t *testing.T) {
	_, err := New(Config{Listen: []string{"127.0.0.1:4001"}})
	checkLine(t, err, `"127.0.0.1:4001" is no multiaddr`, "/ip4/0.0.0.0/tcp/4001")
	_, err = New(Config{Listen: loopback, Announce: []string{"nonsense"}})
	checkLine(t, err, `"nonsense" is no multiaddr`)
	_, err = New(Config{Listen: []string{"/ip4/192.0.2.1/tcp/0"}})
	checkLine(t, err, "cannot listen on /ip4/192.0.2.1/tcp/0", "this machine has no such address")
	_, err = New(Config{Listen: []string{"/ip4/127.0.0.1/tcp/0/ws"}})
	checkLine(t, err, "cannot listen on /ip4/127.0.0.1/tcp/0/ws", "TCP and QUIC")
	_, err = New(Config{Listen: loopback, MaxConns: -1})
	checkLine(t, err, "MaxConns")
	_, err = New(Config{Listen: loopback, Options: []libp2p.Option{func(*libp2p.Config) error { return errors.New("not today") }}})
	checkLine(t, err, "not today")
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Listen: loopback, KeyFile: "x", PrivKey: key})
	checkLine(t, err, "both KeyFile and PrivKey are given")
}

// checkLine checks that an error is one line with all that it must say.
func checkLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", parts)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestListen(t *testing.T) {
	for _, text := range Listen(4001) {
		if a, err := multiaddr.NewMultiaddr(text); err != nil || !strings.Contains(a.String(), "4001") {
			t.Errorf("%s: %v", text, err)
		}
	}
	h := newHost(t, Config{}) // listens on all interfaces, on free ports
	if len(h.Network().ListenAddresses()) < 2 {
		t.Errorf("listens on %v", h.Network().ListenAddresses())
	}
}

// The resource manager leaves the choice among a peer's streams to package host,
// up to twice what that grants, and then bounds them.
func TestStreamLimits(t *testing.T) {
	a, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b := newHost(t, Config{Listen: loopback[:1]})
	echo := func(s network.Stream) {
		if err := s.Scope().SetService(serviceName); err != nil {
			_ = s.Reset()
			return
		}
		_, _ = io.Copy(s, s)
		_ = s.Close()
	}
	b.SetStreamHandler("/kdht/kad/1.0.0", echo)
	if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	open := 0
	for range perPeerInbound + 20 {
		s, err := a.NewStream(testContext(t), b.ID(), "/kdht/kad/1.0.0")
		if err != nil {
			break
		}
		_ = s.SetDeadline(time.Now().Add(5 * time.Second))
		got := make([]byte, 2)
		_, err = s.Write([]byte("hi"))
		_, rerr := io.ReadFull(s, got)
		if errors.Join(err, rerr) != nil || !bytes.Equal(got, []byte("hi")) {
			break
		}
		open++
	}
	if open != perPeerInbound {
		t.Errorf("%d streams of one peer, want %d", open, perPeerInbound)
	}
	if err := a.Network().ClosePeer(b.ID()); err != nil {
		t.Error(err)
	}
}
