package build

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// In a crowd, sockets whose handshakes are made are accepted at the pace, and who
// says nothing holds nobody up.
func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPace(now)
	begin, made := now, 0
	for now.Sub(begin) < 10*time.Second { // a flood as fast as it is accepted
		now = now.Add(p.hesitation(now) + 100*time.Microsecond)
		p.made(now)
		made++
	}
	if want := crowdBurst + 10*crowdPace; made < want || made > want+want/20 {
		t.Errorf("%d handshakes in 10 s, want %d", made, want)
	}
	if h := p.hesitation(now); h <= 0 || h > maxHesitation {
		t.Errorf("in the flood the next waits %v", h)
	}
	now = now.Add(time.Second)
	for range 10_000 { // silent ones
		if h := p.hesitation(now); h != 0 {
			t.Fatalf("after it, one waits %v", h)
		}
	}
	for range 1000 {
		p.made(now)
	}
	if now = now.Add(120 * time.Millisecond); p.hesitation(now) != 0 {
		t.Error("what came at once while there was room is owed for long")
	}
	now = now.Add(-time.Hour) // a clock set back
	if h := p.hesitation(now); h != 0 {
		t.Errorf("clock set back: %v", h)
	}
	p.made(now)
}

// Only where all places are taken does anybody wait.
func TestPaceOnlyInACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 8, values{})
		g := slotGate{dialGate{ConnectionGater: open{}}, s, newVain()}
		c := &sock{addr: multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}
		accepted := func() time.Duration {
			start := time.Now()
			if !g.InterceptAccept(c) {
				t.Error("turned away")
			}
			return time.Since(start)
		}
		for range 100 {
			g.InterceptSecured(network.DirInbound, "b", c)
		}
		if took := accepted(); took != 0 {
			t.Errorf("with room left: %v", took)
		}
		s.Connected(nil, &somebody{id: "a", direction: network.DirInbound})
		if took := accepted(); took != maxHesitation {
			t.Errorf("in a crowd: %v", took)
		}
	})
}
