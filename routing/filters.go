package routing

import (
	"net/netip"

	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// take returns the filter of binary addresses that the profile and the program's
// own filter make together; nil if all pass.
func (f *Filters) take() func([][]byte) [][]byte {
	network, own := f.Profile, f.Addresses
	switch {
	case own == nil && network == profile.Private:
		return nil
	case own == nil:
		return network.Cut
	}
	return func(addrs [][]byte) [][]byte {
		if addrs = network.Cut(addrs); len(addrs) == 0 {
			return nil
		}
		return binary(own(multiaddrs(addrs)))
	}
}

// follow and admit return the node's filters of peers, nil if all pass: the
// program's own or, outside private networks, that a peer has an address which
// leads to it directly. Addresses outside the network have been cut before.
func (f *Filters) follow() func(*kademlia.Contact) bool { return f.peers(f.Query) }

func (f *Filters) admit() func(*kademlia.Contact) bool { return f.peers(f.Table) }

func (f *Filters) peers(own func(peer.AddrInfo) bool) func(*kademlia.Contact) bool {
	switch {
	case own != nil:
		return func(c *kademlia.Contact) bool { return own(addrInfo(c)) }
	case f.Profile == profile.Private:
		return nil
	}
	return direct
}

// direct reports whether an address of c leads to it, without a relay and whatever
// the DNS says: where it is belongs to what is bounded.
func direct(c *kademlia.Contact) bool {
	for _, a := range c.Peer.Addrs {
		if _, ok := profile.Locate(a); ok {
			return true
		}
	}
	return false
}

// locate returns what the node bounds subnets by; nil in networks whose peers may
// all be in one.
func (f *Filters) locate() func([]byte) (netip.AddrPort, bool) {
	if f.Profile == profile.Public || f.Subnets {
		return profile.Locate
	}
	return nil
}
