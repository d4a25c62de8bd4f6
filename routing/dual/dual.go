// Package dual makes one router of two networks that a host is in at a time: a
// public one, WAN, and one of the machines around, LAN.
//
//	dht, err := dual.New(h, amino.Config(), amino.LANConfig())
//	err = dht.WaitReady(ctx)
//	err = dht.Provide(ctx, c, true) // in both
//
// What is read comes from both: the best value of the two, providers of either,
// each once, and all addresses of a peer. What is written goes to both, and it is
// enough that one took it; WithReport tells which. Operations that concern one
// network alone are methods of the fields WAN and LAN.
//
// The host must be free to dial both kinds of addresses, so it is made with
// profile.Private; what each network takes from others is bounded by its own
// filters.
//
// The invariant: the two share the host and nothing else, neither table nor
// records, and when Close has returned, nothing of either is running.
package dual

import (
	"context"
	"errors"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// DHT is a member of two networks. All methods are safe for concurrent use.
type DHT struct {
	WAN, LAN *routing.DHT

	ctx context.Context // ends with the DHT
	end context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // what spawn has started
	once    sync.Once
	err     error // of Close
}

var (
	_ core.Routing       = (*DHT)(nil)
	_ core.PubKeyFetcher = (*DHT)(nil)
)

// New starts both members on h, which stays the caller's.
func New(h host.Host, wan, lan routing.Config) (*DHT, error) {
	w, err := routing.New(h, wan)
	if err != nil {
		return nil, err
	}
	l, err := routing.New(h, lan)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	ctx, end := context.WithCancel(context.Background())
	return &DHT{WAN: w, LAN: l, ctx: ctx, end: end}, nil
}

// Close ends both.
func (d *DHT) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	d.once.Do(func() {
		var of [2]error
		var ending sync.WaitGroup
		for i, side := range [...]*routing.DHT{d.WAN, d.LAN} {
			ending.Go(func() { of[i] = side.Close() })
		}
		ending.Wait()
		d.err = errors.Join(of[:]...)
	})
	d.running.Wait()
	return d.err
}

// spawn runs f on a goroutine that Close waits for; false, and nothing is run, if
// the DHT is closed.
func (d *DHT) spawn(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.running.Go(f)
	return true
}

// within returns ctx, ended also by the DHT's end: nobody waits for who has given up
// receiving.
func (d *DHT) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// ID returns this peer's id.
func (d *DHT) ID() peer.ID { return d.WAN.ID() }

// Bootstrap hastens both; see routing.DHT.
func (d *DHT) Bootstrap(ctx context.Context) error {
	return merge(ctx, d.WAN.Bootstrap(ctx), d.LAN.Bootstrap(ctx))
}

// Refresh refreshes both tables and returns when that is over.
func (d *DHT) Refresh(ctx context.Context) error {
	return both(ctx, d, effect((*routing.DHT).Refresh), nil).err(ctx)
}

// StopProviding stops announcing c in both.
func (d *DHT) StopProviding(c cid.Cid) error {
	return merge(context.Background(), d.WAN.StopProviding(c), d.LAN.StopProviding(c))
}

// StopRepublishing stops putting the value under key again in both.
func (d *DHT) StopRepublishing(key string) error {
	return merge(context.Background(), d.WAN.StopRepublishing(key), d.LAN.StopRepublishing(key))
}

// WaitReady waits until one of the networks can be used: until a peer of either has
// been verified. A node that has nobody to begin with in either is the first of both
// and ready at once. If ctx ends before, the error says of both why.
func (d *DHT) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	one := func(side *routing.DHT, ctx context.Context) error { return side.WaitPeers(ctx, 1) }
	met := make(chan error, 1)
	d.start(func() { met <- both(ctx, d, effect(one), first).err(ctx) })
	alone := make(chan error, 1)
	d.start(func() { alone <- both(ctx, d, effect((*routing.DHT).WaitReady), failing).strict() })
	select {
	case err := <-met:
		return err
	case err := <-alone:
		if err == nil {
			return nil
		}
	}
	return <-met
}

// start runs f on a goroutine, or here if the DHT is closed: then it ends at once.
func (d *DHT) start(f func()) {
	if !d.spawn(f) {
		f()
	}
}
