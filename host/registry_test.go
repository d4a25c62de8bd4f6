package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func newTestRegistry(t *testing.T, change func(*Config)) *registry {
	cfg := Config{Protocol: "/t/1"}
	if change != nil {
		change(&cfg)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(cfg)
	r.start()
	return r
}

// join adds a stream of a peer, waiting since an instant.
func join(t *testing.T, r *registry, p peer.ID, since int64) (*inbound, error) {
	_, served := memPair(t, p, "server")
	in := newInbound(served, time.Unix(0, since))
	return in, r.add(in)
}

func mustJoin(t *testing.T, r *registry, p peer.ID, since int64) *inbound {
	t.Helper()
	in, err := join(t, r, p, since)
	if err != nil {
		t.Fatalf("stream of %s refused: %v", p, err)
	}
	return in
}

// 64 peers with 100 idle streams each lock nobody out (reliability.md P3).
func TestIdleStreamsLockNobodyOut(t *testing.T) {
	r := newTestRegistry(t, nil)
	var honest []*inbound
	clock := int64(1)
	for i := range 20 {
		honest = append(honest, mustJoin(t, r, peer.ID(fmt.Sprint("honest", i)), clock))
		clock++
	}
	for range 100 {
		for i := range 64 {
			_, _ = join(t, r, peer.ID(fmt.Sprint("greedy", i)), clock)
			clock++
		}
	}
	for i, in := range honest {
		if err := in.kicked(); err != nil {
			t.Errorf("the only stream of honest peer %d: %v", i, err)
		}
	}
	for i := range 200 {
		in := mustJoin(t, r, peer.ID(fmt.Sprint("newcomer", i)), clock)
		clock++
		if i%2 == 0 {
			in.state.Store(stopped)
			r.leave(in)
		}
	}
	if r.count > r.total {
		t.Errorf("%d streams of at most %d", r.count, r.total)
	}
}

func TestOnePeersOwnStreamsGiveWay(t *testing.T) {
	r := newTestRegistry(t, nil)
	var own []*inbound
	for i := range 64 {
		own = append(own, mustJoin(t, r, "p", int64(100+i)))
	}
	other := mustJoin(t, r, "other", 1)
	mustJoin(t, r, "p", 1000)
	if own[0].kicked() != errGaveWay || own[1].kicked() != nil || other.kicked() != nil {
		t.Error("the 65th stream of a peer must cost it the one that waits longest")
	}
	for _, in := range own[1:] {
		in.state.Store(busy)
	}
	mustJoin(t, r, "p", 1001) // in place of the one added last
	for in := range r.peers["p"].streams {
		in.state.Store(busy)
	}
	if _, err := join(t, r, "p", 1002); !errors.Is(err, errFull) {
		t.Errorf("a peer with 64 busy streams opens another: %v", err)
	}
	if r.count != 65 {
		t.Errorf("%d streams, want 65", r.count)
	}
}

func TestFullOfSinglesTheLongestWaitingGoes(t *testing.T) {
	r := newTestRegistry(t, func(c *Config) { c.MaxInbound = 10 })
	var all []*inbound
	for i := range 10 {
		all = append(all, mustJoin(t, r, peer.ID(fmt.Sprint(i)), int64(100-i)))
	}
	mustJoin(t, r, "newcomer", 200)
	for i, in := range all {
		if got := in.kicked(); (got != nil) != (i == 9) {
			t.Errorf("stream %d: %v", i, got)
		}
	}
	for _, p := range r.peers {
		for in := range p.streams {
			in.state.Store(busy)
		}
	}
	if _, err := join(t, r, "another", 300); !errors.Is(err, errFull) {
		t.Errorf("ten busy streams and one more: %v", err)
	}
}

func TestBufferedBytes(t *testing.T) {
	r := newTestRegistry(t, func(c *Config) { c.MaxBuffered = 6 << 20 })
	a1, a2 := mustJoin(t, r, "a", 1), mustJoin(t, r, "a", 2)
	b1, c1 := mustJoin(t, r, "b", 3), mustJoin(t, r, "c", 4)
	for i, c := range []struct {
		in *inbound
		n  int
		ok bool
	}{
		{a1, 4 << 20, true},    // a single large frame
		{a2, 16 << 10, false},  // no second one beside it
		{b1, 1 << 20, true},    // other peers have their own
		{c1, 1<<20 + 1, false}, // but all together have a bound
		{c1, 1 << 20, true},
		{a1, 0, true}, // done
		{a2, 512 << 10, true},
		{a1, 512 << 10, true}, // 1 MiB of one peer
		{a1, 512<<10 + 1, false},
		{a1, 512 << 10, true},
	} {
		if err := r.buffer(c.in, c.n); (err == nil) != c.ok {
			t.Errorf("step %d: %v", i, err)
		}
	}
	r.leave(a1)
	r.leave(a2)
	r.leave(b1)
	r.leave(c1)
	if r.buffered != 0 || len(r.peers) != 0 || r.count != 0 {
		t.Errorf("left over: %d bytes, %d peers, %d streams", r.buffered, len(r.peers), r.count)
	}
	if err := r.buffer(a1, 1); !errors.Is(err, errGaveWay) {
		t.Errorf("a stream that is gone gets %v", err)
	}
}

// Random arrivals, departures and changes keep the books right.
func TestRegistryKeepsItsBooks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		r := newTestRegistry(t, func(c *Config) { c.MaxInbound, c.MaxInboundPerPeer, c.MaxBuffered = 50, 8, 4<<20 })
		var live []*inbound
		for step := range 5000 {
			switch k := rng.IntN(10); {
			case k < 4 || len(live) == 0:
				in, err := join(t, r, peer.ID(fmt.Sprint(rng.IntN(20))), int64(step+1))
				if err == nil {
					live = append(live, in)
				}
			case k < 6:
				i := rng.IntN(len(live))
				r.leave(live[i])
				live = append(live[:i], live[i+1:]...)
			case k < 8:
				_ = r.buffer(live[rng.IntN(len(live))], rng.IntN(3<<20))
			case k == 8:
				_ = live[rng.IntN(len(live))].begin()
			default:
				_ = live[rng.IntN(len(live))].rest(time.Unix(0, int64(step)))
			}
			checkBooks(t, r)
		}
		for _, in := range live {
			r.leave(in)
		}
		r.running.Wait()
	})
}

