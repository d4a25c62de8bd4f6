package routing

import (
	"context"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/kdht/kdht/routing/kademlia"
	corehost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// Caller puts single requests to peers without being a member itself: it has no table and no store, and serves nothing. It is for
// tools, such as those that walk a network ([crawl.Run]). All methods are safe for concurrent use.
type Caller struct {
	host      corehost.Host
	transport host.Transport
	network   network
	end       context.CancelFunc
}

var _ crawl.Sender = (*Caller)(nil)

// NewCaller returns a caller that speaks the protocol of this id, in codec's format, from h, which stays the program's.
func NewCaller(h corehost.Host, id coreprotocol.ID, codec protocol.Codec) (*Caller, error) {
	t, err := host.NewEndpoint(h, host.Config{Protocol: id})
	if err != nil {
		return nil, err
	}
	c := &Caller{host: h, transport: t}
	c.network.transport = t
	c.network.client = rpc.NewClient(codec, streams{t}, rpc.ClientConfig{Timeout: requestTimeout})
	c.network.ctx, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Close resets what is under way. The host stays open.
func (c *Caller) Close() error {
	c.end()
	return c.transport.Close()
}

// Ask puts one bare request to one peer and returns its answer, which is empty for a request that has none (AddProvider). It takes
// 10 s at most, the dial included. The error wraps one of protocol's sentinels or ctx's error.
func (c *Caller) Ask(ctx context.Context, to peer.AddrInfo, req *protocol.Message) (*protocol.Message, error) {
	return c.ask(ctx, kademlia.NewContact(to.ID, binary(to.Addrs)), req)
}

func (c *Caller) ask(ctx context.Context, to *kademlia.Contact, req *protocol.Message) (*protocol.Message, error) {
	if err := to.ID.Validate(); err != nil {
		return nil, err
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.network.ctx, cancel)()
	resp := new(protocol.Message)
	err := c.network.carry(within, to, req, resp)
	switch {
	case err == nil:
		return resp, nil
	case ended(ctx) != nil:
		return nil, ended(ctx)
	case c.network.ctx.Err() != nil:
		return nil, ErrClosed
	}
	return nil, err
}

// FindNode implements crawl.Sender.
func (c *Caller) FindNode(ctx context.Context, to crawl.Peer, key []byte) ([]protocol.Peer, error) {
	resp, err := c.ask(ctx, kademlia.NewContact(to.ID, to.Addrs), &protocol.Message{Type: protocol.FindNode, Key: key, ClusterLevel: 1})
	if err != nil {
		if ctx.Err() != nil { // the time for this request is over
			err = protocol.ErrTimeout
		}
		return nil, err
	}
	return resp.CloserPeers, nil
}

// Leave implements crawl.Sender: it closes the connections to a peer that nobody else on the host protects.
func (c *Caller) Leave(id peer.ID) {
	if !c.host.ConnManager().IsProtected(id, "") {
		_ = c.host.Network().ClosePeer(id)
	}
}
