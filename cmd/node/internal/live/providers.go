package live

import (
	"context"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Provide implements control.Node.
func (n *Node) Provide(ctx context.Context, r control.ProvideRequest, w control.Watch) (*control.Provided, error) {
	c, err := input.CID(r.CID)
	if err != nil {
		return nil, err
	}
	report, err := observed(ctx, w, func(ctx context.Context) error { return n.dht.Provide(ctx, c, true) })
	if err != nil {
		return nil, failure(err, report)
	}
	return &control.Provided{Report: report}, nil
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
	seen := make(map[peer.ID]bool)
	report, err := observed(ctx, w, func(ctx context.Context) error {
		for p := range n.dht.FindProvidersAsync(ctx, c, max(0, r.Count)) {
			seen[p.ID] = true
			found := asPeer(p)
			w(control.Event{Provider: &found})
		}
		return nil
	})
	switch {
	case len(seen) > 0:
		return &control.Providers{Count: len(seen), Report: report}, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && report.Asked == 0 && n.Peers() == 0:
		err = errAlone
	case err == nil:
		err = control.Errorf(control.NotFound, "nobody asked (%d peers) knows a provider of %s: has one run `kdht provide`?", report.Answered, c)
	}
	return nil, failure(err, report)
}
