package rpc

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
)

// remote is a peer without an address.
func remote(name string) protocol.Remote { return protocol.Remote{Peer: peer.ID(name)} }

// unitCosts makes the number of the type its cost, PUT_VALUE (0) 6.
var unitCosts = [protocol.NumTypes]float64{6, 1, 2, 3, 4, 5}

func unitsOf(t protocol.Type) float64 { return unitCosts[t] }

// TestLimiterAgainstOracle compares with golang.org/x/time/rate: same pauses, and
// refused is exactly what would have had to wait longer than the debt bound.
func TestLimiterAgainstOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{PerSecond: float64(rapid.IntRange(1, 200).Draw(rt, "rate")), Burst: float64(rapid.IntRange(6, 300).Draw(rt, "burst"))}
		maxDebt := time.Duration(rapid.IntRange(1, 10_000).Draw(rt, "debt ms")) * time.Millisecond
		inTotal := rapid.Bool().Draw(rt, "the total bucket")
		cfg := LimiterConfig{PerPeer: r, MaxDebt: maxDebt, Costs: unitCosts}
		if inTotal {
			cfg.PerPeer, cfg.Total = Unlimited, r
			maxDebt /= 2 // of peers without entitlement
		}
		l := NewLimiter(cfg)
		oracle := rate.NewLimiter(rate.Limit(r.PerSecond), int(r.Burst))
		now, refused := t0, 0
		for i := range rapid.IntRange(1, 200).Draw(rt, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(rt, "gap ms")) * time.Millisecond)
			typ := protocol.Type(rapid.IntRange(0, 5).Draw(rt, "type"))
			full := oracle.TokensAt(now) >= r.Burst
			want := oracle.ReserveN(now, int(unitsOf(typ)))
			wait := want.DelayFrom(now)
			pause, err := l.Admit(now, remote("p"), typ, 0)
			switch {
			case math.Abs(float64(wait-maxDebt)) < float64(time.Microsecond) && !full:
				return // too near to the bound for floating point
			case wait > maxDebt && !full:
				want.CancelAt(now)
				refused++
				if err != ErrLimited {
					rt.Fatalf("request %d: admitted with %v, the oracle waits %v", i, pause, wait)
				}
			case err != nil || (pause-wait).Abs() > time.Microsecond && wait <= cfg.MaxDebt:
				rt.Fatalf("request %d: pause %v (%v), the oracle waits %v", i, pause, err, wait)
			}
			if rapid.IntRange(0, 20).Draw(rt, "new rate") == 0 {
				r.PerSecond = float64(rapid.IntRange(1, 200).Draw(rt, "rate"))
				l.Charge(now, remote("p"), 0) // brings it up to now at the old rate, as the oracle does
				oracle.SetLimitAt(now, rate.Limit(r.PerSecond))
				if inTotal {
					l.Set(Limits{PerPeer: Unlimited, Total: r})
				} else {
					l.Set(Limits{PerPeer: r})
				}
			}
		}
		if s := l.Stats(); s.LimitedByPeer+s.LimitedInTotal != uint64(refused) || inTotal && s.LimitedByPeer > 0 {
			rt.Fatalf("counted %+v, refused %d", s, refused)
		}
	})
}

// served is what was admitted, for looking at windows.
type served struct {
	at   time.Time
	cost float64
}

// checkWindows checks that in no window more was served than bound + rate * its
// length.
func checkWindows(rt *rapid.T, what string, log []served, bound, perSecond float64) {
	for i := range log {
		sum := 0.0
		for j := i; j < len(log); j++ {
			sum += log[j].cost
			length := max(0, log[j].at.Sub(log[i].at).Seconds())
			if allowed := bound + perSecond*length; sum > allowed+1e-6 {
				rt.Fatalf("%s: %.3f units in a window of %.3f s, allowed are %.3f", what, sum, length, allowed)
			}
		}
	}
}

