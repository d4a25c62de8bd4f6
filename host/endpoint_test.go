package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	corerecord "github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-varint"
)

func TestConfig(t *testing.T) {
	if _, err := NewEndpoint(nil, Config{}); err == nil || !strings.Contains(err.Error(), "Config.Protocol is empty") {
		t.Errorf("no protocol: %v", err)
	}
	for name, cfg := range map[string]Config{
		"MaxFrame":    {Protocol: "/t", MaxFrame: -1},
		"MaxAddrs":    {Protocol: "/t", MaxAddrs: -1},
		"IdleTimeout": {Protocol: "/t", IdleTimeout: -1},
	} {
		if _, err := NewEndpoint(nil, cfg); err == nil || !strings.Contains(err.Error(), "Config."+name+" is negative") {
			t.Errorf("negative %s: %v", name, err)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.knows(b)
		for i, size := range []int{5, 0, 200, 100_000, 4 << 20, 1} {
			want := strings.Repeat("x", size)
			got, reused, err := a.ask(t, b, want)
			if err != nil || got != want || reused != (i > 0) {
				t.Fatalf("%d bytes: %d bytes, reused %v, %v", size, len(got), reused, err)
			}
		}
		if !a.Connected(b.ID()) || !b.Connected(a.ID()) || a.Connected("nobody") {
			t.Error("Connected is wrong")
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.knows(b)
		var wait sync.WaitGroup
		for i := range 64 {
			wait.Go(func() {
				for j := range 20 {
					want := fmt.Sprint(i, j)
					if got, _, err := a.ask(t, b, want); err != nil || got != want {
						t.Errorf("got %q, %v; want %q", got, err, want)
						return
					}
				}
			})
		}
		wait.Wait()
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		if n := b.server.count; n > 8 {
			t.Errorf("%d streams for 64 users, want at most 8", n)
		}
	})
}

// A peer that does not serve says so, before and after it has been identified.
func TestUnsupported(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		for name, identified := range map[string]bool{"first contact": false, "identified": true} {
			t.Run(name, func(t *testing.T) {
				a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
				a.knows(b)
				if identified {
					a.identified(t, b)
				}
				if _, _, err := a.ask(t, b, strings.Repeat("some request ", 50)); !errors.Is(err, ErrUnsupported) {
					t.Errorf("got %v", err)
				}
			})
		}
	})
}

func TestUnreachable(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	gone := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	info := gone.info()
	gone.Close()
	gone.h.Close()
	for name, p := range map[string]peer.AddrInfo{
		"nobody listens":   info,
		"somebody else":    {ID: gone.ID(), Addrs: b.h.Addrs()},
		"no known address": {ID: newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}).ID()},
	} {
		err := a.Connect(testContext(t), p)
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(fmt.Sprint(err), "\n") {
			t.Errorf("%s: Connect: %v", name, err)
		}
		if _, err := a.Open(testContext(t), p.ID, false); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Connect(ctx, b.info()); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("canceled: %v", err)
	}
	if a.pool.slots != 0 {
		t.Errorf("%d slots left over", a.pool.slots)
	}
}

// Raw bytes from a hostile peer end its stream, at once and with the code for it.
func TestHostileBytes(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.identified(t, b)
		for name, raw := range map[string][]byte{
			"over-long length":   {0x85, 0x00, 1, 2, 3, 4, 5},
			"4 MiB and 1":        varint.ToUvarint(4<<20 + 1),
			"2^32 and 4":         append(varint.ToUvarint(1<<32+4), 1, 2, 3, 4),
			"2^63-1":             varint.ToUvarint(1<<63 - 1),
			"endless length":     bytes.Repeat([]byte{0xff}, 4096),
			"after a good frame": append(frameOf([]byte("good")), 0x80, 0x00),
		} {
			s, err := a.h.NewStream(testContext(t), b.ID(), testProtocol)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(raw); err != nil && !errors.Is(err, network.ErrReset) {
				t.Fatal(err)
			}
			code, ok := rawReset(t, s)
			if !ok || code != network.StreamProtocolViolation {
				t.Errorf("%s: reset %v, code %#x", name, ok, code)
			}
		}
		if got, _, err := a.ask(t, b, "still there"); got != "still there" {
			t.Errorf("afterwards: %q, %v", got, err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		handled := make(chan string, 1)
		b.Serve(map[protocol.ID]FrameHandler{testProtocol: func(_ Sender, frame, _ []byte) ([]byte, time.Duration, error) {
			handled <- string(frame)
			return nil, 0, nil
		}})
		a.knows(b)
		s, err := a.Open(testContext(t), b.ID(), true)
		if err != nil {
			t.Fatal(err)
		}
		if s.Peer() != b.ID() || s.Reused() {
			t.Error("a fresh stream to b is something else")
		}
		_ = s.SetDeadline(time.Now().Add(5 * time.Second))
		if err := errors.Join(s.WriteFrame([]byte("record")), s.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadFrame(); err != io.EOF {
			t.Errorf("no answer and a clean end: %v", err)
		}
		if len(handled) != 1 || <-handled != "record" {
			t.Error("the end is seen before the frame has been handled")
		}
		s.Release()
		if a.pool.idle.Len() != 0 {
			t.Error("a half-closed stream was kept")
		}
		// With nothing written: negotiated, and then as clean.
		s, err = a.Open(testContext(t), b.ID(), true)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(5 * time.Second))
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadFrame(); err != io.EOF {
			t.Errorf("nothing sent and a clean end: %v", err)
		}
		s.Release()
	})
}

