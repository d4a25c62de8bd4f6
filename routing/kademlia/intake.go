package kademlia

import (
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// shared returns the contact that many nodes share for p, nil if there is none,
// and its key.
func (n *Node) shared(p *protocol.Peer) (*Contact, keyspace.Key) {
	if n.cfg.Known != nil {
		if c := n.cfg.Known(p); c != nil {
			return c, c.Key
		}
	}
	return nil, keyspace.KeyOf(p.ID)
}

// contactIn returns the peer named in an answer as a contact, with the
// addresses we would dial; nil if its id is none.
func (n *Node) contactIn(p *protocol.Peer) *Contact {
	if len(p.ID) > maxIDSize {
		return nil
	}
	id, err := p.PeerID()
	if err != nil {
		return nil
	}
	return contactOf(id, ownAddrs(p.ID, p.Addrs, n.cfg.TakeAddrs))
}

// filtered returns c with only the addresses we would dial.
func (n *Node) filtered(c *Contact) *Contact {
	if n.cfg.TakeAddrs == nil {
		return c
	}
	addrs := n.cfg.TakeAddrs(c.Peer.Addrs)
	if len(addrs) == len(c.Peer.Addrs) {
		return c
	}
	return contactOf(c.ID, addrs)
}