// TestLimiterWindows: whatever any number of peers do, in whatever windows, with
// clock readings that lag behind each other: no peer, no subnet and not all
// together are served more than their bound; and peers beyond the table's room
// gain nothing by being forgotten.
func TestLimiterWindows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{PerSecond: float64(rapid.IntRange(1, 50).Draw(rt, "rate")), Burst: float64(rapid.IntRange(1, 60).Draw(rt, "burst"))}
		total := Rate{PerSecond: float64(rapid.IntRange(1, 100).Draw(rt, "total"))}.filled()
		room := rapid.IntRange(1, 4).Draw(rt, "room")
		names := rapid.IntRange(1, 8).Draw(rt, "peers")
		const debt = 2 * time.Second
		l := NewLimiter(LimiterConfig{PerPeer: r, Total: total, MaxPeers: room, MaxDebt: debt, Costs: unitCosts, Subnets: true})
		logs := map[string][]served{}
		now := t0
		for range rapid.IntRange(1, 250).Draw(rt, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(rt, "gap ms")) * time.Millisecond)
			at := now
			if lag := rapid.IntRange(0, 20).Draw(rt, "lag"); lag < 3 {
				at = now.Add(-time.Duration(lag) * 400 * time.Millisecond)
			}
			name := fmt.Sprint("peer ", rapid.IntRange(1, names).Draw(rt, "name"))
			typ := protocol.Type(rapid.IntRange(0, 5).Draw(rt, "type"))
			from := protocol.Remote{Peer: peer.ID(name), IP: netip.MustParseAddr("203.0.113.9")}
			if _, err := l.Admit(at, from, typ, 0); err == nil {
				e := served{now, unitsOf(typ)}
				logs[name] = append(logs[name], e)
				logs["all"] = append(logs["all"], e)
			} else if !errors.Is(err, ErrLimited) || resetCode(err) != network.StreamRateLimited {
				rt.Fatal(err)
			}
		}
		// A full bucket affords any one request, so the deepest debt may be that.
		bound := func(r Rate) float64 { return r.Burst + max(debt.Seconds()*r.PerSecond, 6) }
		// Readings lag up to 0.8 s behind, which may let a window look shorter.
		slack := 0.8 * r.PerSecond
		for name, log := range logs {
			if name != "all" && names <= room {
				checkWindows(rt, name, log, bound(r)+slack, r.PerSecond)
			}
		}
		k := float64(room)
		checkWindows(rt, "all, by the room in the table", logs["all"], k*(bound(r)+slack), k*r.PerSecond)
		checkWindows(rt, "all, by the subnet", logs["all"], bound(r.times(NearFactor))+8*slack, NearFactor*r.PerSecond)
		checkWindows(rt, "all, in total", logs["all"], bound(total)+0.8*total.PerSecond, total.PerSecond)
	})
}

// TestLimiterForgettingDoesNotPay: one peer after the other burns its burst and
// never comes back under that name. In a table of four they get four bursts, not
// one each; and the names together are served what four peers may have.
func TestLimiterForgettingDoesNotPay(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 10, Burst: 100}, MaxPeers: 4, Costs: unitCosts})
	units := 0.0
	for i := range 1000 {
		for {
			if _, err := l.Admit(t0, remote(fmt.Sprint(i)), protocol.GetValue, 0); err != nil {
				break
			}
			units++
		}
	}
	if want := 4 * (100 + 5*10.0); units != want {
		t.Errorf("%v units to a thousand names, want %v", units, want)
	}
	s := l.Stats()
	if s.Peers != 4 || s.Forgotten != 996 || s.ForgottenEarly != 996 {
		t.Errorf("%+v", s)
	}
	// Once the four have refilled, a new name has a full burst again.
	later := t0.Add(time.Minute)
	if pause, err := l.Admit(later, remote("new"), protocol.GetValue, 99*unitBytesIn); err != nil || pause != 0 {
		t.Errorf("after a minute: %v, %v", pause, err)
	}
	if s := l.Stats(); s.ForgottenEarly != 996 {
		t.Errorf("%+v", s)
	}
}

