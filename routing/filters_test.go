package routing

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// addPublic makes a peer with an address of the public Internet.
func (w *world) addPublic() *fake {
	f := w.add()
	f.addr = multiaddr.StringCast(fmt.Sprintf("/ip4/8.%d.8.8/tcp/4001", len(w.peers)))
	return f
}

// A member of a public network next to one that believes and tells everything:
// addresses from inside a network are neither asked, kept, told nor announced.
func TestPublicProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		liar, liarAt := w.startOn(w.addPublic(), Config{})
		// It asks nobody but the liar: a connection of its own making could be used to ask it.
		onlyLiar := func(p peer.AddrInfo) bool { return p.ID == liarAt.id }
		_, inner := w.start(Config{BootstrapPeers: []peer.AddrInfo{liarAt.info()}, Filters: Filters{Query: onlyLiar, Table: onlyLiar}})
		d, at := w.startOn(w.addPublic(), Config{Filters: Filters{Profile: profile.Public}, BootstrapPeers: []peer.AddrInfo{liarAt.info()}})
		if err := errors.Join(liar.WaitReady(t.Context()), d.WaitReady(t.Context())); err != nil {
			t.Fatal(err)
		}
		w.requests(0)
		if ids, err := d.GetClosestPeers(t.Context(), string(inner.id)); err != nil || !slices.Equal(ids, []peer.ID{liarAt.id}) {
			t.Errorf("closest: %v, %v; want the liar alone", ids, err)
		}
		at.change(func(f *fake) { inner.connect(f) }) // identify tells its address
		synctest.Wait()
		if d.loop.node.View().Contains(inner.id) || d.book.Contact(inner.id) != nil {
			t.Error("a peer that only has an address inside a network is known, or told")
		}
		for _, r := range w.requests(protocol.FindNode) {
			if r.from == at.id && r.to == inner.id {
				t.Error("a peer with only an address inside a network was asked")
			}
		}
		outside := multiaddr.StringCast("/ip4/9.9.9.9/tcp/1").Bytes()
		req := &protocol.Message{Type: protocol.AddProvider, Key: []byte("k"), ProviderPeers: []protocol.Peer{
			{ID: []byte(liar.ID()), Addrs: [][]byte{inner.addr.Bytes(), outside}},
		}}
		if _, err := liar.Ask(t.Context(), at.id, req); err != nil {
			t.Fatal(err)
		}
		resp, err := liar.Ask(t.Context(), at.id, &protocol.Message{Type: protocol.GetProviders, Key: []byte("k")})
		if err != nil || len(resp.ProviderPeers) != 1 || !slices.EqualFunc(resp.ProviderPeers[0].Addrs, [][]byte{outside}, bytes.Equal) {
			t.Errorf("providers told: %+v, %v", resp, err)
		}
	})
}

// Who has no address inside the profile announces none.
func TestProfileOfOwnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, other := w.startOn(w.addPublic(), Config{})
		d, _ := w.start(Config{Filters: Filters{Profile: profile.Public}, BootstrapPeers: []peer.AddrInfo{other.info()}})
		if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Provide(t.Context(), testCID(t, "x"), true); !errors.Is(err, kademlia.ErrNoAddrs) || len(d.LocalAddrs()) > 0 {
			t.Errorf("%v, announces %v", err, d.LocalAddrs())
		}
	})
}

// The program's own functions filter what the profile has left, and decide about
// peers instead of it.
func TestProfileAndOwnFilters(t *testing.T) {
	inside, outside := multiaddr.StringCast("/ip4/8.8.8.8/tcp/1"), multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")
	relayed := multiaddr.StringCast("/ip4/8.8.8.8/tcp/1/p2p/" + testID(t) + "/p2p-circuit")
	f := Filters{Profile: profile.Public, Addresses: func(a []multiaddr.Multiaddr) []multiaddr.Multiaddr {
		if slices.ContainsFunc(a, outside.Equal) {
			t.Error("the own filter sees what the profile cuts")
		}
		return a[:1]
	}}
	if got := f.take()(binary([]multiaddr.Multiaddr{outside, inside, relayed})); len(got) != 1 || !bytes.Equal(got[0], inside.Bytes()) {
		t.Errorf("%x is left", got)
	}
	c := kademlia.NewContact(newWorld(t).add().id, binary([]multiaddr.Multiaddr{relayed}))
	if f.follow()(c) || f.admit()(c) {
		t.Error("a relayed peer is asked, or a member")
	}
	f.Query = func(peer.AddrInfo) bool { return true }
	if !f.follow()(c) || f.admit()(c) {
		t.Error("the own filter of peers does not decide alone")
	}
	if f := (&Filters{}); f.take() != nil || f.follow() != nil || f.admit() != nil {
		t.Error("the private profile filters")
	}
}

func testID(t *testing.T) string { return newWorld(t).add().id.String() }

// located is a Transport whose peers are all connected from one subnet.
type located struct{ *fake }

func (located) Origin(peer.ID) (netip.Addr, bool) { return netip.MustParseAddr("9.9.1.1"), true }

// Many peers of one subnet do not fill a table by claiming addresses of others.
func TestClaimedAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		profile profile.Profile
		subnets bool
		origin  bool
		want    int
	}{
		"claims only":                  {profile.Public, false, false, 8},
		"connected from one /16":       {profile.Public, false, true, 3},
		"private":                      {profile.Private, false, true, 8},
		"private, where subnets count": {profile.Private, true, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				at := w.addPublic()
				var transport host.Transport = at
				if c.origin {
					transport = located{at}
				}
				d, err := newDHT(transport, fakeStreams{at}, Config{Filters: Filters{Profile: c.profile, Subnets: c.subnets}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = d.Close() })
				for range 8 {
					if other, _ := w.startOn(w.addPublic(), Config{BootstrapPeers: []peer.AddrInfo{at.info()}}); other.WaitReady(t.Context()) != nil {
						t.Fatal("not ready")
					}
				}
				time.Sleep(time.Minute)
				if n := d.Stats().Table; n > c.want || n < 2 { // two of a subnet where all eight are in one bucket: one run in 128
					t.Errorf("%d in the table, want %d", n, c.want)
				}
				if !c.origin && d.Stats().Table <= 3 {
					t.Error("the claims do not spread the peers, so this shows nothing")
				}
			})
		})
	}
}
