package routing

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
)

func TestConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]Config{
		"one format":          {Protocol: "/x/kad/1.0.0", JSONProtocol: "/x/kad/1.0.0"},
		"no mode 7":           {Mode: 7},
		"MaxValue":            {Stores: Stores{MaxValue: 1 << 30}},
		"bootstrap peer has":  {BootstrapPeers: []peer.AddrInfo{{}}},
		"K is 65":             {K: 65},
		"K is -1":             {K: -1},
		"must not be negativ": {Alpha: -1},
		"Alpha is 257":        {Alpha: 257},
		"Beta 257":            {Beta: 257},
	} {
		f := newWorld(t).add()
		if _, err := newDHT(f, fakeStreams{f}, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error that says %q", cfg, err, want)
		}
	}
	for _, cfg := range []Config{{}, {Protocol: "/x/kad/1.0.0"}} {
		got, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		if private := cfg.Protocol == ""; private != (got.JSONProtocol == DefaultJSONProtocol) || got.K != 20 || got.Serving.Streams.Protocol != got.Protocol || got.Serving.Limit.Bursts != 1000 {
			t.Errorf("defaults of %v: %+v", cfg.Protocol, got)
		}
	}
}

func TestAddNamespace(t *testing.T) {
	for name, given := range map[string]record.Validator{
		"none": nil, "ours": store.Namespaces{"mine": numbered{}}, "libp2p's": record.NamespacedValidator{"mine": numbered{}},
	} {
		cfg := Config{Validator: given}
		if err := cfg.AddNamespace("v", numbered{}); err != nil {
			t.Fatal(err)
		}
		for key, ok := range map[string]bool{"/v/a": true, "/mine/a": given != nil, "/none/a": false} {
			if err := cfg.Validator.Validate(key, []byte("1")); (err == nil) != ok {
				t.Errorf("%s: %s: %v", name, key, err)
			}
		}
		if given, ok := given.(store.Namespaces); ok && len(given) != 1 {
			t.Error("the map given was changed")
		}
	}
	cfg := Config{Validator: numbered{}}
	for _, name := range []string{"", "a/b", "v"} {
		if err := cfg.AddNamespace(name, numbered{}); err == nil {
			t.Errorf("namespace %q was added to a validator of another kind", name)
		}
	}
}

// The stores are told 2^3 times the distance of the k-th neighbour.
func TestRadius(t *testing.T) {
	seed := mathrand.Uint64()
	rng := mathrand.New(mathrand.NewPCG(seed, 1))
	for range 200 {
		n := 1 + rng.IntN(200)
		contacts := make([]*kademlia.Contact, n)
		for i := range contacts {
			contacts[i] = kademlia.NewContact(peer.ID(fmt.Sprint(rng.Uint64())), nil)
		}
		self := kademlia.NewContact(peer.ID(fmt.Sprint(rng.Uint64())), nil)
		distances := make([]*big.Int, n)
		for i, c := range contacts {
			d := keyspace.DistanceOf(&self.Key, &c.Key)
			distances[i] = new(big.Int).SetBytes(d[:])
		}
		slices.SortFunc(distances, (*big.Int).Cmp)
		want := new(big.Int)
		if n >= 20 {
			if want.Lsh(distances[19], 3); want.BitLen() > keyspace.Bits {
				want.SetInt64(0)
			}
		}
		slices.SortFunc(contacts, func(a, b *kademlia.Contact) int { return keyspace.CompareDistance(&self.Key, &a.Key, &b.Key) })
		got := radiusOf(&self.Key, contacts, 20)
		if want.Cmp(new(big.Int).SetBytes(got[:])) != 0 {
			t.Fatalf("radius among %d peers: %v, want %x; seed %d", n, got, want, seed)
		}
	}
}

