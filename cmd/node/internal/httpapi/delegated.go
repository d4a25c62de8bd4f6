package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/routing/http/server"
	"github.com/ipfs/boxo/routing/http/types"
	"github.com/ipfs/boxo/routing/http/types/iter"
	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
)

// Overlay is what /routing/v1 asks of a node.
type Overlay interface {
	control.Node
	// EachProvider has found told who provides c, as they are found, until it says
	// false. It returns an error if there was none.
	EachProvider(ctx context.Context, c cid.Cid, found func(peer.AddrInfo) bool) error
}

// delegate asks a node what boxo's server is asked.
type delegate struct{ node Overlay }

var _ server.DelegatedRouter = delegate{}

// verdict is the status that an error of one request is answered with; boxo's server
// says 500 to all.
type verdict struct{ status int }

type verdictKey struct{}

// judged notes the status that goes with an error, and returns it as boxo expects it.
func judged(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	e := control.AsError(err)
	status := http.StatusInternalServerError
	switch e.Kind {
	case control.NotFound:
		return routing.ErrNotFound
	case control.NoPeers, control.Interrupted:
		status = http.StatusServiceUnavailable
	case control.Timeout:
		status = http.StatusGatewayTimeout
	case control.Usage:
		status = http.StatusBadRequest
	}
	return refused(ctx, status, e)
}

func refused(ctx context.Context, status int, err error) error {
	if v, ok := ctx.Value(verdictKey{}).(*verdict); ok {
		v.status = status
	}
	return err
}

// FindProviders implements server.DelegatedRouter. What is found is told at once; an
// error is returned only if it comes before anything is found.
func (d delegate) FindProviders(ctx context.Context, c cid.Cid, _ int) (iter.ResultIter[types.Record], error) {
	searching, cancel := context.WithCancel(ctx)
	s := &providers{found: make(chan peer.AddrInfo), cancel: cancel}
	var failed error
	go func() {
		defer close(s.found)
		failed = d.node.EachProvider(searching, c, func(p peer.AddrInfo) bool {
			select {
			case s.found <- p:
				return true
			case <-searching.Done():
				return false
			}
		})
	}()
	if s.first, s.more = <-s.found; !s.more {
		cancel()
		return nil, judged(ctx, failed)
	}
	return s, nil
}

// providers are those that a search finds.
type providers struct {
	found  chan peer.AddrInfo
	cancel context.CancelFunc
	first  peer.AddrInfo
	more   bool // first is to be told yet
	now    *types.PeerRecord
}

// Next implements iter.Iter.
func (s *providers) Next() bool {
	p, ok := s.first, s.more
	if s.more = false; !ok {
		p, ok = <-s.found
	}
	if ok {
		s.now = record(p)
	}
	return ok
}

// Val implements iter.Iter.
func (s *providers) Val() iter.Result[types.Record] { return iter.Result[types.Record]{Val: s.now} }

// Close ends the search and waits for its end.
func (s *providers) Close() error {
	s.cancel()
	for range s.found {
	}
	return nil
}

func record(p peer.AddrInfo) *types.PeerRecord {
	r := &types.PeerRecord{Schema: types.SchemaPeer, ID: &p.ID, Addrs: []types.Multiaddr{}}
	for _, a := range p.Addrs {
		r.Addrs = append(r.Addrs, types.Multiaddr{Multiaddr: a})
	}
	return r
}

// records are records of peers that a node has told.
func records(told ...control.Peer) iter.ResultIter[*types.PeerRecord] {
	var all []iter.Result[*types.PeerRecord]
	for _, p := range told {
		id, err := peer.Decode(p.ID)
		if err != nil {
			continue
		}
		info := peer.AddrInfo{ID: id}
		for _, text := range p.Addrs {
			if a, err := multiaddr.NewMultiaddr(text); err == nil {
				info.Addrs = append(info.Addrs, a)
			}
		}
		all = append(all, iter.Result[*types.PeerRecord]{Val: record(info)})
	}
	return iter.FromSlice(all)
}

// FindPeers implements server.DelegatedRouter.
func (d delegate) FindPeers(ctx context.Context, id peer.ID, _ int) (iter.ResultIter[*types.PeerRecord], error) {
	found, err := d.node.FindPeer(ctx, control.PeerRequest{ID: id.String()}, nil)
	if err != nil {
		return nil, judged(ctx, err)
	}
	return records(found.Peer), nil
}

// GetClosestPeers implements server.DelegatedRouter.
func (d delegate) GetClosestPeers(ctx context.Context, key cid.Cid) (iter.ResultIter[*types.PeerRecord], error) {
	closest, err := d.node.Closest(ctx, control.ClosestRequest{Key: key.Hash()}, nil)
	if err != nil {
		return nil, judged(ctx, err)
	}
	return records(closest.Peers...), nil
}

// keepsIPNS returns an error where the network has no such records.
func (d delegate) keepsIPNS(ctx context.Context) error {
	s, err := d.node.Status(ctx)
	if err != nil {
		return judged(ctx, err)
	}
	if !slices.Contains(s.Namespaces, "ipns") {
		return refused(ctx, http.StatusNotImplemented, control.Errorf(control.Usage, "this network keeps no IPNS records, but values under %v: ask a node of --network amino or lan", s.Namespaces))
	}
	return nil
}

// GetIPNS implements server.DelegatedRouter.
func (d delegate) GetIPNS(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	if err := d.keepsIPNS(ctx); err != nil {
		return nil, err
	}
	found, err := d.node.Get(ctx, control.GetRequest{Key: name.RoutingKey()}, nil)
	if err != nil {
		return nil, judged(ctx, err)
	}
	r, err := ipns.UnmarshalRecord(found.Value)
	return r, judged(ctx, err)
}

// PutIPNS implements server.DelegatedRouter. That nobody else took the record is an
// error: this node alone is no place for it.
func (d delegate) PutIPNS(ctx context.Context, name ipns.Name, r *ipns.Record) error {
	if err := d.keepsIPNS(ctx); err != nil {
		return err
	}
	raw, err := ipns.MarshalRecord(r)
	if err != nil {
		return judged(ctx, err)
	}
	_, err = d.node.Put(ctx, control.PutRequest{Key: name.RoutingKey(), Value: raw}, nil)
	return judged(ctx, err)
}

// ProvideBitswap implements server.DelegatedRouter. Announcing for others is not
// offered: a provider record comes from its provider alone.
//
//lint:ignore SA1019 the interface has it
func (d delegate) ProvideBitswap(ctx context.Context, _ *server.BitswapWriteProvideRequest) (time.Duration, error) {
	return 0, refused(ctx, http.StatusNotImplemented, errors.New("this node announces nothing for others: a provider announces itself, with `kdht provide`"))
}