func TestStopServing(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.knows(b)
		if _, _, err := a.ask(t, b, "hello"); err != nil {
			t.Fatal(err)
		}
		s, err := a.Open(testContext(t), b.ID(), false)
		if err != nil || !s.Reused() {
			t.Fatal(err)
		}
		b.StopServing()
		_ = s.SetDeadline(time.Now().Add(5 * time.Second))
		var reset *network.StreamError
		if _, err = s.ReadFrame(); !errors.As(err, &reset) || reset.ErrorCode != network.StreamShutdown {
			t.Errorf("an inbound stream after StopServing: %v", err)
		}
		s.Release()
		if _, _, err := a.ask(t, b, "hello"); !errors.Is(err, ErrUnsupported) {
			t.Errorf("a new stream after StopServing: %v", err)
		}
		b.serveEcho()
		if got, _, err := a.ask(t, b, "hello"); err != nil || got != "hello" {
			t.Errorf("after Serve again: %q, %v", got, err)
		}
	})
}

func TestServeReplacesProtocols(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	b.Serve(map[protocol.ID]FrameHandler{testProtocol: echo, "/other/1": echo})
	a.identified(t, b)
	other, err := a.h.NewStream(testContext(t), b.ID(), "/other/1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write(frameOf([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(t, &frameReader{src: other, max: 10}); err != nil || string(got) != "x" {
		t.Fatal(string(got), err)
	}
	b.serveEcho()
	if code, ok := rawReset(t, other); !ok || code != network.StreamShutdown {
		t.Errorf("a stream of a protocol no longer served: %v %#x", ok, code)
	}
	if got, _, err := a.ask(t, b, "y"); err != nil || got != "y" {
		t.Errorf("the other protocol: %q, %v", got, err)
	}
}

func TestTimeouts(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		release := make(chan struct{})
		b.Serve(map[protocol.ID]FrameHandler{testProtocol: func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			<-release
			return append(out, frame...), 0, nil
		}})
		defer close(release)
		a.knows(b)
		s, err := a.Open(testContext(t), b.ID(), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFrame([]byte("?")); err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := s.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		s.Release()
		if a.pool.idle.Len() != 0 {
			t.Error("a stream with an answer outstanding was kept")
		}
	})
}

func TestResetUnblocks(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.Serve(map[protocol.ID]FrameHandler{testProtocol: func(Sender, []byte, []byte) ([]byte, time.Duration, error) {
			return nil, 0, nil
		}})
		a.knows(b)
		s, err := a.Open(testContext(t), b.ID(), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFrame([]byte("?")); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			_, err := s.ReadFrame()
			failed <- err
		}()
		s.Reset()
		if err := <-failed; err == nil {
			t.Error("read a frame from nowhere")
		}
		s.Release() // both are harmless now
		s.Reset()
	})
}

