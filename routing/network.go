package routing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// requestTimeout bounds one request, dialling included (wire.md §5).
	requestTimeout = 10 * time.Second
	// heardTTL is how long addresses heard of a peer are kept for dialling it
	// (wire.md §6).
	heardTTL = 2 * time.Minute
)

// network carries the Node's requests: each on a goroutine of its own, as many
// at a time as the client admits.
//
// Invariant: for every Send exactly one HandleResponse is posted, unless the
// loop is closed first.
type network struct {
	ctx       context.Context // ends with the DHT
	loop      *loop
	client    *rpc.Client
	transport host.Transport
	times     *times
	running   sync.WaitGroup // added to by the loop only
}

// messages holds room for answers.
var messages = sync.Pool{New: func() any { return new(protocol.Message) }}

// Send implements kademlia.Network; it runs on the loop.
func (n *network) Send(id kademlia.RequestID, to *kademlia.Contact, req *protocol.Message) {
	n.running.Add(1)
	go func() {
		defer n.running.Done()
		resp := messages.Get().(*protocol.Message)
		err := n.exchange(n.ctx, to, req, resp)
		_ = n.loop.post(func(now time.Time) {
			n.loop.node.HandleResponse(now, id, resp, err)
			resp.Reset()
			messages.Put(resp)
		})
	}()
}

// exchange puts req to a peer and reads the answer into resp, if there is one to
// that type of request, and counts how long that took. It takes requestTimeout at most.
func (n *network) exchange(ctx context.Context, to *kademlia.Contact, req, resp *protocol.Message) error {
	began := n.loop.now()
	err := n.carry(ctx, to, req, resp)
	if err == nil {
		n.times.note(req.Type, n.loop.now().Sub(began))
	}
	return err
}

// carry is exchange without the counting.
func (n *network) carry(ctx context.Context, to *kademlia.Contact, req, resp *protocol.Message) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	n.remember(to)
	if req.Type == protocol.AddProvider {
		return n.client.Send(ctx, to.ID, req)
	}
	return n.client.RoundTrip(ctx, to.ID, req, resp)
}

// remember notes where a peer is to be dialled.
func (n *network) remember(to *kademlia.Contact) {
	if to.HasAddrs() && !n.transport.Connected(to.ID) {
		n.transport.Remember(to.ID, multiaddrs(to.Peer.Addrs), heardTTL)
	}
}

// streams gives the client the host's streams, and its errors the names that
// the protocol has for them.
type streams struct{ transport host.Transport }

// Open implements rpc.Streams.
func (s streams) Open(ctx context.Context, to peer.ID, fresh bool) (rpc.Stream, error) {
	opened, err := s.transport.Open(ctx, to, fresh)
	if err != nil {
		return nil, sentinel(err)
	}
	return stream{opened}, nil
}

// stream is a host's stream with the protocol's errors.
type stream struct{ host.Stream }

// ReadFrame implements rpc.Stream.
func (s stream) ReadFrame() ([]byte, error) {
	b, err := s.Stream.ReadFrame()
	if errors.Is(err, host.ErrFrameTooLarge) || errors.Is(err, host.ErrFramePrefix) {
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	return b, sentinel(err)
}

// WriteFrame implements rpc.Stream.
func (s stream) WriteFrame(b []byte) error { return sentinel(s.Stream.WriteFrame(b)) }

// sentinel wraps the sentinel of protocol that an error of host stands for; an
// error that stands for none is returned as it is.
func sentinel(err error) error {
	for _, pair := range [...]struct{ of, is error }{
		{host.ErrUnreachable, protocol.ErrUnreachable},
		{host.ErrUnsupported, protocol.ErrUnsupported},
		{host.ErrTooManyStreams, protocol.ErrLocal},
		{host.ErrClosed, protocol.ErrLocal},
	} {
		if errors.Is(err, pair.of) {
			return fmt.Errorf("%w: %w", pair.is, err)
		}
	}
	return err
}

// multiaddrs parses binary addresses; what does not parse is left out.
func multiaddrs(addrs [][]byte) []multiaddr.Multiaddr {
	parsed := make([]multiaddr.Multiaddr, 0, len(addrs))
	for _, b := range addrs {
		if a, err := multiaddr.NewMultiaddrBytes(b); err == nil {
			parsed = append(parsed, a)
		}
	}
	return parsed
}

// binary is the reverse of multiaddrs.
func binary(addrs []multiaddr.Multiaddr) [][]byte {
	encoded := make([][]byte, len(addrs))
	for i, a := range addrs {
		encoded[i] = a.Bytes()
	}
	return encoded
}

// addrInfo returns what libp2p calls a contact.
func addrInfo(c *kademlia.Contact) peer.AddrInfo {
	return peer.AddrInfo{ID: c.ID, Addrs: multiaddrs(c.Peer.Addrs)}
}
