// Package kdht is a Kademlia distributed hash table for libp2p applications.
//
// A DHT answers three questions without any server in the middle: where is this
// peer, who has this content, and what is stored under this key. Its members
// keep a small table of each other, arranged so that a question reaches the
// right ones in a few hops, and each keeps a share of the records.
//
// A libp2p host carries the messages; kdht is put on top of it:
//
//	dht, err := kdht.New(h, kdht.BootstrapPeers(peers...))
//	if err != nil { … }
//	defer dht.Close()
//	err = dht.WaitReady(ctx) // or it says why there is nobody
//
//	err = dht.PutValue(ctx, "/imm/"+sum, value) // and GetValue, SearchValue
//	err = dht.Provide(ctx, c, true)             // and FindProvidersAsync
//	info, err := dht.FindPeer(ctx, id)          // and GetClosestPeers
//
// The type is libp2p's core/routing.Routing, so it is also what libp2p.Routing
// wants; package host/build has an option that installs it there and closes it
// with the host.
//
// Without options a DHT is a member of a private network with the protocol id
// /kdht/kad/1.0.0, serves it, and stores values of three kinds: /pk/<peer id>,
// public keys; /imm/<sha-256>, content that names itself; /mut/<peer id>/<name>,
// signed by the peer, where the higher sequence wins. Nobody can overwrite
// another's value. NamespacedValidator adds kinds of your own, ProtocolPrefix
// makes the network yours. Preset joins other networks: amino.Config() the public
// one of IPFS nodes, amino.LANConfig() theirs of local networks, and NewDual both.
//
// Contexts bound every operation: when one ends, the operation returns what was
// found so far and the context's error. What an operation did is told by
// WithReport, and hop by hop by libp2p's routing.RegisterForQueryEvents.
//
// The promise: kdht speaks the protocol that go-libp2p, rust-libp2p and
// js-libp2p peers speak, bit for bit; a peer is asked at most once in a lookup;
// a quorum is exactly the number you gave; an operation that reached nobody says
// so; whatever other peers send, the memory, streams and time it costs are
// bounded; and when Close has returned, nothing is left running.
package kdht

import (
	"context"

	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/dual"
	"github.com/libp2p/go-libp2p/core/host"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// DHT is one member of an overlay; see routing.DHT for its methods.
type DHT = routing.DHT

// Report is what one operation did; see WithReport.
type Report = routing.Report

// What operations end with. ErrNotFound and ErrNotSupported are libp2p's.
var (
	ErrNotFound     = routing.ErrNotFound
	ErrNotSupported = routing.ErrNotSupported
	ErrNoPeers      = routing.ErrNoPeers
	ErrNotStored    = routing.ErrNotStored
	ErrClosed       = routing.ErrClosed
)

// New starts a DHT on h, which stays yours: close the DHT before the host.
func New(h host.Host, opts ...Option) (*DHT, error) {
	cfg, err := Configure(opts...)
	if err != nil {
		return nil, err
	}
	return routing.New(h, cfg)
}

// NewDual starts a DHT in each of two networks on h and makes one router of them: a
// public one and that of the machines around, as Preset(amino.Config()) and
// Preset(amino.LANConfig()). See package dual.
func NewDual(h host.Host, wan, lan []Option) (*dual.DHT, error) {
	w, err := Configure(wan...)
	if err != nil {
		return nil, err
	}
	l, err := Configure(lan...)
	if err != nil {
		return nil, err
	}
	return dual.New(h, w, l)
}

// WithReport returns a context under which the next operation fills in r.
func WithReport(ctx context.Context, r *Report) context.Context { return routing.WithReport(ctx, r) }

// WithFinalReport returns a context under which PutValue and Provide, which return when half
// of the k nearest peers hold the record, tell told what has become of it in the end; see
// routing.WithFinalReport.
func WithFinalReport(ctx context.Context, told func(Report, error)) context.Context {
	return routing.WithFinalReport(ctx, told)
}

// Thorough returns a context under which PutValue and Provide return when all of the k
// nearest live peers hold the record.
func Thorough(ctx context.Context) context.Context { return routing.Thorough(ctx) }

// Done is what has become of one key of ProvideMany, PutMany or FindProvidersMany, BulkError
// says which of all have failed; see WithProgress.
type (
	Done      = routing.Done
	BulkError = routing.BulkError
)

// WithProgress returns a context under which operations on many keys tell told of each that
// is through, one at a time.
func WithProgress(ctx context.Context, told func(Done)) context.Context {
	return routing.WithProgress(ctx, told)
}

// WithoutCache returns a context under which operations ask peers themselves; see
// routing.WithoutCache.
func WithoutCache(ctx context.Context) context.Context { return routing.WithoutCache(ctx) }

// Quorum makes GetValue and SearchValue end when exactly n valid values have
// come in.
func Quorum(n int) core.Option { return routing.Quorum(n) }

// LookupEvent is one step of one lookup; see RegisterForLookupEvents.
type LookupEvent = routing.LookupEvent

// RegisterForLookupEvents returns a context under which operations tell each step of
// their lookups; see routing.RegisterForLookupEvents.
func RegisterForLookupEvents(ctx context.Context) (context.Context, <-chan *LookupEvent) {
	return routing.RegisterForLookupEvents(ctx)
}

// Republish makes PutValue keep the value stored: it is put again every 22 h, until
// DHT.StopRepublishing or until it is not valid any more. See PublishedStore.
func Republish() core.Option { return routing.Republish() }