// TestLimiterDoesNotStarve: a peer that asks once in a while is served at once, and
// a newcomer soon, while others flood under ever new names.
func TestLimiterDoesNotStarve(t *testing.T) {
	const room = 32
	l := NewLimiter(LimiterConfig{MaxPeers: room})
	flood := func(now time.Time, i int) {
		for range 200 {
			_, _ = l.Admit(now, remote(fmt.Sprint("sybil ", i%(4*room))), protocol.GetProviders, 1000)
		}
	}
	now, i := t0, 0
	for step := range 2000 {
		now = now.Add(50 * time.Millisecond)
		flood(now, i)
		i++
		if step%4 == 0 { // five requests a second
			if pause, err := l.Admit(now, remote("polite"), protocol.FindNode, 45); err != nil || pause != 0 {
				t.Fatalf("step %d: polite peer: pause %v, %v", step, pause, err)
			}
		}
	}
	// The worst case: a newcomer takes over somebody's debt, and waits for it.
	var waited time.Duration
	for {
		pause, err := l.Admit(now.Add(waited), remote("newcomer"), protocol.FindNode, 45)
		if err == nil && pause == 0 {
			break
		}
		waited += max(pause, time.Second)
		flood(now.Add(waited), i)
		i++
	}
	if waited > 10*time.Second {
		t.Errorf("a newcomer waits %v", waited)
	}
}

func TestLimiterLargestRequestIsServedSomeTime(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 1, Burst: 2}})
	if pause, err := l.Admit(t0, remote("p"), protocol.PutValue, protocol.MaxFrame); err != nil || pause != 5*time.Second {
		t.Fatalf("from a full bucket: pause %v, %v; no pause is longer than the deepest debt", pause, err)
	}
	if pause, err := l.Admit(t0, remote("p"), protocol.Ping, 0); err != ErrLimited || pause != 0 {
		t.Errorf("after it: pause %v, %v", pause, err)
	}
	if _, err := l.Admit(t0.Add(263*time.Second), remote("p"), protocol.PutValue, protocol.MaxFrame); err != nil {
		t.Errorf("full again: %v", err)
	}
}

// TestLimiterClock: set forward or back, even again and again, the clock neither
// stops a peer from being served nor gives it more than a burst.
func TestLimiterClock(t *testing.T) {
	for _, jump := range []time.Duration{-time.Second, -time.Minute, -30 * 24 * time.Hour, time.Hour, 30 * 24 * time.Hour, -100 * 365 * 24 * time.Hour} {
		l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 10, Burst: 20}, Total: Rate{PerSecond: 1000}})
		now := t0
		burn := func() (n int) {
			for n < 1000 {
				if _, err := l.Admit(now, remote("p"), protocol.GetValue, 0); err != nil {
					break
				}
				n++
			}
			return n
		}
		burn()
		now = now.Add(jump)
		if n := burn(); n > 70 || jump < 0 && n > 0 {
			t.Errorf("jump of %v: %d served at once", jump, n)
		}
		start := now
		n := 0
		for now.Sub(start) < 10*time.Second {
			now = now.Add(100 * time.Millisecond)
			n += burn()
		}
		if n < 89 || n > 100 { // 100 less what a second's lag costs
			t.Errorf("jump of %v: %d served in the ten seconds after it, want about 100", jump, n)
		}
	}
}

func TestLimiterCosts(t *testing.T) {
	for typ, units := range map[protocol.Type]float64{
		protocol.FindNode: 1, protocol.GetValue: 1, protocol.GetProviders: 2, protocol.PutValue: 5,
		protocol.AddProvider: 1, protocol.Ping: 0.2, 99: 1, NoType: 1,
	} {
		for _, size := range []int{0, 16 << 10, protocol.MaxFrame} {
			l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 1000, Burst: 0.001}, MaxDebt: time.Hour})
			want := units + float64(size)/(16<<10)
			pause, err := l.Admit(t0, remote("p"), typ, size)
			if got := pause.Seconds() * 1000; err != nil || math.Abs(got-want) > 0.01 {
				t.Errorf("%v of %d bytes costs %v (%v), want %v", typ, size, got, err, want)
			}
			want += 8
			if got := l.Charge(t0, remote("p"), 64<<10).Seconds() * 1000; math.Abs(got-want) > 0.01 {
				t.Errorf("with an answer of 64 KiB it costs %v, want %v", got, want)
			}
		}
	}
}

