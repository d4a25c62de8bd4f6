package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multistream"
)

// listing is what identify has told of a peer and our protocol.
type listing int

const (
	unknown  listing = iota // not identified yet
	listed                  // the peer speaks it
	unlisted                // the peer speaks others
)

// Open returns a stream to a peer; see Transport.
func (e *Endpoint) Open(ctx context.Context, to peer.ID, fresh bool) (Stream, error) {
	e.dialed.touch(to)
	o, reused, err := e.pool.get(ctx, to, fresh)
	if err != nil {
		return nil, fmt.Errorf("host: open stream to %s: %w", to, err)
	}
	return &lease{out: o, pool: e.pool, reused: reused}, nil
}

// newStream opens a stream, dialing first where there is no connection. It does
// not wait for the peer to be identified: whoever is found through the DHT speaks
// it, and so a first request costs one round trip less (performance.md §1.3).
// Only with a peer that is known not to list the protocol it negotiates first.
func (e *Endpoint) newStream(ctx context.Context, to peer.ID) (*outbound, error) {
	if err := e.dial(ctx, to); err != nil {
		return nil, err
	}
	s, err := e.host.Network().NewStream(ctx, to) // dials again if it was lost since
	if err != nil {
		return nil, dialError(ctx, err)
	}
	o := &outbound{
		stream:   s,
		lazy:     multistream.NewMSSelect(s, e.cfg.Protocol),
		speaks:   func() listing { return e.lists(to) },
		peer:     to,
		account:  account{scope: s.Scope(), prio: network.ReservationPriorityHigh, base: clientBase},
		maxFrame: e.cfg.MaxFrame,
	}
	o.frames = frameReader{src: s, max: uint64(e.cfg.MaxFrame)}
	if err := e.book(o); err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return nil, fmt.Errorf("%w: %w", ErrTooManyStreams, err)
	}
	if o.speaks() == unlisted {
		if err := negotiateNow(ctx, o); err != nil {
			_ = s.ResetWithError(network.StreamProtocolNegotiationFailed)
			return nil, err
		}
	}
	return o, nil
}

// book enters the stream with libp2p's resource manager.
func (e *Endpoint) book(o *outbound) error {
	if err := o.stream.SetProtocol(e.cfg.Protocol); err != nil {
		return err
	}
	if err := o.stream.Scope().SetService(serviceName); err != nil {
		return err
	}
	return o.account.hold(clientBase)
}

// negotiateNow sends the negotiation and waits for its outcome, or ctx's end.
func negotiateNow(ctx context.Context, o *outbound) error {
	stop := context.AfterFunc(ctx, o.reset)
	err := o.lazy.Flush()
	if err == nil {
		err = o.negotiate()
	}
	if !stop() {
		return ctx.Err()
	}
	return err
}

// lists tells what the peerstore knows of p and our protocol.
func (e *Endpoint) lists(p peer.ID) listing {
	ps := e.host.Peerstore()
	if ok, err := ps.SupportsProtocols(p, e.cfg.Protocol); err == nil && len(ok) > 0 {
		return listed
	}
	if all, err := ps.GetProtocols(p); err == nil && len(all) > 0 {
		return unlisted
	}
	return unknown
}

// dial makes sure there is a direct connection. It goes to the network below the
// host, which neither waits for identify nor asks a router (us) for addresses.
func (e *Endpoint) dial(ctx context.Context, to peer.ID) error {
	if e.Connected(to) {
		return nil
	}
	if _, err := e.host.Network().DialPeer(ctx, to); err != nil {
		return dialError(ctx, err)
	}
	e.dialed.made(to)
	return nil
}

// dialError says which kind of failure err is. The text of the cause stays, on
// one line; its identity does not, as the network's own timeouts are not the
// caller's.
func dialError(ctx context.Context, err error) error {
	kind := ErrUnreachable
	switch {
	case ctx.Err() != nil:
		kind = ctx.Err()
	case errors.Is(err, network.ErrResourceLimitExceeded):
		kind = ErrTooManyStreams
	}
	return fmt.Errorf("%w: %s", kind, strings.ReplaceAll(err.Error(), "\n  * ", "; "))
}
