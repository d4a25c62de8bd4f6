package host

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p"
	corehost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testProtocol = protocol.ID("/test/kad/1.0.0")

// overBoth runs a test over TCP and over QUIC.
func overBoth(t *testing.T, test func(t *testing.T, listen string)) {
	for name, listen := range map[string]string{
		"tcp":  "/ip4/127.0.0.1/tcp/0",
		"quic": "/ip4/127.0.0.1/udp/0/quic-v1",
	} {
		t.Run(name, func(t *testing.T) { test(t, listen) })
	}
}

// node is a host on 127.0.0.1 with an endpoint.
type node struct {
	*Endpoint
	h corehost.Host
}

func newNode(t testing.TB, listen string, cfg Config) *node {
	t.Helper()
	h, err := build.New(build.Config{Listen: []string{listen}, Protocols: []protocol.ID{testProtocol}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Protocol = testProtocol
	e, err := NewEndpoint(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return &node{Endpoint: e, h: h}
}

// newGreedyHost makes a host that holds itself to no limits.
func newGreedyHost(t testing.TB, listen string) corehost.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func (n *node) info() peer.AddrInfo { return peer.AddrInfo{ID: n.ID(), Addrs: n.h.Addrs()} }

// knows puts another node's addresses in the address book.
func (n *node) knows(other *node) {
	n.Remember(other.ID(), other.h.Addrs(), time.Hour)
}

// identified waits until libp2p has identified a connection to other.
func (n *node) identified(t testing.TB, other *node) {
	t.Helper()
	if err := n.h.Connect(testContext(t), other.info()); err != nil {
		t.Fatal(err)
	}
	if s, err := n.h.NewStream(testContext(t), other.ID(), "/ipfs/ping/1.0.0"); err != nil { // waits for it
		t.Fatal(err)
	} else {
		_ = s.Reset()
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// ask sends one request on a stream of the pool.
func (n *node) ask(t testing.TB, to *node, request string) (answer string, reused bool, err error) {
	t.Helper()
	s, err := n.Open(testContext(t), to.ID(), false)
	if err != nil {
		return "", false, err
	}
	defer s.Reset()
	_ = s.SetDeadline(time.Now().Add(10 * time.Second))
	if err := s.WriteFrame([]byte(request)); err != nil {
		return "", s.Reused(), err
	}
	frame, err := s.ReadFrame()
	if err != nil {
		return "", s.Reused(), err
	}
	s.Release()
	return string(frame), s.Reused(), nil
}

func (n *node) serveEcho() { n.Serve(map[protocol.ID]FrameHandler{testProtocol: echo}) }

// rawReset reads until the stream is reset and returns the code.
func rawReset(t testing.TB, s network.Stream) (network.StreamErrorCode, bool) {
	t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(5 * time.Second))
	for buf := make([]byte, 1<<16); ; {
		_, err := s.Read(buf)
		var reset *network.StreamError
		if errors.As(err, &reset) {
			return reset.ErrorCode, true
		}
		if err != nil {
			t.Logf("stream ended with %v", err)
			return 0, errors.Is(err, network.ErrReset)
		}
	}
}

// echoing opens a raw stream from a to b that has carried a frame and its echo.
func echoing(t testing.TB, a corehost.Host, b *node) network.Stream {
	t.Helper()
	s, err := a.NewStream(testContext(t), b.ID(), testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(frameOf([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(t, &frameReader{src: s, max: 10}); err != nil {
		t.Fatal(err)
	}
	return s
}
