package link_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/test/link"
	corehost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	proto    protocol.ID = "/link/1"
	strange  protocol.ID = "/link/2"
	trip                 = 100 * time.Millisecond
	overTCP              = "tcp"
	overQUIC             = "quic"
)

// member is a host at a place, and its endpoint.
type member struct {
	*host.Endpoint
	libp2p corehost.Host
}

// start starts a host that listens over the given transports, tcp and quic.
func start(t *testing.T, net *link.Network, i int, over ...string) *member {
	t.Helper()
	place := net.Place(i)
	cfg := build.Config{Protocols: []protocol.ID{proto}}
	for _, transport := range over {
		cfg.Listen = append(cfg.Listen, map[string]string{overTCP: link.TCP(place), overQUIC: link.QUIC(place)}[transport])
	}
	h, err := net.Host(place, cfg)
	if err != nil {
		t.Fatal(err)
	}
	e, err := host.NewEndpoint(net.Hanging(h, place), host.Config{Protocol: proto})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return &member{e, h}
}

func newNetwork(t *testing.T, make func(link.Conditions) *link.Network) *link.Network {
	net := make(link.Conditions{Delay: func(_, _ netip.Addr) time.Duration { return trip / 2 }})
	t.Cleanup(func() { _ = net.Close() })
	return net
}

func echo(_ host.Sender, frame, out []byte) ([]byte, time.Duration, error) {
	return append(out, frame...), 0, nil
}

func (m *member) serve(t *testing.T) {
	t.Helper()
	if err := m.Serve(map[protocol.ID]host.FrameHandler{proto: echo}); err != nil {
		t.Fatal(err)
	}
}

// ask sends one request and waits for its answer.
func (m *member) ask(ctx context.Context, to *member, request []byte) ([]byte, error) {
	s, err := m.Open(ctx, to.ID(), false)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	if due, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(due)
	}
	if err := s.WriteFrame(request); err != nil {
		return nil, err
	}
	return s.ReadFrame()
}

// A request to a peer that has never been met takes as long as its connection does, and
// one round trip: nothing is negotiated or identified before it (performance.md §2.4).
// What a host's own NewStream takes, which waits for identify, stands beside it.
func TestFirstRequestRoundTrips(t *testing.T) {
	for _, c := range []struct {
		name                     string
		over                     []string
		first, identified, again float64
	}{
		{"quic", []string{overQUIC}, 2, 3, 1},
		{"tcp", []string{overTCP}, 4, 5, 1},
		{"both", []string{overTCP, overQUIC}, 2, 3, 1}, // QUIC is preferred
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork(t, link.NewVirtual)
				server, client, waiting := start(t, net, 0, c.over...), start(t, net, 1, c.over...), start(t, net, 2, c.over...)
				server.serve(t)
				client.Remember(server.ID(), server.Addrs(), time.Hour)
				waiting.Remember(server.ID(), server.Addrs(), time.Hour)
				first := trips(t, func() error { _, err := client.ask(t.Context(), server, []byte("hello")); return err })
				again := trips(t, func() error { _, err := client.ask(t.Context(), server, []byte("hello")); return err })
				identified := trips(t, func() error { return askIdentified(t.Context(), waiting.libp2p, server.libp2p) })
				t.Logf("round trips: first request %.2f, the second %.2f; with NewStream of the host %.2f", first, again, identified)
				if first != c.first || again != c.again || identified != c.identified {
					t.Errorf("they should be %v, %v and %v", c.first, c.again, c.identified)
				}
			})
		})
	}
}

// trips measures in round trips; what is computed takes no time here.
func trips(t *testing.T, f func() error) float64 {
	t.Helper()
	began := time.Now()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return float64(time.Since(began)) / float64(trip)
}

// askIdentified is a request as it is usual.
func askIdentified(ctx context.Context, from, to corehost.Host) error {
	s, err := from.NewStream(ctx, to.ID(), proto)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Write([]byte("\x01x")); err != nil {
		return err
	}
	_, err = bufio.NewReader(s).ReadByte()
	return err
}

// A peer that does not speak the protocol says so, and costs no more than one that does.
func TestFirstRequestRefused(t *testing.T) {
	for over, want := range map[string]float64{overQUIC: 2, overTCP: 4} {
		t.Run(over, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork(t, link.NewVirtual)
				stranger, client := start(t, net, 0, over), start(t, net, 1, over)
				if err := stranger.Serve(map[protocol.ID]host.FrameHandler{strange: echo}); err != nil {
					t.Fatal(err)
				}
				client.Remember(stranger.ID(), stranger.Addrs(), time.Hour)
				got := trips(t, func() error {
					if _, err := client.ask(t.Context(), stranger, []byte("hello")); !errors.Is(err, host.ErrUnsupported) {
						t.Errorf("the request ended with %v", err)
					}
					return nil
				})
				if got != want {
					t.Errorf("the refusal took %v round trips instead of %v", got, want)
				}
			})
		})
	}
}

// Who hangs is connected and answers nothing until it does no longer.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(t, link.NewVirtual)
		server, client := start(t, net, 0, overTCP), start(t, net, 1, overTCP)
		server.serve(t)
		client.Remember(server.ID(), server.Addrs(), time.Hour)
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := client.ask(ctx, server, []byte("hello"))
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		net.Hang(net.Place(0), true)
		for range 2 { // on the stream there is, and on another
			if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a request to a hung host ended with %v", err)
			}
		}
		if !client.Connected(server.ID()) {
			t.Error("a hung host has lost its connections")
		}
		net.Hang(net.Place(0), false)
		if err := ask(); err != nil {
			t.Errorf("a request to a host that hangs no longer ended with %v", err)
		}
	})
}

// Over real sockets large requests come back whole, not sooner than the wires are long,
// and a silenced host neither hangs up nor answers until it is back.
func TestSockets(t *testing.T) {
	for _, over := range []string{overTCP, overQUIC} {
		t.Run(over, func(t *testing.T) {
			net := newNetwork(t, link.New)
			server, client := start(t, net, 0, over), start(t, net, 1, over)
			server.serve(t)
			client.Remember(server.ID(), server.Addrs(), time.Hour)
			request := make([]byte, 300_000)
			rand.NewChaCha8([32]byte{1}).Read(request)
			for i, least := range []time.Duration{2 * trip, trip} {
				began := time.Now()
				answer, err := client.ask(t.Context(), server, request)
				if took := time.Since(began); took < least {
					t.Errorf("request %d took %v", i, took)
				}
				if err != nil || sha256.Sum256(answer) != sha256.Sum256(request) {
					t.Fatalf("%d bytes came back of %d, %v", len(answer), len(request), err)
				}
			}
			net.Silence(net.Place(0), true)
			ctx, cancel := context.WithTimeout(t.Context(), 5*trip)
			defer cancel()
			if _, err := client.ask(ctx, server, request); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a request to a silent host ended with %v", err)
			}
			if !client.Connected(server.ID()) {
				t.Error("a silent host has hung up")
			}
			net.Silence(net.Place(0), false)
			if _, err := client.ask(t.Context(), server, request); err != nil {
				t.Errorf("a request to a host that is back ended with %v", err)
			}
		})
	}
}
