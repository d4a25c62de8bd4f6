package build

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/kdht/kdht/protocol/profile"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// rebinding is a DNS in which every name leads to one address.
type rebinding struct{ to multiaddr.Multiaddr }

func (r rebinding) ResolveDNSAddr(context.Context, peer.ID, multiaddr.Multiaddr, int, int) ([]multiaddr.Multiaddr, error) {
	return []multiaddr.Multiaddr{r.to}, nil
}

func (r rebinding) ResolveDNSComponent(context.Context, multiaddr.Multiaddr, int) ([]multiaddr.Multiaddr, error) {
	return []multiaddr.Multiaddr{r.to}, nil
}

// A host of the public network dials no local address, whoever names it and
// whatever name leads there; one of a private network does.
func TestProfileWhereNamesLead(t *testing.T) {
	victim := newHost(t, Config{Listen: loopback[:1]})
	own := victim.Addrs()[0]
	dns := libp2p.MultiaddrResolver(rebinding{own})
	public := newHost(t, Config{Listen: []string{}, Profile: profile.Public, Options: []libp2p.Option{dns}})
	for _, addr := range []multiaddr.Multiaddr{own, multiaddr.StringCast("/dns4/evil.com/tcp/443"), multiaddr.StringCast("/dnsaddr/evil.com")} {
		err := public.Connect(testContext(t), peer.AddrInfo{ID: victim.ID(), Addrs: []multiaddr.Multiaddr{addr}})
		if err == nil || !strings.Contains(err.Error(), swarm.ErrGaterDisallowedConnection.Error()) {
			t.Errorf("public host, %s: %v, want that it is not dialed", addr, err)
		}
	}
	if n := victim.Network().Peers(); len(n) > 0 {
		t.Errorf("the victim sees %v", n)
	}
	private := newHost(t, Config{Listen: []string{}, Options: []libp2p.Option{dns}})
	info := peer.AddrInfo{ID: victim.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/dns4/evil.com/tcp/443")}}
	if err := private.Connect(testContext(t), info); err != nil {
		t.Errorf("private host: %v", err)
	}
}

// asked is a gater of the program's own that refuses one peer.
type asked struct {
	connmgr.ConnectionGater
	refused peer.ID

	mu    sync.Mutex
	dials int
}

func (a *asked) InterceptPeerDial(p peer.ID) bool { return p != a.refused }

func (a *asked) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dials++
	return true
}

// A gater among the options is asked besides ours.
func TestGaterBesidesOwn(t *testing.T) {
	victim := newHost(t, Config{Listen: loopback[:1]})
	for _, p := range []profile.Profile{profile.Private, profile.Public} {
		own := &asked{ConnectionGater: open{}}
		h := newHost(t, Config{Listen: []string{}, Profile: p, Options: []libp2p.Option{libp2p.ConnectionGater(own)}})
		err := h.Connect(testContext(t), info(victim))
		if dialed := err == nil; dialed != (p == profile.Private) || dialed != (own.dials > 0) {
			t.Errorf("%s: %v, own gater asked %d times", p, err, own.dials)
		}
		own.refused = victim.ID()
		if err := h.Network().ClosePeer(victim.ID()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Network().DialPeer(testContext(t), victim.ID()); !errors.Is(err, swarm.ErrGaterDisallowedConnection) {
			t.Errorf("%s: %v, want that the own gater refuses the peer", p, err)
		}
	}
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

var _ network.MultiaddrDNSResolver = rebinding{}
