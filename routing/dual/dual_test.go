package dual_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/host/build"
	kprotocol "github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
	"github.com/kdht/kdht/routing/dual"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// numbers are values that any number is; the greater wins.
type numbers struct{}

func (numbers) Validate(_ string, value []byte) error {
	_, err := strconv.Atoi(string(value))
	return err
}

func (numbers) Select(_ string, values [][]byte) (best int, err error) {
	for i := range values {
		a, _ := strconv.Atoi(string(values[i]))
		b, _ := strconv.Atoi(string(values[best]))
		if a > b {
			best = i
		}
	}
	return best, nil
}

// only keeps addresses of one transport: in these tests the public network is that
// of QUIC, the local one that of TCP.
func only(code int) func([]multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
		return multiaddr.FilterAddrs(addrs, func(a multiaddr.Multiaddr) bool {
			_, err := a.ValueForProtocol(code)
			return err == nil
		})
	}
}

// configs are those of the two networks on loopback, with others to begin with.
func configs(wan, lan []peer.AddrInfo) (w, l routing.Config) {
	w, l = amino.Config(), amino.LANConfig()
	w.Mode, w.BootstrapPeers, l.BootstrapPeers = routing.ModeServer, wan, lan
	w.Filters.Addresses, l.Filters.Addresses = only(multiaddr.P_UDP), only(multiaddr.P_TCP)
	for _, c := range []*routing.Config{&w, &l} {
		c.Filters.Profile = profile.Private
		c.Validator = store.Namespaces{"v": numbers{}}
	}
	return w, l
}

