package routing

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// book is the kademlia.Book of a live peer: who is connected, as the watcher has
// reported it, and the transport's addresses of everybody. It is safe for
// concurrent use and answers Connected without asking the transport.
type book struct {
	transport host.Transport
	filter    func([][]byte) [][]byte // nil: all
	self      atomic.Pointer[kademlia.Contact]
	connected sync.Map // peer.ID → voice
	origins   sync.Map // peer.ID → netip.Addr, of those connected from a public address
}

// voice is what a connected peer is known to speak.
type voice uint8

const (
	unheard voice = iota // not identified yet
	silent               // not our protocol
	speaks               // our protocol
)

// Contact implements kademlia.Book.
func (b *book) Contact(id peer.ID) *kademlia.Contact {
	if id == b.transport.ID() {
		if c := b.self.Load(); c != nil && c.HasAddrs() {
			return c
		}
		return nil
	}
	if c := b.contact(id); c.HasAddrs() {
		return c
	}
	return nil
}

// contact returns the contact of a peer under the addresses known, perhaps none.
func (b *book) contact(id peer.ID) *kademlia.Contact {
	return kademlia.NewContact(id, b.inside(b.transport.PeerAddrs(id)))
}

// inside returns those addresses that are in our network, in binary.
func (b *book) inside(addrs []multiaddr.Multiaddr) [][]byte {
	if b.filter == nil {
		return binary(addrs)
	}
	return b.filter(binary(addrs))
}

// Connected implements kademlia.Book.
func (b *book) Connected(id peer.ID) bool {
	_, ok := b.connected.Load(id)
	return ok
}

// origin notes where a peer that has just connected is connected from. What is no
// public address says nothing of its subnet: whoever stands before us has it.
func (b *book) origin(id peer.ID) {
	t, ok := b.transport.(host.Locator)
	if !ok {
		return
	}
	if ip, ok := t.Origin(id); ok && profile.PublicIP(ip) {
		b.origins.Store(id, ip)
	}
}

// gone notes that a peer is connected no longer.
func (b *book) gone(id peer.ID) {
	b.connected.Delete(id)
	b.origins.Delete(id)
}

// connection is what the node asks of a peer: where it is connected from, if that
// is known, and whether it is connected.
func (b *book) connection(id peer.ID) (from netip.Addr, connected bool) {
	if ip, known := b.origins.Load(id); known {
		from = ip.(netip.Addr)
	}
	return from, b.Connected(id)
}

// sender notes that a peer has sent a request, which it needs a connection for:
// the watcher may not have come round to it yet. Whether the connection is still
// there is looked at afterwards, so that its end, whenever it is reported, takes
// the peer out again.
func (b *book) sender(id peer.ID) {
	if _, known := b.connected.LoadOrStore(id, unheard); !known && !b.transport.Connected(id) {
		b.connected.Delete(id)
	}
}

// updateSelf takes over our own present addresses.
func (b *book) updateSelf() *kademlia.Contact {
	c := kademlia.NewContact(b.transport.ID(), b.inside(b.transport.Addrs()))
	b.self.Store(c)
	return c
}

// count returns how many peers are connected, and how many of them are known to
// speak our protocol, and how many have not been identified.
func (b *book) count() (connected, speaking, unidentified int) {
	b.connected.Range(func(_, v any) bool {
		connected++
		switch v.(voice) {
		case speaks:
			speaking++
		case unheard:
			unidentified++
		}
		return true
	})
	return connected, speaking, unidentified
}

// speaking returns the connected peers that speak our protocol.
func (b *book) speaking() []peer.ID {
	var ids []peer.ID
	b.connected.Range(func(id, v any) bool {
		if v.(voice) == speaks {
			ids = append(ids, id.(peer.ID))
		}
		return true
	})
	return ids
}