func TestFrameTooLarge(t *testing.T) {
	a := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{MaxFrame: 1000})
	b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{MaxFrame: 1000})
	b.Serve(map[protocol.ID]FrameHandler{testProtocol: func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
		return append(append(out, frame...), 'x'), 0, nil
	}})
	a.knows(b)
	if _, _, err := a.ask(t, b, strings.Repeat("x", 999)); err != nil {
		t.Errorf("an answer of 1000 bytes: %v", err)
	}
	if _, _, err := a.ask(t, b, strings.Repeat("x", 1000)); !errors.Is(err, network.ErrReset) {
		t.Errorf("an answer of 1001 bytes is sent: %v", err)
	}
	if _, _, err := a.ask(t, b, strings.Repeat("x", 1001)); !errors.Is(err, ErrFrameTooLarge) {
		t.Errorf("a request of 1001 bytes: %v", err)
	}
}

func TestInboundPerPeer(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newGreedyHost(t, listen), newNode(t, listen, Config{})
		b.serveEcho()
		if err := a.Connect(testContext(t), b.info()); err != nil {
			t.Fatal(err)
		}
		var streams []network.Stream
		for range 70 {
			streams = append(streams, echoing(t, a, b))
		}
		for _, s := range streams[:6] {
			if code, ok := rawReset(t, s); !ok || code != network.StreamGarbageCollected {
				t.Errorf("one of the first streams: reset %v, code %#x", ok, code)
			}
		}
		if _, err := streams[6].Write(frameOf([]byte("y"))); err != nil {
			t.Error(err)
		}
		if got, err := readFrame(t, &frameReader{src: streams[6], max: 10}); err != nil || string(got) != "y" {
			t.Errorf("the seventh stream: %q, %v", got, err)
		}
		for _, s := range streams {
			_ = s.Reset()
		}
	})
}

func TestDisconnectDropsIdleStreams(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.knows(b)
		if _, _, err := a.ask(t, b, "x"); err != nil {
			t.Fatal(err)
		}
		seen, gone := make(chan peer.ID, 1), make(chan peer.ID, 1)
		stop, err := a.Watch(Watcher{
			Connected:    func(p peer.ID) { seen <- p },
			Disconnected: func(p peer.ID) { gone <- p },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		<-seen
		if err := a.h.Network().ClosePeer(b.ID()); err != nil {
			t.Fatal(err)
		}
		<-gone
		if _, reused, err := a.ask(t, b, "y"); err != nil || reused {
			t.Errorf("after reconnecting: reused %v, %v", reused, err)
		}
	})
}

func TestPeerAddrs(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{MaxAddrs: 4}), newNode(t, listen, Config{})
		b.serveEcho()
		var heard []multiaddr.Multiaddr
		for i := range 9 {
			heard = append(heard, multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", 1+i, b.ID())))
		}
		a.Remember(b.ID(), heard, time.Hour)
		a.identified(t, b)
		b.identified(t, a)
		got := a.PeerAddrs(b.ID())
		if len(got) != 4 || !got[0].Equal(b.h.Addrs()[0]) {
			t.Errorf("addresses of b: %v, want %v first, of 4", got, b.h.Addrs())
		}
		for _, addr := range got {
			if _, err := addr.ValueForProtocol(multiaddr.P_P2P); err == nil {
				t.Errorf("%v has /p2p", addr)
			}
		}
		// b was dialed, so the connection's remote port is nobody's address.
		if got := b.PeerAddrs(a.ID()); len(got) != 1 || !got[0].Equal(a.h.Addrs()[0]) {
			t.Errorf("addresses of a: %v, want %v", got, a.h.Addrs())
		}
		if got := a.Addrs(); len(got) != 1 || !got[0].Equal(a.h.Addrs()[0]) {
			t.Errorf("own addresses: %v", got)
		}
		a.Remember(a.ID(), heard, time.Hour)
		if len(a.h.Peerstore().Addrs(a.ID())) > 1 {
			t.Error("remembered strange addresses of itself")
		}
	})
}