func newHost(t *testing.T) host.Host {
	t.Helper()
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// member is a peer of one of the networks.
type member struct {
	*routing.DHT
	host host.Host
}

func (m member) info() []peer.AddrInfo { return []peer.AddrInfo{*host.InfoFromHost(m.host)} }

func single(t *testing.T, cfg routing.Config) member {
	t.Helper()
	h := newHost(t)
	d, err := routing.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return member{d, h}
}

// pair is a peer of both.
func pair(t *testing.T, wan, lan []peer.AddrInfo) (*dual.DHT, host.Host) {
	t.Helper()
	h := newHost(t)
	w, l := configs(wan, lan)
	d, err := dual.New(h, w, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, h
}

// world is a member of each network and one of both that knows them.
func world(t *testing.T) (w, l member, d *dual.DHT, h host.Host) {
	t.Helper()
	wan, lan := configs(nil, nil)
	w, l = single(t, wan), single(t, lan)
	d, h = pair(t, w.info(), l.info())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, m := range []*routing.DHT{w.DHT, l.DHT, d.WAN, d.LAN} {
		if err := m.WaitPeers(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	return w, l, d, h
}

// publicKey is a host's public key and the key of its record.
func publicKey(h host.Host) (value []byte, name string) {
	value, err := crypto.MarshalPublicKey(h.Peerstore().PubKey(h.ID()))
	if err != nil {
		log.Fatal(err)
	}
	return value, core.KeyForPublicKey(h.ID())
}

func content(t *testing.T, name string) cid.Cid {
	t.Helper()
	sum, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// kept is what a node itself has.
func kept(t *testing.T, m core.ValueStore, key string) string {
	t.Helper()
	v, err := m.GetValue(t.Context(), key, core.Offline)
	if err != nil && !errors.Is(err, routing.ErrNotFound) {
		t.Fatal(err)
	}
	return string(v)
}

func TestValuesOfBoth(t *testing.T) {
	w, l, d, _ := world(t)
	var report dual.Report
	var sum routing.Report
	ctx := routing.WithReport(dual.WithReport(t.Context(), &report), &sum)
	ends := 0
	var whole routing.Report
	ctx = routing.WithFinalReport(ctx, func(r routing.Report, err error) { ends, whole = ends+1, r })
	if err := d.PutValue(ctx, "/v/a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if ends != 1 || len(whole.Holders) != 2 {
		t.Errorf("told %d times of the end: %+v", ends, whole)
	}
	if kept(t, w, "/v/a") != "1" || kept(t, l, "/v/a") != "1" {
		t.Error("the value is not in both networks")
	}
	if report.WANErr != nil || report.LANErr != nil || len(report.WAN.Holders) != 1 || report.WAN.Holders[0] != w.ID() || report.LAN.Holders[0] != l.ID() {
		t.Errorf("report: %+v", report)
	}
	if len(sum.Holders) != 2 || sum.Asked != report.WAN.Asked+report.LAN.Asked {
		t.Errorf("sum: %+v", sum)
	}
	for i, newer := range []member{w, l} {
		want := strconv.Itoa(i + 2)
		if err := newer.PutValue(t.Context(), "/v/a", []byte(want), core.Offline); err != nil {
			t.Fatal(err)
		}
		if got, err := d.GetValue(t.Context(), "/v/a"); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		values, err := d.SearchValue(ctx, "/v/a")
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for v := range values {
			seen = append(seen, string(v))
		}
		if !slices.IsSorted(seen) || len(seen) == 0 || seen[len(seen)-1] != want {
			t.Errorf("streamed %q, want better and better ones up to %s", seen, want)
		}
		if report.WAN.Asked != 1 || report.LAN.Asked != 1 || sum.Asked != 2 {
			t.Errorf("searched: %+v, both: %+v", report, sum)
		}
	}
	if got, err := d.GetValue(t.Context(), "/v/none"); !errors.Is(err, routing.ErrNotFound) || got != nil {
		t.Errorf("of nothing: %q, %v", got, err)
	}
	if err := d.PutValue(t.Context(), "/v/a", []byte("x")); err == nil {
		t.Error("an invalid value was taken")
	}
	if err := d.PutValue(t.Context(), "/v/only", []byte("1"), core.Offline); err != nil || kept(t, d, "/v/only") != "1" {
		t.Errorf("offline: %v", err)
	}
}

// A value that is put again is so in both networks, and in both no more.
func TestRepublishingInBoth(t *testing.T) {
	_, _, d, _ := world(t)
	publishing := func() [2]int { return [2]int{d.WAN.Stats().Stored.Publishing, d.LAN.Stats().Stored.Publishing} }
	if err := d.PutValue(t.Context(), "/v/a", []byte("1"), routing.Republish()); err != nil || publishing() != [2]int{1, 1} {
		t.Errorf("put again: %v, %v", publishing(), err)
	}
	if err := d.StopRepublishing("/v/a"); err != nil || publishing() != [2]int{} {
		t.Errorf("stopped: %v, %v", publishing(), err)
	}
}

// A network that has no values does not keep those of the other back.
func TestValuesOfOneNetwork(t *testing.T) {
	wan, lan := configs(nil, nil)
	lan.DisableValues = true
	d, err := dual.New(newHost(t), wan, lan)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var report dual.Report
	ctx := dual.WithReport(t.Context(), &report)
	if err := d.PutValue(ctx, "/v/a", []byte("1"), core.Offline); err != nil || !errors.Is(report.LANErr, routing.ErrNotSupported) {
		t.Errorf("put: %v; there: %v", err, report.LANErr)
	}
	values, err := d.SearchValue(ctx, "/v/a", core.Offline)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for v := range values {
		if seen++; string(v) != "1" {
			t.Errorf("found %q", v)
		}
	}
	if seen != 1 || report.WANErr != nil || !errors.Is(report.LANErr, routing.ErrNotSupported) {
		t.Errorf("%d values; report: %v, %v", seen, report.WANErr, report.LANErr)
	}
}

// With a quorum, nobody waits for a network whose peers are silent once the other
// has given as many values.
func TestQuorumOfOneNetwork(t *testing.T) {
	w, l, d, _ := world(t)
	if err := w.PutValue(t.Context(), "/v/a", []byte("1"), core.Offline); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	l.host.SetStreamHandler(amino.LANProtocol, func(s network.Stream) { <-release; _ = s.Reset() })
	defer close(release)
	for _, c := range l.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			_ = s.Reset()
		}
	}
	var report dual.Report
	got, err := d.GetValue(dual.WithReport(t.Context(), &report), "/v/a", routing.Quorum(1))
	if err != nil || string(got) != "1" || !errors.Is(report.LANErr, dual.ErrLeft) || report.WANErr != nil {
		t.Errorf("got %q, %v; %v, %v", got, err, report.WANErr, report.LANErr)
	}
	if _, err := d.GetValue(t.Context(), "/v/a", routing.Quorum(-1)); err == nil {
		t.Error("a quorum of -1 was taken")
	}
}

// One network is enough to write to; the report says which. Where neither takes it,
// one line says of both why.
func TestOneNetworkIsEnough(t *testing.T) {
	wan, lan := configs(nil, nil)
	for name, c := range map[string]struct{ wan, lan []peer.AddrInfo }{
		"wan":  {wan: single(t, wan).info()},
		"lan":  {lan: single(t, lan).info()},
		"none": {},
	} {
		d, _ := pair(t, c.wan, c.lan)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := d.WaitReady(ctx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var report dual.Report
		ctx = dual.WithReport(ctx, &report)
		for what, write := range map[string]func() error{
			"value":    func() error { return d.PutValue(ctx, "/v/a", []byte("1")) },
			"provider": func() error { return d.Provide(ctx, content(t, "a"), true) },
		} {
			err := write()
			if name != "none" && err != nil || (report.WANErr == nil) != (name == "wan") || (report.LANErr == nil) != (name == "lan") {
				t.Errorf("%s, %s: %v; report: %v, %v", name, what, err, report.WANErr, report.LANErr)
			}
			if name == "none" && (!errors.Is(err, routing.ErrNoPeers) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "local network")) {
				t.Errorf("nobody: %s: %v", what, err)
			}
		}
		if got, err := d.GetValue(ctx, "/v/a"); err != nil || string(got) != "1" {
			t.Errorf("%s: read back: %q, %v", name, got, err)
		}
	}
}

func TestProvidersOfBoth(t *testing.T) {
	w, l, d, _ := world(t)
	c := content(t, "a")
	for _, m := range []member{w, l} {
		if err := m.Provide(t.Context(), c, false); err != nil {
			t.Fatal(err)
		}
	}
	for count, want := range map[int]int{0: 2, 1: 1, 2: 2, 3: 2} {
		found := make(map[peer.ID]int)
		var report dual.Report
		for p := range d.FindProvidersAsync(dual.WithReport(t.Context(), &report), c, count) {
			found[p.ID]++
			if len(p.Addrs) == 0 {
				t.Errorf("%s has no addresses", p.ID)
			}
		}
		if len(found) != want || want == 2 && (found[w.ID()] != 1 || found[l.ID()] != 1) {
			t.Errorf("up to %d: found %v", count, found)
		}
		if report.WANErr != nil || report.LANErr != nil {
			t.Errorf("up to %d: ended with %v, %v", count, report.WANErr, report.LANErr)
		}
	}
	all, err := d.FindProviders(t.Context(), c)
	if err != nil || len(all) != 2 {
		t.Errorf("all: %v, %v", all, err)
	}
	if err := d.Provide(t.Context(), c, true); err != nil {
		t.Fatal(err)
	}
	for _, m := range []member{w, l} {
		ps, err := m.FindProviders(t.Context(), c)
		if err != nil || !slices.ContainsFunc(ps, func(p peer.AddrInfo) bool { return p.ID == d.ID() }) {
			t.Errorf("announced to both: %v, %v", ps, err)
		}
	}
	other, _ := pair(t, w.info(), l.info())
	for _, side := range []*routing.DHT{other.WAN, other.LAN} {
		if err := side.WaitPeers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	of := func(all []peer.AddrInfo) (addrs, times int) {
		for _, p := range all {
			if p.ID == d.ID() {
				addrs, times = len(p.Addrs), times+1
			}
		}
		return addrs, times
	}
	all, err = other.FindProviders(t.Context(), c)
	if addrs, times := of(all); err != nil || addrs != 2 || times != 1 {
		t.Errorf("found %v, %v; want %s once with both addresses", all, err, d.ID())
	}
	all = nil
	for p := range other.FindProvidersAsync(t.Context(), c, 0) {
		all = append(all, p)
	}
	if addrs, times := of(all); addrs != 2 || times != 2 {
		t.Errorf("found %v; want %s twice, at last with both addresses", all, d.ID())
	}
	if err := d.StopProviding(c); err != nil || d.WAN.Stats().Stored.Providing+d.LAN.Stats().Stored.Providing != 0 {
		t.Errorf("still providing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	abandoned := d.FindProvidersAsync(ctx, c, 0)
	cancel()
	for range abandoned {
	}
}

// Who stops receiving without saying so holds up nobody's end.
func TestAbandonedConsumers(t *testing.T) {
	c := content(t, "a")
	many := store.NewProviders(store.ProvidersConfig{})
	for i := range 20 {
		if err := many.Add(time.Now(), c.Hash(), kprotocol.Peer{ID: fmt.Append(nil, "\x00\x04abc", string(rune('a'+i)))}); err != nil {
			t.Fatal(err)
		}
	}
	wan, lan := configs(nil, nil)
	w := single(t, wan)
	wan.BootstrapPeers, wan.Stores.Providers = w.info(), many
	d, err := dual.New(newHost(t), wan, lan)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WAN.WaitPeers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	providers := d.FindProvidersAsync(t.Context(), c, 0)
	<-providers
	eventually(t, "more providers wait to be received", func() bool { return len(providers) == cap(providers) })
	if err := d.Ping(t.Context(), w.ID()); err != nil { // which takes long enough for one more
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Close waits for who does not receive")
	}
}

// What each network knows of a peer's addresses is put together.
func TestFindPeerInBoth(t *testing.T) {
	w, l, d, _ := world(t)
	other, h := pair(t, w.info(), l.info())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, m := range []*routing.DHT{w.DHT, l.DHT} {
		if err := m.WaitPeers(ctx, 2); err != nil {
			t.Fatal(err)
		}
	}
	for _, side := range []*routing.DHT{d.WAN, d.LAN} {
		if p, err := side.FindPeer(ctx, other.ID()); err != nil || len(p.Addrs) != 1 {
			t.Errorf("one network knows %v, %v; want one address", p.Addrs, err)
		}
	}
	p, err := d.FindPeer(ctx, other.ID())
	if err != nil || p.ID != other.ID() || len(p.Addrs) != 2 || !slices.ContainsFunc(p.Addrs, h.Addrs()[0].Equal) || !slices.ContainsFunc(p.Addrs, h.Addrs()[1].Equal) {
		t.Errorf("found %v, %v; want %v", p.Addrs, err, h.Addrs())
	}
	if err := d.Ping(ctx, w.ID()); err != nil {
		t.Errorf("a peer of the public network does not answer: %v", err)
	}
	if err := d.Ping(ctx, l.ID()); err != nil {
		t.Errorf("a peer of the local network does not answer: %v", err)
	}
	if key, err := d.GetPublicKey(ctx, other.ID()); err != nil || !other.ID().MatchesPublicKey(key) {
		t.Errorf("public key: %v", err)
	}
	stranger := peer.ID("\x00\x04abcd")
	if _, err := d.FindPeer(ctx, stranger); !errors.Is(err, routing.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	if local := d.FindLocal(ctx, other.ID()); local.ID != other.ID() || len(local.Addrs) != 2 {
		t.Errorf("first hand: %v, want both addresses", local)
	}
	if local := d.FindLocal(ctx, stranger); local.ID != "" || len(local.Addrs) != 0 {
		t.Errorf("of a stranger, first hand: %v", local)
	}
	if err := errors.Join(d.Refresh(ctx), d.Bootstrap(ctx)); err != nil {
		t.Error(err)
	}
}

// The two share the host and nothing else: each serves its own protocol, holds its
// own peers by a tag of its own, and only the public one follows reachability.
func TestSideBySide(t *testing.T) {
	wan, lan := configs(nil, nil)
	w, l := single(t, wan), single(t, lan)
	h := newHost(t)
	wan, lan = configs(w.info(), l.info())
	wan.Mode, wan.Serving.ModeDelay = routing.ModeAuto, -1
	d, err := dual.New(h, wan, lan)
	if err != nil {
		t.Fatal(err)
	}
	serves := func(id protocol.ID) bool { return slices.Contains(h.Mux().Protocols(), id) }
	if serves(amino.Protocol) || !serves(amino.LANProtocol) {
		t.Errorf("at first it serves %v", h.Mux().Protocols())
	}
	reachability, err := h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer reachability.Close()
	if err := reachability.Emit(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the public network is served", func() bool { return serves(amino.Protocol) && d.WAN.Mode() == routing.ModeServer })
	eventually(t, "each has tagged its own peer", func() bool {
		a, b := h.ConnManager().GetTagInfo(w.ID()), h.ConnManager().GetTagInfo(l.ID())
		return a != nil && b != nil && a.Tags[string(amino.Protocol)] > 0 && b.Tags[string(amino.LANProtocol)] > 0 &&
			a.Tags[string(amino.LANProtocol)] == 0 && b.Tags[string(amino.Protocol)] == 0
	})
	if d.WAN.Stats().Table != 1 || d.LAN.Stats().Table != 1 {
		t.Errorf("tables of %d and %d peers", d.WAN.Stats().Table, d.LAN.Stats().Table)
	}
	if _, err := dual.New(h, wan, lan); err == nil {
		t.Error("a second one started on the same host")
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if serves(amino.Protocol) || serves(amino.LANProtocol) {
		t.Errorf("closed, it serves %v", h.Mux().Protocols())
	}
	if err := d.PutValue(t.Context(), "/v/a", []byte("1")); !errors.Is(err, routing.ErrClosed) {
		t.Errorf("closed, it puts: %v", err)
	}
	if _, err := d.SearchValue(t.Context(), "/v/a"); !errors.Is(err, routing.ErrClosed) {
		t.Errorf("closed, it searches: %v", err)
	}
	for range d.FindProvidersAsync(t.Context(), content(t, "a"), 0) {
		t.Error("closed, it finds providers")
	}
}

// Who cannot join says of both networks why.
func TestWaitReadySaysWhy(t *testing.T) {
	gone := single(t, amino.LANConfig())
	info := gone.info()
	info[0].Addrs = only(multiaddr.P_TCP)(info[0].Addrs) // a closed port, which says so at once
	_ = gone.Close()
	_ = gone.host.Close()
	wan, _ := configs(nil, nil)
	half, _ := pair(t, single(t, wan).info(), info)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := half.WaitReady(ctx); err != nil {
		t.Errorf("one network is enough: %v", err)
	}
	d, _ := pair(t, info, nil)
	ctx, cancel = context.WithCancel(t.Context())
	eventually(t, "the first attempt has failed", func() bool {
		return strings.Contains(fmt.Sprint(d.WAN.Stats().Lonely), "unreachable")
	})
	cancel()
	err := d.WaitReady(ctx)
	if !errors.Is(err, routing.ErrNoPeers) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 of 1 bootstrap peers unreachable") ||
		!strings.Contains(err.Error(), "in the local network") {
		t.Errorf("%v", err)
	}
}

// eventually polls what another goroutine does that tells nobody.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
