package routing

import (
	"sync"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	corenetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// watcher turns what the host reports into inputs of the node. Its functions
// run on the host's reporting goroutine.
func (d *DHT) watcher() host.Watcher {
	return host.Watcher{
		Connected: func(p peer.ID) {
			d.book.connected.LoadOrStore(p, unheard)
			d.book.origin(p)
			_ = d.loop.post(func(time.Time) { d.observers.ranks.connected(p) })
			d.changed.broadcast()
		},
		Disconnected: func(p peer.ID) {
			d.book.gone(p)
			d.changed.broadcast()
		},
		Speaks: func(p peer.ID) {
			d.book.connected.Store(p, speaks)
			d.offer(p)
		},
		Silent: func(p peer.ID) {
			d.book.connected.Store(p, silent)
			_ = d.loop.post(func(now time.Time) { d.loop.node.PeerGone(now, p) })
			d.changed.broadcast()
		},
		Addrs:     d.updateAddrs,
		Reachable: func(r corenetwork.Reachability) { d.role.follow(r) },
	}
}

// offer gives the node a connected peer that speaks our protocol. One without
// a known address is a member like others (wire.md §6): it can be asked while it
// is connected, and answers to FIND_NODE leave it out.
func (d *DHT) offer(p peer.ID) {
	c := d.book.contact(p)
	_ = d.loop.post(func(now time.Time) { d.loop.node.PeerSeen(now, c) })
}

// updateAddrs gives the node our own present addresses.
func (d *DHT) updateAddrs() {
	self := d.book.updateSelf()
	_ = d.loop.post(func(time.Time) { d.loop.node.SetAddrs(self.Peer.Addrs) })
}

// radiusShift: 2^3 times the distance of the k-th neighbour is how far from us
// the keys are that we are expected to hold (DESIGN §8).
const radiusShift = 3

// tableChanged runs on the loop after a batch that changed the table: the
// host is told who is in it, the stores how far our part of the keyspace reaches,
// and who waits for the table is woken.
func (d *DHT) tableChanged() {
	d.changed.broadcast()
	self := &d.loop.node.Self().Key
	d.observers.ranks.update(self, d.loop.node.View(), d.cfg.K)
	radius := radiusOf(self, d.loop.node.View().AppendClosest(nil, self, d.cfg.K), d.cfg.K)
	for _, s := range []any{d.values, d.providers} {
		if s, ok := s.(interface{ SetRadius(keyspace.Distance) }); ok {
			s.SetRadius(radius)
		}
	}
}

// radiusOf returns 2^radiusShift times the distance of the k-th of the nearest
// members, or zero, not known, while there are fewer or it would leave the
// keyspace.
func radiusOf(self *keyspace.Key, nearest []*kademlia.Contact, k int) (radius keyspace.Distance) {
	if len(nearest) < k {
		return radius
	}
	d := keyspace.DistanceOf(self, &nearest[k-1].Key)
	if d[0]>>(8-radiusShift) != 0 {
		return radius
	}
	for i := range d {
		radius[i] = d[i] << radiusShift
		if i+1 < len(d) {
			radius[i] |= d[i+1] >> (8 - radiusShift)
		}
	}
	return radius
}

// signal wakes everybody who waits for something to change. The zero value is
// ready for use.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// next returns a channel that is closed at the next broadcast.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
