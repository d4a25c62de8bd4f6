package routing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// fewPeers is the size up to which a table counts as nearly empty, so that
	// bootstrap peers are connected to and connected peers are offered again
	// (wire.md §10 "fixLowPeers").
	fewPeers = 10
	// offerPeriod is how often connected peers are offered to an empty table, and
	// every offerRarely-th time to a nearly empty one: a peer may have been dropped
	// for a failure of the network in between.
	offerPeriod = 5 * time.Second
	offerRarely = 12
)

// maxAttempts bounds the bootstrap peers whose last attempts are remembered:
// BootstrapPeersFunc may name others each time.
const maxAttempts = 1024

// attempts remembers how the last attempt at each bootstrap peer ended.
type attempts struct {
	mu   sync.Mutex
	last map[peer.ID]error
}

func (a *attempts) note(p peer.AddrInfo, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil || len(a.last) >= maxAttempts {
		a.last = make(map[peer.ID]error)
	}
	a.last[p.ID] = err
}

// failures returns how many of peers could not be reached, and one of the
// errors.
func (a *attempts) failures(peers []peer.AddrInfo) (n int, example error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range peers {
		if err := a.last[p.ID]; err != nil {
			n++
			example = err
		}
	}
	return n, example
}

// keepBootstrapped connects to the bootstrap peers while the table is nearly
// empty, until the DHT is closed.
func (d *DHT) keepBootstrapped() {
	peers := func() []peer.AddrInfo {
		d.boot.renew(d.transport.Connected, d.changed.broadcast)
		return d.boot.known()
	}
	enough := func() bool { return d.loop.node.View().Len() > fewPeers }
	host.KeepConnected(d.ctx, d.transport, peers, enough, func(p peer.AddrInfo, err error) {
		d.boot.note(p, err)
		if err == nil {
			d.offer(p.ID)
		}
		d.changed.broadcast()
	})
}

// keepOffering offers peers to a nearly empty table again and again.
func (d *DHT) keepOffering() {
	tick := time.NewTicker(offerPeriod)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return
		}
		if size := d.loop.node.View().Len(); size == 0 || size <= fewPeers && n%offerRarely == 0 {
			d.offerAll()
		}
	}
}

// offerAll offers the connected peers that speak our protocol, and the bootstrap
// peers in any case: whether they do is what their verification finds out, even
// where identify has failed.
func (d *DHT) offerAll() {
	view := d.loop.node.View()
	peers := d.book.speaking()
	for _, p := range d.boot.known() {
		if d.transport.Connected(p.ID) {
			peers = append(peers, p.ID)
		}
	}
	for _, p := range peers {
		if !view.Contains(p) {
			d.offer(p)
		}
	}
}

// WaitReady waits until the DHT can be used: until at least one other peer has
// been verified and is in the routing table. A node without bootstrap peers, without
// connections and without peers of an earlier run (Stores.Table) is the first of its
// network and ready at once. If ctx ends
// before, the error says why: which bootstrap peers cannot be reached, or that
// those connected do not speak the protocol.
func (d *DHT) WaitReady(ctx context.Context) error { return d.waitFor(ctx, d.ready) }

// WaitPeers waits until at least n other peers are in the routing table. Its
// errors are those of WaitReady.
func (d *DHT) WaitPeers(ctx context.Context, n int) error {
	return d.waitFor(ctx, func() bool { return d.loop.node.View().Len() >= n })
}

func (d *DHT) waitFor(ctx context.Context, enough func() bool) error {
	for {
		next := d.changed.next()
		if enough() {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("kdht: not ready: %w (%w)", d.whyNotReady(), ctx.Err())
		case <-d.closing:
			return ErrClosed
		}
	}
}

func (d *DHT) ready() bool {
	if d.loop.node.View().Len() > 0 {
		return true
	}
	connected, _, _ := d.book.count()
	return connected == 0 && !d.resumption.resuming() && !d.boot.pending() && len(d.boot.known()) == 0
}

// whyNotReady describes an empty table: what is the case and what to do.
func (d *DHT) whyNotReady() error {
	peers := d.boot.known()
	connected, speaking, unidentified := d.book.count()
	failed, example := d.boot.failures(peers)
	switch size := d.loop.node.View().Len(); {
	case size > 0:
		return fmt.Errorf("only %d peers in the routing table, %d connected", size, connected)
	case speaking > 0:
		return fmt.Errorf("%w: %d connected, %d speak %s, none has answered yet", ErrNoPeers, connected, speaking, d.cfg.Protocol)
	case unidentified > 0:
		return fmt.Errorf("%w: %d connected, %d of them not identified yet", ErrNoPeers, connected, unidentified)
	case connected > 0:
		return fmt.Errorf("%w: %d connected, 0 speak %s as servers: check that all nodes have the same protocol prefix and are not all clients",
			ErrNoPeers, connected, d.cfg.Protocol)
	case failed > 0:
		return fmt.Errorf("%w: %d of %d bootstrap peers unreachable, check their addresses: %w", ErrNoPeers, failed, len(peers), example)
	case d.boot.pending():
		return fmt.Errorf("%w: still waiting for BootstrapPeersFunc to return", ErrNoPeers)
	case len(peers) > 0:
		return fmt.Errorf("%w: still dialling %d bootstrap peers", ErrNoPeers, len(peers))
	case d.resumption.resuming():
		return d.resumption.why()
	}
	return fmt.Errorf("%w: %w", ErrNoPeers, ErrNobody)
}

// ErrNobody is why a DHT knows no peers that has never been given any: it is the
// first of its network, or has not been told where that is. It comes with ErrNoPeers.
var ErrNobody = errors.New("nobody is connected and no bootstrap peers are given: pass kdht.BootstrapPeers or connect the host to a member")
