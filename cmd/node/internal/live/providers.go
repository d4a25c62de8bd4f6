package live

import (
	"cmp"
	"context"
	"errors"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Provide implements control.Node.
func (n *Node) Provide(ctx context.Context, r control.ProvideRequest, w control.Watch) (*control.Provided, error) {
	c, err := input.CID(r.CID)
	if err != nil {
		return nil, err
	}
	report, err := n.observed(ctx, w, func(ctx context.Context) error { return n.router.Provide(routing.Thorough(ctx), c, true) })
	if r.Once {
		n.forgetProviding(c)
	}
	switch {
	case errors.Is(err, routing.ErrNoPeers):
		err = control.Errorf(control.NoPeers, "%s is known on this node only: %s", c, why(err))
	case errors.Is(err, routing.ErrNotStored):
		err = control.Errorf(control.Failed, "no other node took the announcement of %s: it is made again in a few minutes", c)
	}
	if err != nil {
		return nil, failure(err, report)
	}
	return &control.Provided{Report: report}, nil
}

// forgetProviding has an announcement not made again.
func (n *Node) forgetProviding(c cid.Cid) {
	for _, d := range n.dhts() {
		_ = d.StopProviding(c) // what is not to be made again is no loss if it is
	}
}

// FindProviders implements control.Node.
func (n *Node) FindProviders(ctx context.Context, r control.ProvidersRequest, w control.Watch) (*control.Providers, error) {
	c, err := input.CID(r.CID)
	if err != nil {
		return nil, err
	}
	if w == nil {
		w = func(control.Event) {}
	}
	w = oneAtATime(w)
	return n.findProviders(ctx, c, r.Count, w, func(p peer.AddrInfo) bool {
		found := asPeer(p)
		w(control.Event{Provider: &found})
		return true
	})
}

// EachProvider has found told who provides c, as they are found, until it says false. Its
// error is nil if there was one.
func (n *Node) EachProvider(ctx context.Context, c cid.Cid, found func(peer.AddrInfo) bool) error {
	_, err := n.findProviders(ctx, c, 0, nil, found)
	return err
}

func (n *Node) findProviders(ctx context.Context, c cid.Cid, count int, w control.Watch, found func(peer.AddrInfo) bool) (*control.Providers, error) {
	seen := make(map[peer.ID]bool)
	report, err := n.observed(ctx, w, func(ctx context.Context) error {
		ctx, enough := context.WithCancel(ctx)
		defer enough()
		for p := range n.router.FindProvidersAsync(ctx, c, max(0, count)) {
			seen[p.ID] = true
			if !found(p) {
				enough()
			}
		}
		return nil
	})
	switch {
	case len(seen) > 0:
		return &control.Providers{Count: len(seen), Report: report}, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && report.Asked == 0 && n.Peers() == 0:
		err = cmp.Or(n.dht.Stats().Lonely, routing.ErrNoPeers)
	case err == nil:
		err = control.Errorf(control.NotFound, "not found: nobody near it knows a provider of %s; has one run `kdht provide` within 48 h?", c)
	}
	return nil, failure(err, report)
}
