package live

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// oneAtATime makes a Watch that several goroutines may call.
func oneAtATime(w control.Watch) control.Watch {
	var mu sync.Mutex
	return func(e control.Event) {
		mu.Lock()
		defer mu.Unlock()
		w(e)
	}
}

// FindPeer implements control.Node.
func (n *Node) FindPeer(ctx context.Context, r control.PeerRequest, w control.Watch) (*control.Found, error) {
	p, err := input.Peer(r.ID)
	if err != nil {
		return nil, err
	}
	var found peer.AddrInfo
	report, err := n.observed(ctx, w, func(ctx context.Context) (err error) {
		found, err = n.router.FindPeer(ctx, p.ID)
		return err
	})
	if errors.Is(err, routing.ErrNotFound) || err == nil && len(found.Addrs) == 0 {
		err = control.Errorf(control.NotFound, "not found: nobody near it knows where %s is; is it up, and of this network?", p.ID)
	}
	if err != nil {
		return nil, failure(err, report)
	}
	return &control.Found{Peer: asPeer(found), Report: report}, nil
}

// Closest implements control.Node.
func (n *Node) Closest(ctx context.Context, r control.ClosestRequest, w control.Watch) (*control.Closest, error) {
	var ids []peer.ID
	report, err := n.observed(ctx, w, func(ctx context.Context) (err error) {
		ids, err = n.dht.GetClosestPeers(ctx, string(r.Key))
		return err
	})
	if err != nil {
		return nil, failure(err, report)
	}
	c := &control.Closest{Peers: make([]control.Peer, len(ids)), Report: report}
	for i, id := range ids {
		c.Peers[i] = asPeer(n.host.Peerstore().PeerInfo(id))
	}
	return c, nil
}

// Ping implements control.Node.
func (n *Node) Ping(ctx context.Context, r control.PingRequest, _ control.Watch) (*control.Pong, error) {
	p, err := n.target(ctx, r.Peer)
	if err != nil {
		return nil, err
	}
	if p.ID == n.host.ID() {
		return nil, control.Errorf(control.Usage, "%s is this node itself: give another peer's id", p.ID)
	}
	if err := n.connect(ctx, p); err != nil {
		if ctx.Err() != nil {
			return nil, control.AsError(ctx.Err())
		}
		return nil, control.Errorf(control.Failed, "cannot reach %s: %s", p.ID, brief(err))
	}
	start := time.Now()
	if err := n.router.Ping(ctx, p.ID); err != nil {
		return nil, classify(err)
	}
	return &control.Pong{Millis: control.Millis(time.Since(start))}, nil
}

// target returns whom to ping, found if its addresses are not known.
func (n *Node) target(ctx context.Context, r control.Peer) (peer.AddrInfo, error) {
	p, err := input.Peer(r.ID)
	if err != nil {
		return p, err
	}
	for _, text := range r.Addrs {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return p, control.Errorf(control.Usage, "%.80q is no multiaddr", text)
		}
		p.Addrs = append(p.Addrs, a)
	}
	if len(p.Addrs) > 0 || p.ID == n.host.ID() || n.host.Network().Connectedness(p.ID) == network.Connected {
		return p, nil
	}
	found, err := n.FindPeer(ctx, control.PeerRequest{ID: r.ID}, nil)
	if err != nil {
		return p, err
	}
	for _, text := range found.Addrs {
		if a, err := multiaddr.NewMultiaddr(text); err == nil {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return p, nil
}

// Status implements control.Node.
func (n *Node) Status(context.Context) (*control.Status, error) {
	s := n.dht.Stats()
	out := &control.Status{
		Network: string(cmp.Or(n.cfg.Network, Private)),
		Peer:    asPeer(n.Info()), Mode: s.Mode.String(), ModeReason: s.Reason, Lonely: why(s.Lonely), Profile: n.cfg.Profile.String(), Protocol: string(n.protocol),
		Namespaces: n.namespaces(), Peers: s.Table, Connections: len(n.host.Network().Peers()), Joining: n.Joining(),
		Holdings: control.Holdings{Values: s.Stored.Values, Providers: s.Stored.Providers, Providing: s.Stored.Providing, Announcing: announcing(&s.Stored)},
		Lookups: control.Lookups{
			Answered: s.Cache.Hits, Missing: s.Cache.Negative, Joined: s.Cache.Joined, Begun: s.Cache.Begun, Anew: s.Cache.Misses,
			Invalidated: s.Cache.Invalidated, Keys: s.Cache.Keys, Bytes: s.Cache.Bytes,
		},
		Uptime: control.Millis(time.Since(n.started)) / 1000,
	}
	if n.lan != nil {
		around := n.lan.Stats()
		out.LAN = &control.LAN{
			Mode: around.Mode.String(), Protocol: string(amino.LANProtocol), Peers: around.Table, Lonely: why(around.Lonely),
			Values: around.Stored.Values, Providers: around.Stored.Providers,
		}
	}
	return out, nil
}

// namespaces returns the kinds of keys that can be stored.
func (n *Node) namespaces() []string {
	if n.cfg.Network.IPFS() {
		return []string{"ipns", "pk"}
	}
	return []string{"imm", "mut", "pk"}
}

// Table implements control.Node.
func (n *Node) Table(context.Context) (*control.Table, error) {
	t := &control.Table{ID: n.host.ID().String(), Buckets: []control.Bucket{}}
	for _, b := range n.dht.Buckets() {
		out := control.Bucket{Prefix: b.Prefix, Replacements: b.Replacements, Peers: []control.Entry{}}
		for _, e := range b.Peers {
			out.Peers = append(out.Peers, n.entry(e.Contact.ID, e.Contact.Peer.Addrs, e.Seen))
		}
		t.Peers += len(out.Peers)
		t.Buckets = append(t.Buckets, out)
	}
	return t, nil
}

func (n *Node) entry(id peer.ID, addrs [][]byte, seen time.Time) control.Entry {
	e := control.Entry{Peer: control.Peer{ID: id.String(), Addrs: []string{}}, LastSeen: seen}
	for _, raw := range addrs {
		if a, err := multiaddr.NewMultiaddrBytes(slices.Clone(raw)); err == nil {
			e.Addrs = append(e.Addrs, a.String())
		}
	}
	e.Connected = n.host.Network().Connectedness(id) == network.Connected
	return e
}
