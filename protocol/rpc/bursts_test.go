package rpc

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

// atOnce has peers send FIND_NODE at the same moment, n each and by turns, and
// returns how many of each peer's were served without a pause.
func atOnce(t *testing.T, l *Limiter, now time.Time, peers, n int) []int {
	t.Helper()
	served := make([]int, peers)
	for range n {
		for p := range served {
			pause, err := l.Admit(now, remote(fmt.Sprint(p)), protocol.FindNode, 0)
			if err != nil {
				t.Fatal(err)
			}
			if pause == 0 {
				served[p]++
			}
		}
	}
	return served
}

// TestBurstsAreShared is reliability.md P2: two peers have their whole bursts at
// once, 32 have two bursts together and an opening each, and while they go on, one
// that comes then is not paused.
func TestBurstsAreShared(t *testing.T) {
	cfg := LimiterConfig{PerPeer: Rate{PerSecond: 500, Burst: 1000}, Bursts: 1000}
	for _, n := range atOnce(t, NewLimiter(cfg), t0, 2, 1000) {
		if n != 1000 {
			t.Errorf("one of two peers is served %d at once, want its burst", n)
		}
	}
	l := NewLimiter(cfg)
	total := 0
	for p, n := range atOnce(t, l, t0, 32, 1000) {
		if n < 62 || n > 62+64 {
			t.Errorf("peer %d of 32 is served %d at once, want its opening and its part of two bursts", p, n)
		}
		total += n
	}
	if most := 32*62.5 + 2*1000; float64(total) > most || float64(total) < most-64 {
		t.Errorf("32 peers are served %d at once, want %v", total, most)
	}
	if n := atOnce(t, l, t0, 33, 1)[32]; n != 1 {
		t.Error("a peer that comes then is paused")
	}
	held := l.Limited(t0, 32)
	if len(held) != 32 {
		t.Errorf("%d are held back", len(held))
	}
	for _, f := range held {
		pause, err := l.Admit(t0, protocol.Remote{Peer: f.Peer}, protocol.FindNode, 0)
		if more := pause - f.Wait; f.Reason != "bursts" || err != nil || more < time.Second/500-2 || more > time.Second/500+2 {
			t.Errorf("paused for %v, %v, and told of as %+v", pause, err, f)
		}
	}
	if s := l.Stats(); s.LimitedByPeer != 0 {
		t.Errorf("refused for the sake of a burst: %+v", s)
	}
	if !l.Release("0") {
		t.Error("nothing to release")
	}
	if pause, _ := l.Admit(t0, remote("0"), protocol.FindNode, 0); pause != 0 {
		t.Errorf("released, and paused for %v", pause)
	}
}

// TestBurstsComeBack: whoever heeds the pauses has its rate all the while, together
// the peers have their rates and what bursts gain, and what was not used in a
// quiet time is there again after it.
func TestBurstsComeBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const peers, seconds = 20, 10
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 100, Burst: 1000}, Bursts: 200})
	var next [peers]time.Duration
	served := 0
	for at := time.Duration(0); at < seconds*time.Second; at += time.Millisecond {
		for _, p := range rng.Perm(peers) {
			for next[p] <= at {
				pause, err := l.Admit(t0.Add(at), remote(fmt.Sprint(p)), protocol.FindNode, 0)
				if err != nil {
					t.Fatalf("peer %d heeds the pauses and is refused at %v", p, at)
				}
				served++
				if next[p] = at + pause; pause == 0 {
					break
				}
			}
		}
	}
	// Openings, two bursts, rates and what bursts gain; no peer's bucket is empty yet.
	want := peers*62.5 + 2*1000 + seconds*(peers*100+200)
	if off := float64(served) - want; off > 2*peers || off < -want/50 {
		t.Errorf("%d served in %d s, want %v", served, seconds, want)
	}
	for p, n := range atOnce(t, l, t0.Add((seconds+20)*time.Second), 2, 1000) {
		if n != 1000 {
			t.Errorf("peer %d, 20 s later: %d at once", p, n)
		}
	}
}

// TestBurstsAtRunTime: sharing begins with full buckets when it is switched on.
func TestBurstsAtRunTime(t *testing.T) {
	limits := Limits{PerPeer: Rate{PerSecond: 10, Burst: 160}}
	l := NewLimiter(LimiterConfig{PerPeer: limits.PerPeer})
	for _, n := range atOnce(t, l, t0, 8, 160) {
		if n != 160 {
			t.Fatalf("each its own burst: %d at once", n)
		}
	}
	limits.Bursts = 20
	l.Set(limits)
	later := t0.Add(time.Minute)
	total := 0
	for _, n := range atOnce(t, l, later, 8, 160) {
		total += n
	}
	if want := 8*10 + 2*160; total != want {
		t.Errorf("shared: %d at once, want %d", total, want)
	}
	limits.Bursts = -1
	l.Set(limits)
	if got := l.Limited(later, 100); len(got) != 0 {
		t.Errorf("no longer shared: %+v", got)
	}
	if n := atOnce(t, l, later.Add(time.Minute), 8, 160)[7]; n != 160 {
		t.Errorf("each its own burst again: %d at once", n)
	}
}