func checkBooks(t *testing.T, r *registry) {
	t.Helper()
	count, buffered := 0, 0
	for id, p := range r.peers {
		mine, holders := 0, 0
		for in := range p.streams {
			mine += in.buffered
			if in.buffered > 0 {
				holders++
			}
			if in.kicked() != nil {
				t.Fatal("a stream that gave way is still counted")
			}
		}
		if _, ok := r.bySize[len(p.streams)][p]; !ok {
			t.Fatalf("peer %s with %d streams is filed elsewhere", id, len(p.streams))
		}
		if mine != p.buffered || len(p.streams) == 0 || len(p.streams) > r.perPeer {
			t.Fatalf("peer %s: %d streams, %d bytes counted, %d granted", id, len(p.streams), p.buffered, mine)
		}
		if mine > peerBuffered && holders > 1 {
			t.Fatalf("peer %s: %d bytes in %d frames", id, mine, holders)
		}
		count += len(p.streams)
		buffered += mine
	}
	filed := 0
	for _, peers := range r.bySize {
		filed += len(peers)
	}
	if filed != len(r.peers) {
		t.Fatalf("%d peers, %d of them filed by size", len(r.peers), filed)
	}
	if count != r.count || buffered != r.buffered || count > r.total || buffered > r.maxBuffered || r.pressed.Load() != (count > 40 || buffered > r.maxBuffered/5*4) {
		t.Fatalf("%d streams counted %d, %d bytes counted %d", count, r.count, buffered, r.buffered)
	}
}

// Who waits for handlers does not wait for ever, and learns whose request it is.
func TestWaitForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRegistry(t, nil)
		stuck, quick := mustJoin(t, r, "stuck", 1), mustJoin(t, r, "quick", 1)
		r.stop("")
		time.AfterFunc(time.Second, func() { r.leave(quick) })
		began := time.Now()
		if err := r.wait(); err == nil || !strings.Contains(err.Error(), "1 request handlers") || !strings.Contains(err.Error(), peer.ID("stuck").String()) {
			t.Errorf("one is stuck: %v", err)
		}
		if took := time.Since(began); took != handlerPatience {
			t.Errorf("waited %v, want %v", took, handlerPatience)
		}
		time.AfterFunc(time.Second, func() { r.leave(stuck) })
		if err := r.wait(); err != nil || time.Since(began) != handlerPatience+time.Second {
			t.Errorf("it has returned: %v after %v", err, time.Since(began))
		}
	})
}
