package conformance

import (
	"context"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht"
	ours "github.com/kdht/kdht/protocol"
)

// clientPeer is the client under test: a kdht peer in client mode that takes
// nobody into its routing table, so that all requests it makes are the script's.
type clientPeer struct {
	host host.Host
	dht  *kdht.DHT
}

// newClient makes a client that is connected to the server.
func newClient(t *testing.T, transport string, server host.Host, in overlay) clientPeer {
	t.Helper()
	h, err := newHost(transport, freshKey(t), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	nobody := func(peer.AddrInfo) bool { return false }
	dht, err := kdht.New(h, append(in.options(kdht.ModeClient), kdht.RoutingTableFilter(nobody))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dht.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := dial(ctx, h, server); err != nil {
		t.Fatal(err)
	}
	return clientPeer{host: h, dht: dht}
}

// ask makes one request.
func (c clientPeer) ask(ctx context.Context, to peer.ID, req *ours.Message) (*ours.Message, error) {
	if req.Type == ours.AddProvider {
		req.ProviderPeers = []ours.Peer{{ID: []byte(c.host.ID()), Addrs: addrBytes(c.host.Addrs())}}
	}
	return c.dht.Ask(ctx, to, req)
}