// Signed addresses come before those only heard of, and what identify has refused
// to take from the signed record does not come at all.
func TestPeerAddrsCertified(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	heard, signed, refused := multiaddr.StringCast("/ip4/192.0.2.1/tcp/1"), multiaddr.StringCast("/ip4/192.0.2.2/tcp/1"), multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")
	record := &peer.PeerRecord{PeerID: b.ID(), Seq: 1 << 62, Addrs: []multiaddr.Multiaddr{refused, signed}}
	envelope, err := corerecord.Seal(record, b.h.Peerstore().PrivKey(b.ID()))
	if err != nil {
		t.Fatal(err)
	}
	book, ok := peerstore.GetCertifiedAddrBook(a.h.Peerstore())
	if !ok {
		t.Fatal("the peerstore keeps no signed records")
	}
	if accepted, err := book.ConsumePeerRecord(envelope, time.Hour); err != nil || !accepted {
		t.Fatal(accepted, err)
	}
	a.h.Peerstore().SetAddr(b.ID(), refused, 0)
	a.Remember(b.ID(), []multiaddr.Multiaddr{heard, signed}, time.Hour)
	if got := a.PeerAddrs(b.ID()); len(got) != 2 || !got[0].Equal(signed) || !got[1].Equal(heard) {
		t.Errorf("addresses %v, want %v and %v", got, signed, heard)
	}
}

func TestHostClosesFirst(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		b.serveEcho()
		a.knows(b)
		if _, _, err := a.ask(t, b, "x"); err != nil {
			t.Fatal(err)
		}
		stop, err := a.Watch(Watcher{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.h.Close(), b.h.Close()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.ask(t, b, "y"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("asking from a closed host: %v", err)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
		stop()
	})
}

func TestPublicKey(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	key, err := a.PublicKey(b.ID())
	if err != nil || !b.ID().MatchesPublicKey(key) {
		t.Errorf("key of an Ed25519 id: %v", err)
	}
	rsa, err := peer.Decode("QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.PublicKey(rsa); err == nil {
		t.Error("key of an unknown RSA id")
	}
}

func TestClose(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
		handling, release := make(chan struct{}), make(chan struct{})
		b.Serve(map[protocol.ID]FrameHandler{testProtocol: func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			close(handling)
			<-release
			return append(out, frame...), 0, nil
		}})
		a.knows(b)
		s, err := a.Open(testContext(t), b.ID(), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFrame([]byte("x")); err != nil {
			t.Fatal(err)
		}
		<-handling
		closed := make(chan error)
		go func() { closed <- b.Close() }()
		select {
		case <-closed:
			t.Error("closed while a handler is running")
		case <-time.After(20 * time.Millisecond):
		}
		close(release)
		if err := errors.Join(<-closed, a.Close(), a.Close()); err != nil {
			t.Error(err)
		}
		if _, err := s.ReadFrame(); err == nil {
			t.Error("a stream outlives its endpoint")
		}
		s.Release()
		if _, err := a.Open(testContext(t), b.ID(), false); !errors.Is(err, ErrClosed) {
			t.Errorf("Open after Close: %v", err)
		}
		if err := a.Connect(testContext(t), b.info()); !errors.Is(err, ErrClosed) {
			t.Errorf("Connect after Close: %v", err)
		}
		if _, err := a.Watch(Watcher{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Watch after Close: %v", err)
		}
		a.serveEcho()
		if len(a.served) != 0 {
			t.Error("serves after Close")
		}
		if !a.Connected(b.ID()) {
			t.Error("closing the endpoint has closed the host's connection")
		}
	})
}

// A protocol of the host is served by one endpoint at a time, and not taken from it.
func TestServeOfWhatIsServed(t *testing.T) {
	a, b := newNode(t, "/ip4/127.0.0.1/tcp/0", Config{}), newNode(t, "/ip4/127.0.0.1/tcp/0", Config{})
	b.serveEcho()
	second, err := NewEndpoint(b.h, Config{Protocol: testProtocol})
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[protocol.ID]FrameHandler{testProtocol: func(Sender, []byte, []byte) ([]byte, time.Duration, error) {
		return []byte("second"), 0, nil
	}}
	if err := second.Serve(handlers); !errors.Is(err, ErrServed) || !strings.Contains(err.Error(), string(testProtocol)) {
		t.Errorf("serve of what is served: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	a.knows(b)
	if got, _, err := a.ask(t, b, "hello"); err != nil || got != "hello" {
		t.Errorf("the first: %q, %v", got, err)
	}
	if err := second.Serve(handlers); !errors.Is(err, ErrClosed) {
		t.Errorf("serve after close: %v", err)
	}
	b.StopServing()
	third, err := NewEndpoint(b.h, Config{Protocol: testProtocol})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(third.Serve(handlers), third.Serve(handlers), third.Close()); err != nil {
		t.Errorf("serve of what is served no more, twice: %v", err)
	}
}
