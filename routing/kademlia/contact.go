package kademlia

import (
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Contact is a peer we could ask: who it is, where it is in the keyspace, and
// under which addresses. A Contact is immutable and shared by pointer between
// table, lookups and answers; news about a peer makes a new Contact.
type Contact struct {
	ID  peer.ID
	Key keyspace.Key
	// Peer is what answers tell of this contact: precoded, at most MaxAddrs
	// addresses, none of them with a trailing /p2p.
	Peer protocol.Peer
}

// NewContact returns the contact of id under addrs, binary multiaddrs, best
// first. Everything is copied. Addresses that do not parse or that name another
// peer are left out, a trailing /p2p/<id> is taken off (rust sends one, wire.md
// §3), and what comes after MaxAddrs addresses is dropped.
func NewContact(id peer.ID, addrs [][]byte) *Contact {
	return contactOf(id, ownAddrs([]byte(id), addrs))
}

// contactOf takes over addrs, which ownAddrs has made.
func contactOf(id peer.ID, addrs [][]byte) *Contact {
	c := &Contact{ID: id}
	c.Peer.ID = []byte(id)
	c.Peer.Addrs = addrs
	c.Key = keyspace.KeyOf(c.Peer.ID)
	c.Peer.Precode()
	return c
}

// ownAddrs copies the usable ones of addrs into one piece of memory.
func ownAddrs(id []byte, addrs [][]byte) [][]byte {
	var usable [protocol.MaxAddrs][]byte
	n, size := 0, 0
	for _, a := range addrs {
		if n == len(usable) {
			break
		}
		if a, ok := protocol.SplitP2P(a, id); ok && len(a) <= protocol.MaxPeerSize/protocol.MaxAddrs {
			usable[n] = a
			size += len(a)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	own, room := make([][]byte, n), make([]byte, 0, size)
	for i, a := range usable[:n] {
		start := len(room)
		room = append(room, a...)
		own[i] = room[start:len(room):len(room)]
	}
	return own
}

// HasAddrs reports whether the contact could be dialled.
func (c *Contact) HasAddrs() bool { return len(c.Peer.Addrs) > 0 }

// sameAddrs reports whether both contacts name the same addresses in order.
func (c *Contact) sameAddrs(o *Contact) bool {
	if len(c.Peer.Addrs) != len(o.Peer.Addrs) {
		return false
	}
	for i, a := range c.Peer.Addrs {
		if string(a) != string(o.Peer.Addrs[i]) {
			return false
		}
	}
	return true
}
