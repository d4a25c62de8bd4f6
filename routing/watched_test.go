package routing

import (
	"fmt"
	"hash/maphash"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
)

// Each time falls between the bounds of its step, and those longer than all into the last.
func TestLatencySteps(t *testing.T) {
	for i, b := range LatencyBounds {
		if i > 0 && (b <= LatencyBounds[i-1] || b > LatencyBounds[i-1]*3/2) {
			t.Errorf("bound %d is %v after %v", i, b, LatencyBounds[i-1])
		}
		c := new(times)
		c.note(protocol.Ping, b)
		c.note(protocol.Ping, b+1)
		got := c.snapshot()[protocol.Ping]
		if got.Steps[i] != 1 || got.Steps[i+1] != 1 || got.Sum != 2*b+1 {
			t.Errorf("%v and a little more: %v", b, got)
		}
	}
	c := new(times)
	c.note(protocol.NumTypes, time.Second)
	c.note(-1, time.Second)
	if c.snapshot() != new(times).snapshot() {
		t.Error("a type without meaning is counted")
	}
}

// Both ends of a request count its time: ours is what the peer took, and its own.
func TestLatenciesOfBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, fakes := newWorld(t).overlay(2, withNumbers(t))
		fakes[1].lag = 50 * time.Millisecond
		before, served := dhts[0].Latencies().Out[protocol.Ping], dhts[1].Latencies().In[protocol.Ping]
		if err := dhts[0].Ping(t.Context(), dhts[1].ID()); err != nil {
			t.Fatal(err)
		}
		out, in := dhts[0].Latencies().Out[protocol.Ping], dhts[1].Latencies().In[protocol.Ping]
		if took := out.Sum - before.Sum; took < fakes[1].lag || took > time.Second {
			t.Errorf("the caller's time is %v", took)
		}
		n := uint64(0)
		for i := range in.Steps {
			n += in.Steps[i] - served.Steps[i]
		}
		if n != 1 {
			t.Errorf("the callee counts %d", n)
		}
		fakes[1].crash()
		if err := dhts[0].Ping(t.Context(), dhts[1].ID()); err == nil || dhts[0].Latencies().Out[protocol.Ping] != out {
			t.Errorf("a request that failed (%v) is counted", err)
		}
	})
}

// What is served is counted by key, only if there was a record.
func TestTimesServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(3, withNumbers(t))
		seed(t, dhts[1], "/v/a", "1")
		for range 2 {
			if _, err := dhts[0].GetValue(t.Context(), "/v/a"); err != nil {
				t.Fatal(err)
			}
		}
		if n, other := dhts[1].TimesServed([]byte("/v/a")), dhts[2].TimesServed([]byte("/v/none")); n != 2 || other != 0 {
			t.Errorf("served %d times, and one that nobody has %d times", n, other)
		}
	})
}

// However many keys are asked for, the latest are remembered, and no more than the bound.
func TestServedIsBounded(t *testing.T) {
	s := &served{seed: maphash.MakeSeed()}
	for i := range 5 * maxServed {
		s.add(fmt.Append(nil, i))
		s.add([]byte("often"))
	}
	if len(s.now)+len(s.before) > 2*maxServed {
		t.Errorf("%d and %d keys are held", len(s.now), len(s.before))
	}
	d := &DHT{watched: watched{served: s}}
	if n := d.TimesServed([]byte("often")); n != 5*maxServed {
		t.Errorf("the one asked for often counts %d", n)
	}
}
