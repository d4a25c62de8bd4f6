package dual

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
)

// forMore is how long the second network is waited for that may know more addresses of
// a peer than the first: a second if the first knows any.
func forMore(a *answer[peer.AddrInfo]) time.Duration {
	if a.err == nil && len(a.value.Addrs) > 0 {
		return time.Second
	}
	return forever
}

// FindPeer returns the addresses of a peer, those that one network knows and those
// that the other does: it waits for the second to answer, a second at most if the
// first has found any.
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	find := func(ctx context.Context, side *routing.DHT) (peer.AddrInfo, error) { return side.FindPeer(ctx, id) }
	p := both(ctx, d, find, forMore)
	if err := p.err(ctx); err != nil {
		return peer.AddrInfo{}, err
	}
	return peer.AddrInfo{ID: id, Addrs: union(p.wan.value.Addrs, p.lan.value.Addrs)}, nil
}

// FindLocal returns what is known first hand of a peer's addresses.
func (d *DHT) FindLocal(ctx context.Context, id peer.ID) peer.AddrInfo {
	wan, lan := d.WAN.FindLocal(ctx, id), d.LAN.FindLocal(ctx, id)
	return peer.AddrInfo{ID: cmp.Or(wan.ID, lan.ID), Addrs: union(wan.Addrs, lan.Addrs)}
}

func union(a, b []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	all := slices.Clone(a)
	for _, addr := range b {
		if !slices.ContainsFunc(all, addr.Equal) {
			all = append(all, addr)
		}
	}
	return all
}

// Ping asks a peer for a sign of life, whichever of the protocols it answers.
func (d *DHT) Ping(ctx context.Context, id peer.ID) error {
	ping := func(side *routing.DHT, ctx context.Context) error { return side.Ping(ctx, id) }
	return both(ctx, d, effect(ping), first).err(ctx)
}

// GetPublicKey returns a peer's public key, as soon as one network knows it.
func (d *DHT) GetPublicKey(ctx context.Context, id peer.ID) (crypto.PubKey, error) {
	get := func(ctx context.Context, side *routing.DHT) (crypto.PubKey, error) { return side.GetPublicKey(ctx, id) }
	p := both(ctx, d, get, first)
	switch {
	case p.wan.err == nil:
		return p.wan.value, nil
	case p.lan.err == nil:
		return p.lan.value, nil
	}
	return nil, p.err(ctx)
}

// PutValue stores a value in both networks. It is enough that one takes it.
func (d *DHT) PutValue(ctx context.Context, key string, value []byte, opts ...core.Option) error {
	ends := newEnds(ctx)
	put := func(side *routing.DHT, ctx context.Context) error {
		return side.PutValue(ends.under(ctx), key, value, opts...)
	}
	return both(ctx, d, effect(put), nil).err(ctx)
}

// Provide announces in both networks that we can serve c. It is enough that one
// takes it; in the other it is tried again by itself.
func (d *DHT) Provide(ctx context.Context, c cid.Cid, announce bool) error {
	ends := newEnds(ctx)
	provide := func(side *routing.DHT, ctx context.Context) error { return side.Provide(ends.under(ctx), c, announce) }
	return both(ctx, d, effect(provide), nil).err(ctx)
}

// FindProviders returns up to k providers of c from each network, each once with
// the addresses that either knows.
func (d *DHT) FindProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error) {
	find := func(ctx context.Context, side *routing.DHT) ([]peer.AddrInfo, error) {
		return side.FindProviders(ctx, c)
	}
	p := both(ctx, d, find, nil)
	all := p.wan.value
	for _, q := range p.lan.value {
		if i := slices.IndexFunc(all, func(o peer.AddrInfo) bool { return o.ID == q.ID }); i >= 0 {
			all[i].Addrs = union(all[i].Addrs, q.Addrs)
			continue
		}
		all = append(all, q)
	}
	return all, p.err(ctx)
}

// FindProvidersAsync sends providers of c as either network finds them, and closes
// the channel after count different ones (0: all there are), when nobody is left to
// ask, or when ctx ends. A provider is sent once more when other addresses of it
// are found.
func (d *DHT) FindProvidersAsync(ctx context.Context, c cid.Cid, count int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, 1)
	started := d.spawn(func() {
		defer close(out)
		within, cancel := d.within(ctx)
		defer cancel()
		found := make(chan peer.AddrInfo)
		find := func(side *routing.DHT, within context.Context) error {
			for p := range side.FindProvidersAsync(within, c, count) {
				select {
				case found <- p:
				case <-within.Done():
				}
			}
			return ctx.Err() // of the caller's: to have found enough is a success
		}
		var finding sync.WaitGroup
		finding.Go(func() {
			defer close(found)
			both(within, d, effect(find), nil)
		})
		pass(within, found, out, count)
		cancel()
		finding.Wait()
	})
	if !started {
		close(out)
	}
	return out
}

// pass sends on what is news among the providers found, until there are count.
func pass(ctx context.Context, found <-chan peer.AddrInfo, out chan<- peer.AddrInfo, count int) {
	known := make(map[peer.ID][]multiaddr.Multiaddr)
	for p := range found {
		had, again := known[p.ID]
		p.Addrs = union(had, p.Addrs)
		if again && len(p.Addrs) == len(had) {
			continue
		}
		known[p.ID] = p.Addrs
		select {
		case out <- p:
		case <-ctx.Done():
			return
		}
		if count > 0 && len(known) >= count {
			return
		}
	}
}
