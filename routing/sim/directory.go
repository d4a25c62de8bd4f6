package sim

import (
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// directory holds the contacts of all members, in pieces of memory side by side,
// and knows them again in answers without reading what an answer points to: in a
// run of a hundred thousand nodes that would be most of the work.
//
// Invariant: the addresses of contact n are addrs[n : n+1], and their capacity
// reaches to the end of addrs; so it tells n. Nobody appends to them.
type directory struct {
	pages [][]kademlia.Contact // of pageSize each
	addrs [][]byte
}

const pageSize = 1 << 10

// newDirectory returns a directory with room for the addresses of so many members;
// those of more are found by their ids.
func newDirectory(room int) directory { return directory{addrs: make([][]byte, room)} }

// put makes c, which is copied, the contact of member n, the next.
func (d *directory) put(n int32, c *kademlia.Contact) *kademlia.Contact {
	for int(n)/pageSize >= len(d.pages) {
		d.pages = append(d.pages, make([]kademlia.Contact, pageSize))
	}
	own := d.at(n)
	*own = *c
	if int(n) < len(d.addrs) && len(c.Peer.Addrs) == 1 {
		d.addrs[n] = c.Peer.Addrs[0]
		own.Peer.Addrs = d.addrs[n : n+1]
	}
	return own
}

func (d *directory) at(n int32) *kademlia.Contact { return &d.pages[n/pageSize][n%pageSize] }

// find returns the contact that p is a copy of, or nil if it is none or not known to
// be one.
func (d *directory) find(p *protocol.Peer) *kademlia.Contact {
	n := len(d.addrs) - cap(p.Addrs)
	if len(p.Addrs) != 1 || n < 0 || n >= len(d.pages)*pageSize || &p.Addrs[0] != &d.addrs[n] {
		return nil
	}
	if c := d.at(int32(n)); len(p.ID) == idSize && len(c.Peer.ID) == idSize && &p.ID[0] == &c.Peer.ID[0] {
		return c
	}
	return nil
}
