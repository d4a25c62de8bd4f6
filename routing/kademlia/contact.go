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
	return contactOf(id, ownAddrs([]byte(id), addrs, nil))
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

// maxAddrsRead bounds the addresses of one peer that are looked at (wire.md §22).
const maxAddrsRead = 64

// maxIDSize bounds a peer's id in bytes. Ids of RSA keys have 34, of Ed25519 keys
// 38, of ECDSA keys some 100; an identity multihash could be of any length.
const maxIDSize = 128

// ownAddrs returns the usable ones of addrs, cut to MaxAddrs, as copies in one
// piece of memory. take, if not nil, says which are usable to us.
func ownAddrs(id []byte, addrs [][]byte, take func([][]byte) [][]byte) [][]byte {
	usable := make([][]byte, 0, min(len(addrs), maxAddrsRead))
	size := 0
	for _, a := range addrs[:min(len(addrs), maxAddrsRead)] {
		if a, ok := protocol.SplitP2P(a, id); ok && len(a) <= protocol.MaxPeerSize/protocol.MaxAddrs {
			usable = append(usable, a)
		}
	}
	if take != nil {
		usable = take(usable)
	}
	usable = usable[:min(len(usable), protocol.MaxAddrs)]
	for _, a := range usable {
		size += len(a)
	}
	return packed(usable, size)
}

// packed copies addrs, size bytes in all, into one piece of memory.
func packed(addrs [][]byte, size int) [][]byte {
	if len(addrs) == 0 {
		return nil
	}
	own, bytes := make([][]byte, len(addrs)), make([]byte, 0, size)
	for i, a := range addrs {
		start := len(bytes)
		bytes = append(bytes, a...)
		own[i] = bytes[start:len(bytes):len(bytes)]
	}
	return own
}

// merged returns the contact with the addresses of both, of which neither can
// crowd out the other's: half of what is kept is for each.
func merged(c, other *Contact) *Contact {
	var all [][]byte
	const half = protocol.MaxAddrs / 2
	for _, part := range [][][]byte{
		c.Peer.Addrs[:min(half, len(c.Peer.Addrs))], other.Peer.Addrs,
		c.Peer.Addrs[min(half, len(c.Peer.Addrs)):],
	} {
		for _, a := range part {
			if len(all) < protocol.MaxAddrs && !containsAddr(all, a) {
				all = append(all, a)
			}
		}
	}
	return contactOf(c.ID, all)
}

func containsAddr(addrs [][]byte, a []byte) bool {
	for _, b := range addrs {
		if string(a) == string(b) {
			return true
		}
	}
	return false
}

// HasAddrs reports whether the contact could be dialled.
func (c *Contact) HasAddrs() bool { return len(c.Peer.Addrs) > 0 }

// size returns about how many bytes the contact takes.
func (c *Contact) size() int {
	n := 256 + 2*len(c.ID)
	for _, a := range c.Peer.Addrs {
		n += 24 + 2*len(a) // they are there once more as answers carry them
	}
	return n
}

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
