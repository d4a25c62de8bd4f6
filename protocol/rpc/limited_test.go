package rpc

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
)

// at is a peer with an address.
func at(name, ip string) protocol.Remote {
	return protocol.Remote{Peer: peer.ID(name), IP: netip.MustParseAddr(ip)}
}

// flood sends n FIND_NODEs at one moment.
func flood(l *Limiter, now time.Time, from protocol.Remote, n int) (paused, refused uint64) {
	for range n {
		pause, err := l.Admit(now, from, protocol.FindNode, 0)
		switch {
		case err != nil:
			refused++
		case pause > 0:
			paused++
		}
	}
	return paused, refused
}

// TestLimitedTellsAndReleases is the story of a flooder as an operator sees it.
func TestLimitedTellsAndReleases(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 10, Burst: 100}})
	if got := l.Limited(t0, 10); len(got) != 0 {
		t.Fatalf("before anybody came: %+v", got)
	}
	flood(l, t0, remote("polite"), 50)
	paused, refused := flood(l, t0, remote("flooder"), 1000)
	paused2, refused2 := flood(l, t0.Add(time.Second), remote("flooder"), 100)
	flood(l, t0, remote("hasty"), 110)
	now := t0.Add(2 * time.Second)
	got := l.Limited(now, 10)
	if len(got) != 2 {
		t.Fatalf("%d are limited: %+v", len(got), got)
	}
	want := Limited{
		Peer: "flooder", Reason: "peer", Level: -40, Wait: 4 * time.Second,
		Paused: paused + paused2, Refused: refused + refused2, Since: t0, Last: t0.Add(time.Second),
	}
	if got[0] != want {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if got[1].Peer != "hasty" || got[1].Paused != 10 || got[1].Refused != 0 || got[1].Wait != 0 || got[1].Level != 10 {
		t.Errorf("%+v", got[1])
	}
	if top := l.Limited(now, 1); len(top) != 1 || top[0].Peer != "flooder" {
		t.Errorf("the worst one: %+v", top)
	}
	if len(l.Limited(now, 0)) != 0 || len(l.Limited(now, -1)) != 0 {
		t.Error("none were asked for")
	}
	if !l.Release("flooder") || l.Release("flooder") || l.Release("nobody") {
		t.Error("Release says otherwise than it does")
	}
	if p, r := flood(l, now, remote("flooder"), 100); p+r != 0 {
		t.Errorf("released, it is paused %d times and refused %d times", p, r)
	}
	if got := l.Limited(now.Add(lately+time.Second), 10); len(got) != 0 {
		t.Errorf("long after: %+v", got)
	}
	// A new spell counts from its own beginning.
	now = now.Add(time.Hour)
	flood(l, now, remote("hasty"), 105)
	if got := l.Limited(now, 10); len(got) != 1 || got[0].Paused != 5 || !got[0].Since.Equal(now) {
		t.Errorf("an hour later: %+v", got)
	}
}

func TestLimitedSubnetsAndTotal(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 10, Burst: 10}, Subnets: true, Total: Rate{PerSecond: 200, Burst: 400}})
	for i := range 20 {
		flood(l, t0, at(fmt.Sprint("near ", i), fmt.Sprintf("203.0.113.%d", i)), 100)
	}
	for i := range 40 {
		flood(l, t0, at(fmt.Sprint("v6 ", i), fmt.Sprintf("2001:db8:0:%x00::1", i)), 100)
	}
	reasons := map[string]int{}
	subnets := map[netip.Prefix]bool{}
	for _, f := range l.Limited(t0, 1000) {
		switch {
		case f.Peer != "":
			reasons[f.Reason]++
		case f.Subnet.IsValid():
			subnets[f.Subnet] = f.Reason == "subnet" && f.Refused > 0
		case f.Reason == "total" && f.Refused > 0 && f.Level < 0:
			reasons["everybody"]++
		default:
			t.Errorf("%+v", f)
		}
	}
	near := netip.MustParsePrefix("203.0.113.0/24")
	if !subnets[near] {
		t.Errorf("subnets: %v", subnets)
	}
	if reasons["subnet"] < 10 || reasons["total"] < 10 || reasons["peer"] == 0 || reasons["everybody"] != 1 {
		t.Errorf("peers by reason: %v", reasons)
	}
	// With the total lifted, the subnet alone holds a newcomer back, until it is released.
	l.Set(Limits{PerPeer: Rate{PerSecond: 10, Burst: 10}, Near: NearFactor})
	newcomer := at("newcomer", "203.0.113.99")
	if _, refused := flood(l, t0, newcomer, 1); refused != 1 {
		t.Error("a newcomer from the subnet is served")
	}
	if l.ReleaseSubnet(netip.MustParsePrefix("198.51.100.0/24")) || !l.ReleaseSubnet(near) || l.ReleaseSubnet(near) {
		t.Error("ReleaseSubnet says otherwise than it does")
	}
	if p, r := flood(l, t0, newcomer, 5); p+r != 0 {
		t.Errorf("with the subnet released: paused %d, refused %d", p, r)
	}
	l.Set(Limits{PerPeer: Rate{PerSecond: 10, Burst: 10}, Far: 2})
	paused, refused := flood(l, t0, at("far 1", "192.0.2.1"), 100)
	if got := l.Limited(t0, 1000); paused+refused == 0 || !contains(got, func(f Limited) bool { return f.Peer == "far 1" }) {
		t.Errorf("%+v", got)
	}
	flood(l, t0, at("far 2", "192.0.9.1"), 100)
	if !contains(l.Limited(t0, 1000), func(f Limited) bool { return f.Subnet == netip.MustParsePrefix("192.0.0.0/16") }) {
		t.Error("a factor of two does not hold for a /16")
	}
	if !l.ReleaseSubnet(netip.MustParsePrefix("192.0.0.0/16")) {
		t.Error("a /16 is not released")
	}
}

