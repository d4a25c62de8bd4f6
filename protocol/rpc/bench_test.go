package rpc

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

// benchRequests are requests by the name of their type.
func benchRequests() map[string][]byte {
	return map[string][]byte{
		"ping": {0x08, 0x05, 0x50, 0x01},
		"find": body(find("0123456789012345678901234567890123456789")),
		"put":  body(put("/v/some-key", "some value of no great length")),
	}
}

func TestServeAllocations(t *testing.T) {
	s := testServer(NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 1e9}, Subnets: true}))
	s.Behind(NewLoad(LoadConfig{}))
	for name, frame := range benchRequests() {
		out := make([]byte, 0, 4096)
		now := t0
		n := testing.AllocsPerRun(500, func() {
			now = now.Add(time.Millisecond)
			if _, _, err := s.Serve(now, from, frame, out); err != nil {
				t.Fatal(err)
			}
		})
		if n > 1 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
	}
}

func TestLimiterAllocations(t *testing.T) {
	peers := make([]protocol.Remote, 64)
	for i := range peers {
		peers[i] = protocol.Remote{Peer: peer.ID(fmt.Sprint("peer ", i)), IP: from.IP}
	}
	for _, room := range []int{8, 64} { // with and without forgetting
		l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 100, Burst: 1}, Total: Rate{PerSecond: 1e6}, Subnets: true, MaxPeers: room})
		now, i := t0, 0
		step := func() {
			now = now.Add(time.Millisecond)
			i++
			_, _ = l.Admit(now, peers[i%64], protocol.PutValue, 100)
			l.Charge(now, peers[i%64], 1000)
		}
		for range 1000 {
			step()
		}
		if n := testing.AllocsPerRun(2000, step); n != 0 {
			t.Errorf("room for %d: %v allocations", room, n)
		}
		if s := l.Stats(); s.Paused == 0 || s.LimitedByPeer+s.LimitedBySubnet == 0 {
			t.Errorf("room for %d: not every path was taken: %+v", room, s)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	for name, frame := range benchRequests() {
		b.Run(name, func(b *testing.B) {
			s := testServer(NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 1e12}, Egress: 1e15}))
			s.Behind(NewLoad(LoadConfig{}))
			out := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Serve(t0, from, frame, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLimiter(b *testing.B) {
	for _, bc := range []struct {
		name  string
		peers int
		cfg   LimiterConfig
	}{
		{"one peer", 1, LimiterConfig{}},
		{"4096 peers, subnets, total", 4096, LimiterConfig{Subnets: true, Total: Rate{PerSecond: 1e4}}},
		{"churn", 8192, LimiterConfig{}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			peers := make([]protocol.Remote, bc.peers)
			for i := range peers {
				peers[i] = protocol.Remote{Peer: peer.ID(fmt.Sprintf("%038d", i)), IP: from.IP}
			}
			l := NewLimiter(bc.cfg)
			now, i := t0, 0
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(10 * time.Microsecond)
				_, _ = l.Admit(now, peers[i], protocol.FindNode, 45)
				if i++; i == len(peers) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkLimiterParallel(b *testing.B) {
	l := NewLimiter(LimiterConfig{Subnets: true})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = l.Admit(t0, from, protocol.FindNode, 45)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	answer := framed(&protocol.Message{Type: protocol.FindNode, CloserPeers: peersOfSize(nil, 20, 3, 20)})
	peers := &fakePeers{request: func(s *fakeStream, _ []byte) { s.send(answer...) }}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{})
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	req := find("0123456789012345678901234567890123456789")
	var resp protocol.Message
	b.ReportAllocs()
	for b.Loop() {
		if err := c.RoundTrip(ctx, "p", req, &resp); err != nil {
			b.Fatal(err)
		}
	}
}