// TestLimiterDefault is the last paragraphs of reliability.md §3: bursts of
// crawlers and reproviders pass, a flooder gets 100 units a second and is paused
// rather than reset as long as it heeds the pauses on few streams.
func TestLimiterDefault(t *testing.T) {
	l := NewLimiter(LimiterConfig{})
	for i := range 980 {
		if pause, err := l.Admit(t0, remote("p"), protocol.AddProvider, 100); pause != 0 || err != nil {
			t.Fatalf("request %d of a burst: %v, %v", i, pause, err)
		}
	}
	const streams = 64
	free := [streams]time.Time{}
	n := 0
	for now := t0; now.Before(t0.Add(100 * time.Second)); now = now.Add(time.Millisecond) {
		for i := range free {
			if !now.Before(free[i]) {
				pause, err := l.Admit(now, remote("p"), protocol.FindNode, 0)
				if err != nil {
					t.Fatalf("%v after %d requests", err, n)
				}
				free[i] = now.Add(max(pause, time.Millisecond))
				n++
			}
		}
	}
	if n < 9_900 || n > 10_100 {
		t.Errorf("%d requests in 100 s, want about 10,000", n)
	}
	if s := l.Stats(); s.Admitted != uint64(n)+980 || s.Paused == 0 || s.Pause <= 0 || s.LimitedByPeer != 0 {
		t.Errorf("%+v", s)
	}
}

func TestLimiterUnlimited(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Unlimited, Subnets: true})
	for range 100_000 {
		if pause, err := l.Admit(t0, from, protocol.PutValue, protocol.MaxFrame); pause != 0 || err != nil {
			t.Fatal(pause, err)
		}
	}
	if n := l.Stats().Peers; n != 0 {
		t.Errorf("%d peers remembered for nothing", n)
	}
	// Limits that are switched on later start with full buckets.
	l.Set(Limits{PerPeer: Rate{PerSecond: 1}, Total: Rate{PerSecond: 1000}})
	if in := l.Limits(); in.PerPeer.Burst != 10 || in.Total.Burst != 10_000 {
		t.Errorf("%+v", in)
	}
	if pause, err := l.Admit(t0, from, protocol.PutValue, 0); pause != 0 || err != nil {
		t.Error(pause, err)
	}
	if pause, err := l.Admit(t0, from, protocol.PutValue, 5*unitBytesIn); pause != 5*time.Second || err != nil {
		t.Error(pause, err)
	}
	if _, err := l.Admit(t0, from, protocol.Ping, 0); err != ErrLimited {
		t.Error(err)
	}
	l.Set(Limits{PerPeer: Unlimited})
	if pause, err := l.Admit(t0, from, protocol.Ping, 0); pause != 0 || err != nil {
		t.Error(pause, err)
	}
}