func contains(all []Limited, is func(Limited) bool) bool {
	for _, f := range all {
		if is(f) {
			return true
		}
	}
	return false
}

// TestLimitedByAnswers tells of a peer that is in debt only because of the
// answers it got, and of nobody's past under a new name.
func TestLimitedByAnswers(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 10, Burst: 10}, MaxPeers: 1})
	_, _ = l.Admit(t0, remote("p"), protocol.GetValue, 0)
	l.Charge(t0, remote("p"), 64<<10)
	l.Bill(t0, remote("p"), 11)
	got := l.Limited(t0, 10)
	if len(got) != 1 || got[0].Level != 10-1-8-11 || got[0].Wait != time.Second || got[0].Paused != 0 || !got[0].Since.IsZero() || got[0].Reason != "peer" {
		t.Errorf("%+v", got)
	}
	if s := l.Stats(); s.Billed != 11 {
		t.Errorf("%+v", s)
	}
	flood(l, t0, remote("p"), 100)
	_, _ = l.Admit(t0.Add(time.Minute), remote("heir"), protocol.GetValue, 0)
	if got := l.Limited(t0.Add(time.Minute), 10); len(got) != 0 {
		t.Errorf("the next name in its place: %+v", got)
	}
}

// TestEgress is reliability.md P7: whatever a peer asks for, at whatever rate it
// may ask, its answers are 1 MB/s in the long run.
func TestEgress(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{PerSecond: rapid.Float64Range(10, 1e5).Draw(rt, "rate"), Burst: rapid.Float64Range(1, 2000).Draw(rt, "burst")}
		egress := rapid.SampledFrom([]float64{0, 2e5}).Draw(rt, "egress")
		l := NewLimiter(LimiterConfig{PerPeer: r, Egress: egress})
		size := rapid.IntRange(1, protocol.MaxFrame).Draw(rt, "answer")
		sent := 0.0
		const seconds = 120
		for now := t0; now.Before(t0.Add(seconds * time.Second)); now = now.Add(time.Second) {
			for range 20 {
				if _, err := l.Admit(now, remote("p"), protocol.Ping, 0); err != nil {
					break
				}
				l.Charge(now, remote("p"), size)
				sent += float64(size)
			}
		}
		perSecond := l.Limits().Egress
		if want := map[bool]float64{true: DefaultEgress, false: egress}[egress == 0]; perSecond != want {
			rt.Fatalf("egress %v, want %v", perSecond, want)
		}
		// The burst, the deepest debt of 5 s and the last answer come on top.
		if most := perSecond*(seconds+5+egressBurst) + float64(size); sent > most*1.001 {
			rt.Fatalf("%.0f bytes sent, at most %.0f", sent, most)
		}
	})
	for _, cfg := range []LimiterConfig{{PerPeer: Rate{PerSecond: 1e9}, Egress: -1}, {PerPeer: Unlimited}} {
		l := NewLimiter(cfg)
		if got := l.Charge(t0, remote("p"), 1<<30); got != 0 {
			t.Errorf("%+v: without bound, a large answer costs %v", cfg, got)
		}
	}
}

// TestLimitedByEgress: a peer that gets too many bytes is paused, listed once with
// the reason, refused at last, and released.
func TestLimitedByEgress(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 1000, Burst: 1e6}, Egress: 1000})
	ask := func() error { _, err := l.Admit(t0, remote("p"), protocol.GetValue, 0); return err }
	if pause := l.Charge(t0, remote("p"), 6000); ask() != nil || pause != 2*time.Second {
		t.Errorf("6000 bytes at 4000 at once and 1000 a second: a pause of %v", pause)
	}
	if got := l.Limited(t0, 10); len(got) != 1 || got[0].Peer != "p" || got[0].Reason != "egress" || got[0].Level != -2000 || got[0].Wait != 2*time.Second || got[0].Paused != 1 {
		t.Errorf("%+v", got)
	}
	l.Charge(t0, remote("p"), 4000)
	if err := ask(); err != ErrLimited {
		t.Errorf("six seconds in debt: %v", err)
	}
	if s := l.Stats(); s.LimitedByEgress != 1 || s.LimitedByPeer != 0 {
		t.Errorf("%+v", s)
	}
	if !l.Release("p") || ask() != nil || len(l.Limited(t0, 10)) != 0 {
		t.Errorf("released: %+v", l.Limited(t0, 10))
	}
}

func TestLimitsValid(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		valid  bool
	}{
		{Limits{}, true},
		{Limits{PerPeer: Unlimited, Total: Unlimited, Egress: -1}, true},
		{Limits{PerPeer: Rate{PerSecond: math.NaN()}}, false},
		{Limits{Total: Rate{PerSecond: math.Inf(1)}}, false},
		{Limits{PerPeer: Rate{PerSecond: 1, Burst: -1}}, false},
		{Limits{Near: -8}, false},
		{Limits{Far: math.NaN()}, false},
		{Limits{Egress: math.Inf(-1)}, false},
		{Limits{Bursts: math.NaN()}, false},
	} {
		if c.limits.Valid() != c.valid {
			t.Errorf("%+v: want %v", c.limits, c.valid)
		}
	}
}