func TestStoresLearnTheRadius(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		spy := &radiusSpy{Values: store.NewValues(store.NewMemory(), store.DefaultNamespaces(time.Now), store.ValuesConfig{})}
		_, f := w.start(Config{K: 2})
		d, _ := w.start(Config{K: 2, Stores: Stores{Values: spy}, BootstrapPeers: []peer.AddrInfo{f.info()}})
		for range 120 { // so many that two are surely near
			w.start(Config{K: 2, BootstrapPeers: []peer.AddrInfo{f.info()}})
		}
		synctest.Wait()
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		told, _ := ask(d.loop, func(time.Time) keyspace.Distance { return spy.radius })
		self := keyspace.KeyOfString(string(d.ID()))
		want := radiusOf(&self, d.loop.node.View().AppendClosest(nil, &self, 2), 2)
		if told != want || want == (keyspace.Distance{}) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// radiusSpy remembers what the loop told it.
type radiusSpy struct {
	store.Values
	radius keyspace.Distance
}

func (s *radiusSpy) SetRadius(d keyspace.Distance) { s.radius = d }

// A peer whose id does not hold its key: its key is asked for, from itself and
// from the DHT.
func TestGetPublicKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, Config{})
		_, pub, err := crypto.GenerateECDSAKeyPair(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		f := w.addWithKey(pub)
		hidden, _ := w.startOn(f, Config{BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
		if err := hidden.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if key, err := dhts[1].GetPublicKey(t.Context(), f.id); err != nil || !key.Equals(pub) {
			t.Errorf("from the key book: %v", err)
		}
		f.change(func(f *fake) { f.hideKey = true })
		if _, err := dhts[1].GetPublicKey(t.Context(), f.id); err != ErrNotFound {
			t.Errorf("that nobody stored: %v, want ErrNotFound", err)
		}
		value, err := crypto.MarshalPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		seed(t, hidden, core.KeyForPublicKey(f.id), string(value))
		if key, err := dhts[1].GetPublicKey(t.Context(), f.id); err != nil || !key.Equals(pub) {
			t.Errorf("from the peer itself: %v", err)
		}
		if err := hidden.PutValue(t.Context(), core.KeyForPublicKey(f.id), value); err != nil {
			t.Fatal(err)
		}
		f.crash()
		if key, err := core.GetPublicKey(dhts[2], t.Context(), f.id); err != nil || !key.Equals(pub) {
			t.Errorf("from the DHT: %v", err)
		}
		if _, err := dhts[2].GetPublicKey(t.Context(), ""); err == nil {
			t.Error("of an empty id")
		}
	})
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		outside := multiaddr.StringCast("/ip4/203.0.113.1/tcp/1")
		inside := func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
			return slices.DeleteFunc(slices.Clone(addrs), outside.Equal)
		}
		var banned peer.ID
		filters := Filters{
			Addresses: inside,
			Query:     func(p peer.AddrInfo) bool { return p.ID != banned },
			Table:     func(p peer.AddrInfo) bool { return p.ID != banned },
		}
		dhts, fakes := w.overlay(4, Config{})
		banned = fakes[3].id
		d, f := w.start(Config{Filters: filters, BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
		if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.requests(0)
		ids, err := d.GetClosestPeers(t.Context(), "x")
		if err != nil || len(ids) != 3 || slices.Contains(ids, banned) || d.loop.node.View().Contains(banned) {
			t.Errorf("closest: %v, %v; want all but %v", ids, err, banned)
		}
		for _, r := range w.requests(protocol.FindNode) {
			if r.to == banned {
				t.Error("the banned peer was asked")
			}
		}
		// Addresses outside the network are neither kept nor told.
		req := &protocol.Message{Type: protocol.AddProvider, Key: []byte("k"), ProviderPeers: []protocol.Peer{
			{ID: []byte(dhts[1].ID()), Addrs: [][]byte{outside.Bytes(), fakes[1].addr.Bytes()}},
		}}
		if _, err := dhts[1].Ask(t.Context(), f.id, req); err != nil {
			t.Fatal(err)
		}
		resp, err := dhts[2].Ask(t.Context(), f.id, &protocol.Message{Type: protocol.GetProviders, Key: []byte("k")})
		if err != nil || len(resp.ProviderPeers) != 1 || len(resp.ProviderPeers[0].Addrs) != 1 || !bytes.Equal(resp.ProviderPeers[0].Addrs[0], fakes[1].addr.Bytes()) {
			t.Errorf("providers told: %+v, %v", resp, err)
		}
		f.Remember(w.add().id, []multiaddr.Multiaddr{outside}, time.Hour)
		if c := d.book.Contact(w.add().id); c != nil {
			t.Errorf("a peer with addresses outside only: %v", c)
		}
	})
}

// Whoever has no address inside the network cannot announce itself.
func TestProvideWithoutAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, f := w.start(Config{})
		none := func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }
		d, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}, Filters: Filters{Addresses: none}})
		synctest.Wait()
		err := d.Provide(t.Context(), testCID(t, "x"), true)
		if !errors.Is(err, kademlia.ErrNoAddrs) || !strings.Contains(err.Error(), "let the host listen") {
			t.Errorf("%v: does not say what to do", err)
		}
	})
}

func TestServesJSONToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := newWorld(t).start(Config{})
		serve := f.handlers[DefaultJSONProtocol]
		frame, err := protocol.JSON.Append(nil, &protocol.Message{Type: protocol.FindNode, Key: []byte(d.ID()), ClusterLevel: 1})
		if err != nil {
			t.Fatal(err)
		}
		answer, _, err := serve(host.Sender{Peer: newWorld(t).add().id}, frame, nil)
		if err != nil || !strings.Contains(string(answer), d.ID().String()) {
			t.Errorf("%s, %v", answer, err)
		}
		if s := d.Stats(); s.JSON.Types[protocol.FindNode].Served != 1 || s.Server.Types[protocol.FindNode].Served != 0 {
			t.Errorf("counted as %+v and %+v", s.JSON.Types, s.Server.Types)
		}
	})
}

// A peer that asks counts as connected although the host has not reported its
// connection yet, and no longer once that is gone.
func TestSenderIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d, f := w.start(Config{})
		other := w.add()
		d.book.sender(other.id)
		if d.book.Connected(other.id) {
			t.Error("without a connection")
		}
		f.change(func(f *fake) { f.connected[other.id] = true })
		d.book.sender(other.id)
		if !d.book.Connected(other.id) {
			t.Error("not with a connection either")
		}
		f.change(func(f *fake) { f.disconnect(other) })
		synctest.Wait()
		if d.book.Connected(other.id) {
			t.Error("the connection is gone")
		}
	})
}

// A flooding peer is paused, and then cut off; the limit can be lifted.
func TestRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, lifted := range []bool{false, true} {
			cfg := Config{}
			if lifted {
				cfg.LimitPerPeer(-1, 0)
			}
			_, f := newWorld(t).start(cfg)
			frame, _ := protocol.Protobuf.Append(nil, &protocol.Message{Type: protocol.FindNode, Key: []byte("x"), ClusterLevel: 1})
			from := host.Sender{Peer: newWorld(t).add().id}
			paused, refused := 0, 0
			for range 10000 {
				_, pause, err := f.handlers[DefaultProtocol](from, frame, nil)
				if pause > 0 {
					paused++
				}
				if err != nil {
					refused++
				}
			}
			if (paused > 0) == lifted || (refused > 0) == lifted {
				t.Errorf("limit lifted: %v; %d paused, %d refused", lifted, paused, refused)
			}
		}
	})
}