func TestLimiterSubnets(t *testing.T) {
	for _, tc := range []struct {
		name string
		ip   func(i int) string
		want int
	}{
		{"one /24", func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }, 8 * 150},
		{"one /16, written as IPv6", func(i int) string { return fmt.Sprintf("::ffff:203.0.%d.1", i) }, 32 * 150},
		{"one /16", func(i int) string { return fmt.Sprintf("203.0.%d.1", i) }, 32 * 150},
		{"many /16", func(i int) string { return fmt.Sprintf("20.%d.0.1", i) }, 100 * 150},
		{"one /56", func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) }, 8 * 150},
		{"one /48", func(i int) string { return fmt.Sprintf("2001:db8:0:%x00::1", i) }, 32 * 150},
		{"relayed", func(int) string { return "" }, 100 * 150},
	} {
		l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 10, Burst: 100}, Subnets: true})
		n := 0
		for i := range 100 {
			from := remote(fmt.Sprint(i))
			if ip := tc.ip(i); ip != "" {
				from.IP = netip.MustParseAddr(ip)
			}
			for {
				if _, err := l.Admit(t0, from, protocol.FindNode, 0); err != nil {
					break
				}
				n++
			}
		}
		if n != tc.want {
			t.Errorf("%s: %d served at once, want %d", tc.name, n, tc.want)
		}
		if s := l.Stats(); s.LimitedByPeer+s.LimitedBySubnet != 100 {
			t.Errorf("%s: %+v", tc.name, s)
		}
	}
}

// TestLimiterTotalFallsOnTheBusy: when the whole process is in debt, those who
// made it pay, and a peer that asks little hardly notices.
func TestLimiterTotalFallsOnTheBusy(t *testing.T) {
	l := NewLimiter(LimiterConfig{Total: Rate{PerSecond: 500, Burst: 1000}})
	now := t0
	var quiet, busy time.Duration
	refused := 0
	for i := range 100_000 {
		now = now.Add(100 * time.Microsecond)
		pause, err := l.Admit(now, remote(fmt.Sprint(i%32)), protocol.FindNode, 45)
		if err != nil {
			refused++
		}
		busy = max(busy, pause)
		if now.Sub(t0) > 4*time.Second && i%1000 == 0 { // the busy have burnt their bursts
			pause, err := l.Admit(now, remote("quiet"), protocol.FindNode, 45)
			if err != nil {
				t.Fatalf("quiet peer refused: %v", err)
			}
			quiet = max(quiet, pause)
		}
	}
	if busy < time.Second || quiet > 20*time.Millisecond || refused == 0 {
		t.Errorf("longest pause of the busy %v, of the quiet %v; %d refused", busy, quiet, refused)
	}
}

func TestLimiterManyAtOnce(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerPeer: Rate{PerSecond: 1, Burst: 1000}, MaxPeers: 8, Total: Rate{PerSecond: 1, Burst: 1e6}})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			for i := range 2000 {
				now := t0.Add(time.Duration(rng.Int64N(int64(10 * time.Second))))
				_, _ = l.Admit(now, remote(fmt.Sprint(rng.IntN(16))), protocol.FindNode, 10)
				l.Charge(now, remote(fmt.Sprint(rng.IntN(16))), 10)
				switch i % 100 {
				case 0:
					l.Set(Limits{PerPeer: Rate{PerSecond: 1 + rng.Float64(), Burst: 1000}})
				case 1:
					_ = l.Stats()
				}
			}
		})
	}
	wg.Wait()
	if s := l.Stats(); s.Admitted+s.LimitedByPeer+s.LimitedInTotal != 16_000 || s.Peers != 8 {
		t.Errorf("%+v", s)
	}
}

// TestTableIsAnLRU checks the table's list and index against a slow model.
func TestTableIsAnLRU(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(rt, "limit")
		table := newBuckets[int](limit)
		var model []int // oldest first
		for range rapid.IntRange(0, 60).Draw(rt, "gets") {
			key := rapid.IntRange(0, 7).Draw(rt, "key")
			table.get(key, 0, Rate{PerSecond: 1, Burst: 1})
			for i, k := range model {
				if k == key {
					model = append(model[:i], model[i+1:]...)
					break
				}
			}
			if len(model) == limit {
				model = model[1:]
			}
			model = append(model, key)
			var got []int
			for i := table.entries[0].prev; i != 0; i = table.entries[i].prev {
				got = append(got, table.entries[i].key)
				if table.index[table.entries[i].key] != i {
					rt.Fatalf("index is wrong for %d", table.entries[i].key)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(model) || table.len() != len(model) {
				rt.Fatalf("table holds %v, want %v", got, model)
			}
		}
	})
}
