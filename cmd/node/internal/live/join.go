package live

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
)

// Join waits until the node knows another one, or until it is clear that none of
// its bootstrap peers is of use. The first node of a network has joined at once.
func (n *Node) Join(ctx context.Context) error {
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- n.router.WaitReady(trying) }()
	tried := make(chan error, 1)
	go func() { tried <- n.tryAll(trying) }()
	var err, hopeless error
	select {
	case err = <-ready:
		if err != nil {
			hopeless = <-tried
		}
	case hopeless = <-tried:
		if hopeless != nil {
			cancel()
		}
		err = <-ready // nil if another was found meanwhile, in another way
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return control.AsError(ctx.Err())
	case hopeless != nil:
		return hopeless // it says more
	}
	return control.Errorf(control.NoPeers, "%s", strings.TrimSuffix(control.Line(err), " ("+context.DeadlineExceeded.Error()+")"))
}

// tryAll connects to every bootstrap peer once. It returns nil as soon as one of
// them turns out to be of the network, or if there are none.
func (n *Node) tryAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(n.cfg.Bootstrap))
	var attempts sync.WaitGroup
	for i, p := range n.cfg.Bootstrap {
		attempts.Go(func() {
			if errs[i] = n.try(ctx, p); errs[i] == nil {
				cancel()
			}
		})
	}
	attempts.Wait()
	if len(errs) == 0 || slices.Contains(errs, nil) {
		return nil
	}
	return errs[0]
}

// connect connects to a peer, also if it could not be reached a moment ago, and
// waits until it has said what it speaks.
func (n *Node) connect(ctx context.Context, p peer.AddrInfo) error {
	err := n.host.Connect(ctx, p)
	if errors.Is(err, swarm.ErrDialBackoff) {
		err = n.host.Connect(network.WithForceDirectDial(ctx, "asked for by name"), p)
	}
	if err != nil {
		return err
	}
	identifying, ok := n.host.(interface{ IDService() identify.IDService })
	if !ok {
		return nil
	}
	for _, c := range n.host.Network().ConnsToPeer(p.ID) {
		select {
		case <-identifying.IDService().IdentifyWait(c):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// try connects to a bootstrap peer and looks whether it serves our network.
func (n *Node) try(ctx context.Context, p peer.AddrInfo) error {
	if p.ID == n.host.ID() {
		return control.Errorf(control.Usage, "the bootstrap address is this node's own: give another node's")
	}
	addr := ""
	if full := FullAddrs(p); len(full) > 0 {
		addr = full[0]
	}
	if err := n.connect(ctx, p); err != nil {
		return control.Errorf(control.NoPeers, "cannot reach %s: %s; does that node run, and is the address still right?", addr, brief(err))
	}
	protocols := n.spoken(ctx, p.ID)
	if len(protocols) == 0 || n.speaks(protocols) {
		return nil
	}
	for _, id := range protocols {
		if strings.HasSuffix(string(id), "/kad/1.0.0") {
			return control.Errorf(control.NoPeers, "%s is of another network, %s, not %s: give %s", addr, id, n.protocol, flagsFor(id))
		}
	}
	return control.Errorf(control.NoPeers, "%s does not serve %s: is it a client, or of another network?", addr, n.protocol)
}

// spokenTime is how long a peer that says that it does not serve our network may take to say otherwise, and how often that is
// looked at: one that has only just started tells first what its host speaks, and then what it serves.
const (
	spokenTime = time.Second
	spokenLook = 50 * time.Millisecond
)

// spoken returns what a peer says that it speaks, as soon as our network is part of it.
func (n *Node) spoken(ctx context.Context, p peer.ID) []protocol.ID {
	over := time.After(spokenTime)
	for {
		protocols, err := n.host.Peerstore().GetProtocols(p)
		if err != nil || len(protocols) == 0 || n.speaks(protocols) {
			return protocols
		}
		select {
		case <-time.After(spokenLook):
		case <-over:
			return protocols
		case <-ctx.Done():
			return protocols
		}
	}
}
