package build

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"go.uber.org/fx"
)

// closingRouter is what a DHT has to be.
type closingRouter interface {
	routing.PeerRouting
	io.Closer
}

// Router makes a DHT the router of the host that is being made: where libp2p
// lacks a peer's addresses, it asks the DHT. Closing the host closes the router,
// which libp2p.Routing alone does not do.
//
//	var dht *kdht.DHT
//	h, err := build.New(build.Config{Options: []libp2p.Option{
//		build.Router(func(h host.Host) (_ *kdht.DHT, err error) { dht, err = kdht.New(h); return dht, err }),
//	}})
//
// construct is called once, when the host has started. If it fails, so does
// making the host.
func Router[R closingRouter](construct func(host.Host) (R, error)) libp2p.Option {
	r := &router{construct: func(h host.Host) (closingRouter, error) { return construct(h) }}
	return libp2p.ChainOptions(
		libp2p.Routing(func(h host.Host) (routing.PeerRouting, error) {
			r.host = h
			return r, nil
		}),
		// The hook comes last, so it is the first to be undone: the router closes
		// while its host still works. Constructing it there rather than above means
		// that nothing is left over when the host fails to start.
		libp2p.WithFxOption(fx.Invoke(func(_ routing.PeerRouting, lc fx.Lifecycle) {
			lc.Append(fx.StartStopHook(r.start, r.stop))
		})),
	)
}

// router stands for the DHT from before it exists until after it is closed.
type router struct {
	host      host.Host
	construct func(host.Host) (closingRouter, error)

	mu  sync.Mutex
	dht closingRouter
}

var errNoRouter = errors.New("build: router is not running")

// FindPeer implements routing.PeerRouting.
func (r *router) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	r.mu.Lock()
	dht := r.dht
	r.mu.Unlock()
	if dht == nil {
		return peer.AddrInfo{}, errNoRouter
	}
	return dht.FindPeer(ctx, id)
}

func (r *router) start() error {
	dht, err := r.construct(r.host)
	if err != nil {
		return errors.Join(err, r.host.Close()) // libp2p leaves it open
	}
	r.mu.Lock()
	r.dht = dht
	r.mu.Unlock()
	return nil
}

func (r *router) stop() error {
	r.mu.Lock()
	dht := r.dht
	r.dht = nil
	r.mu.Unlock()
	if dht == nil {
		return nil
	}
	return dht.Close()
}
