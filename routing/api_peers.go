package routing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// maxLookupKey is the longest key in bytes that GetClosestPeers looks up: a
// request carries it whole, to every peer asked.
const maxLookupKey = 4 << 10

// GetClosestPeers returns the k live peers nearest to key (hashed once), nearest
// first, not counting ourselves. Those among them that several answers have named
// need not have answered as long as nobody fails (kdht.StrictLookups: all have). When ctx
// ends before, it returns those that had answered by then and ctx's error.
func (d *DHT) GetClosestPeers(ctx context.Context, key string) ([]peer.ID, error) {
	FillReport(ctx, Report{})
	switch {
	case key == "":
		return nil, errors.New("kdht: closest peers: the key is empty")
	case len(key) > maxLookupKey:
		return nil, fmt.Errorf("kdht: closest peers: the key has %d bytes, at most %d can be asked for: give a hash of it instead", len(key), maxLookupKey)
	}
	r, err := d.run(ctx, OpClosestPeers, []byte(key), func(now time.Time, n *kademlia.Node, _ *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		return n.FindNode(now, []byte(key), done)
	})
	within, cancel := d.within(ctx)
	defer cancel()
	ids := make([]peer.ID, len(r.Closest))
	for i, c := range r.Closest {
		ids[i] = c.ID
		publish(within, core.QueryEvent{Type: core.FinalPeer, ID: c.ID})
	}
	return ids, err
}

// FindPeer returns the addresses of a peer: those of the connection to it, or
// what others tell of it. The error is ErrNotFound if nobody knows it. Of ourselves,
// and of a peer that is connected, the answer may have no addresses, if none are
// known.
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	FillReport(ctx, Report{})
	if err := id.Validate(); err != nil {
		return peer.AddrInfo{}, fmt.Errorf("kdht: find peer: %w", err)
	}
	if id == d.transport.ID() {
		return peer.AddrInfo{ID: id, Addrs: d.LocalAddrs()}, nil
	}
	if c := d.local(id); c != nil {
		return addrInfo(c), nil
	}
	r, err := d.run(ctx, OpFindPeer, []byte(id), func(now time.Time, n *kademlia.Node, _ *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		return n.FindPeer(now, id, done)
	})
	if len(r.Providers) == 0 {
		if (errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoPeers)) && d.transport.Connected(id) {
			return peer.AddrInfo{ID: id}, nil
		}
		return peer.AddrInfo{}, err
	}
	within, cancel := d.within(ctx)
	defer cancel()
	info := addrInfo(r.Providers[0])
	publish(within, core.QueryEvent{Type: core.FinalPeer, ID: id, Responses: []*peer.AddrInfo{&info}})
	return info, nil
}

// FindLocal returns what we know first hand of a peer's addresses, without asking
// anybody: those of a connected peer, or our own; else none.
func (d *DHT) FindLocal(_ context.Context, id peer.ID) peer.AddrInfo {
	if c := d.local(id); c != nil {
		return addrInfo(c)
	}
	return peer.AddrInfo{}
}

// local returns what we know first hand of a peer: of ourselves, and of one we
// are connected to; nil if we would have to ask.
func (d *DHT) local(id peer.ID) *kademlia.Contact {
	if id != d.transport.ID() && !d.transport.Connected(id) {
		return nil
	}
	return d.book.Contact(id)
}

// Ping asks a peer for a sign of life by the protocol's own PING. A peer that
// does not answer it may be well all the same: rust-libp2p's do not (wire.md
// §6).
func (d *DHT) Ping(ctx context.Context, id peer.ID) error {
	if id == d.transport.ID() {
		return nil
	}
	_, err := d.Ask(ctx, id, &protocol.Message{Type: protocol.Ping, ClusterLevel: 1})
	if err != nil {
		return fmt.Errorf("kdht: ping: %w", err)
	}
	return nil
}

// Ask puts one bare request to one peer and returns its answer, which is empty
// for a request that has none (AddProvider). It takes 10 s at most. The error
// wraps one of protocol's sentinels or ctx's error.
func (d *DHT) Ask(ctx context.Context, id peer.ID, req *protocol.Message) (*protocol.Message, error) {
	FillReport(ctx, Report{})
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("kdht: ask: %w", err)
	}
	within, cancel := d.within(ctx)
	defer cancel()
	resp := new(protocol.Message)
	err := d.network.exchange(within, d.member(id), req, resp)
	switch {
	case err == nil:
		return resp, nil
	case ended(ctx) != nil:
		return nil, ended(ctx)
	case d.ctx.Err() != nil:
		return nil, ErrClosed
	}
	return nil, err
}

// ended is ctx.Err, except that a deadline counts as passed when it is: the
// stream of a request with the same deadline may be the first to notice.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// member returns the contact of a peer in the table, or one without addresses,
// so that the peerstore's are used.
func (d *DHT) member(id peer.ID) *kademlia.Contact {
	key := keyspace.KeyOfString(string(id))
	for _, c := range d.loop.node.View().AppendClosest(nil, &key, 1) {
		if c.ID == id {
			return c
		}
	}
	return kademlia.NewContact(id, nil)
}

// Bootstrap starts a refresh of the routing table and returns at once. A DHT
// bootstraps by itself; this hastens it.
func (d *DHT) Bootstrap(context.Context) error {
	return d.loop.post(func(now time.Time) { d.loop.node.Refresh(now, nil) })
}

// Refresh looks up keys in all parts of the keyspace, so that the table knows
// peers there, and returns when that is over.
func (d *DHT) Refresh(ctx context.Context) error {
	done := make(chan struct{})
	if err := d.loop.post(func(now time.Time) { d.loop.node.Refresh(now, func(time.Time) { close(done) }) }); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closing:
		return ErrClosed
	}
}

// ForceRefresh is RefreshRoutingTable: every refresh that is asked for looks into all
// parts of the keyspace, however lately that was done.
func (d *DHT) ForceRefresh() <-chan error { return d.RefreshRoutingTable() }

// RefreshRoutingTable is Refresh for who does not want to wait: the channel gets
// its error, or nil, when it is over.
func (d *DHT) RefreshRoutingTable() <-chan error {
	done := make(chan error, 1)
	if !d.spawn(func() { done <- d.Refresh(context.Background()) }) {
		done <- ErrClosed
	}
	return done
}
