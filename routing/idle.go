package routing

import (
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// idleAfter is for how long a connection that we made for a lookup is kept for the
	// next one: a node's memory is its connections (performance.md §2.6), and most of
	// those whom a lookup asks are in nobody's way again. It is longer than streams are
	// kept (host.Config.ReuseTimeout).
	idleAfter = 2 * time.Minute
	// idleLook is how often they are looked at.
	idleLook = 30 * time.Second
	// farAtHand connections to members of a bucket are kept, beyond those to the k
	// nearest: a hundred nodes hold fewer than thirty each so (M1), at no cost to whoever uses
	// the network every other minute.
	farAtHand = 2
)

// keepThrifty closes connections that we have made and nobody needs any more, until the
// DHT is closed. A nearly empty table may need whomever we are connected to.
func (d *DHT) keepThrifty() {
	saver, ok := d.transport.(host.Saver)
	if !ok {
		return
	}
	self := keyspace.KeyOfString(string(d.ID()))
	tick := time.NewTicker(idleLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return
		}
		if view := d.loop.node.View(); view.Len() > fewPeers {
			saver.CloseIdle(idleAfter, atHand(&self, view.AppendClosest(nil, &self, view.Len()), d.cfg.K).holds)
		}
	}
}

// near are the peers whose connections are kept though they are idle.
type near map[peer.ID]struct{}

// atHand returns, of members in order of their distance, the k nearest to us, whom all that is asked and stored here
// concerns, and a few of every other part of the keyspace, so that a lookup's first
// questions need no dial.
func atHand(self *keyspace.Key, members []*kademlia.Contact, k int) near {
	kept := make(near)
	perBucket := make(map[int]int)
	for i, c := range members {
		prefix := keyspace.CommonPrefixLen(self, &c.Key)
		if i >= k {
			perBucket[prefix]++
		}
		if perBucket[prefix] <= farAtHand {
			kept[c.ID] = struct{}{}
		}
	}
	return kept
}

func (n near) holds(p peer.ID) bool {
	_, ok := n[p]
	return ok
}
