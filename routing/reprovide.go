package routing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store/keystore"
)

// batchTimeout bounds one batch of announcements to a peer: as long as a peer that takes
// few at a time may delay those of one batch, five seconds' worth, and what it takes to
// reach it.
const batchTimeout = 30 * time.Second

// ownKeys is the Node's way to the keys that we keep announced: each reading on a
// goroutine of its own, of which there is one at a time.
type ownKeys struct {
	dht     *DHT
	store   *keystore.Keystore // nil if there are no providers
	running sync.WaitGroup     // added to by the loop only
}

// Read implements kademlia.Keys.
func (o *ownKeys) Read(id kademlia.ReadID, first, last keyspace.Key, due bool, most int) {
	o.answer(id, func() (keys []kademlia.Key, err error) {
		defer recovered("store of the keys to be announced", &err)
		take := func(k keystore.Key) bool {
			keys = append(keys, kademlia.Key{Hash: k.Hash, Place: k.Place, Last: k.Last, Due: k.Due})
			return len(keys) < most
		}
		if due {
			err = o.store.Due(first, last, take)
		} else {
			err = o.store.Range(first, last, take)
		}
		return keys, err
	})
}

// Visited implements kademlia.Keys. What is kept announced stays in our own store too.
func (o *ownKeys) Visited(id kademlia.ReadID, v kademlia.Visited) {
	o.answer(id, func() (_ []kademlia.Key, err error) {
		defer recovered("store of the keys to be announced", &err)
		if err := o.store.Announced(v.At, hashes(v.Taken)...); err != nil {
			return nil, err
		}
		if err := o.store.Failed(hashes(v.Failed)...); err != nil {
			return nil, err
		}
		if err := o.store.SetState(keystore.State{Began: v.Began, Next: v.Next}); err != nil {
			return nil, err
		}
		now, self := o.dht.loop.now(), protocol.Peer{ID: []byte(o.dht.transport.ID())}
		for _, keys := range [...][]kademlia.Key{v.Taken, v.Failed} {
			for i := range keys {
				if there, err := o.store.Has(keys[i].Hash); err == nil && there {
					_ = o.dht.providers.Add(now, keys[i].Hash, self) // which says itself what is wrong
				}
			}
		}
		return nil, o.store.Sync()
	})
}

func hashes(keys []kademlia.Key) [][]byte {
	all := make([][]byte, len(keys))
	for i := range keys {
		all[i] = keys[i].Hash
	}
	return all
}

func (o *ownKeys) answer(id kademlia.ReadID, with func() ([]kademlia.Key, error)) {
	l := o.dht.loop
	o.running.Go(func() {
		keys, err := with()
		_ = l.post(func(now time.Time) { l.node.HandleKeys(now, id, keys, err) })
	})
}

// Announce implements kademlia.Announcer; it runs on the loop.
func (n *network) Announce(id kademlia.BatchID, to *kademlia.Contact, self protocol.Peer, keys []kademlia.Key) {
	n.running.Add(1)
	go func() {
		defer n.running.Done()
		ctx, cancel := context.WithTimeout(n.ctx, batchTimeout)
		defer cancel()
		n.remember(to)
		m := &protocol.Message{Type: protocol.AddProvider, ProviderPeers: []protocol.Peer{self}, ClusterLevel: 1}
		taken, err := n.client.SendAll(ctx, to.ID, len(keys), func(i int) *protocol.Message {
			m.Key = keys[i].Hash
			return m
		})
		_ = n.loop.post(func(now time.Time) { n.loop.node.HandleAnnounced(now, id, taken, err) })
	}()
}

// resumeProviding has the Node keep announced what the keystore holds, going on where an
// earlier run stood. It is called before the loop runs.
func (d *DHT) resumeProviding() {
	if d.kept.store == nil {
		return
	}
	now, st := d.loop.now(), d.kept.store.State()
	d.loop.node.SetKeys(now, &d.kept, d.network, kademlia.Cursor{Began: st.Began, Next: st.Next})
	if d.kept.store.DueLen() > 0 {
		d.loop.node.KeysDue(now)
	}
}

// errNotRepeated says why keys cannot be kept announced.
var errNotRepeated = errors.New("kdht: this node keeps no keys announced, because Timing.Reprovide is below zero: set it to 0 for every 22 hours, or announce each key with Provide")

// keepProviding has key announced again and again, or, if nothing is, keeps the record in
// our own store only.
func (d *DHT) keepProviding(key []byte) error {
	if d.loop.node.Timing().Reprovide < 0 {
		d.provided.set(string(key), d.loop.now())
		return nil
	}
	_, err := d.kept.store.Add(key)
	return err
}

// announced notes what became of announcing a key, if it is still to be kept announced: if
// nobody has taken it, it is tried again soon.
func (d *DHT) announced(key []byte, taken bool) error {
	timing := d.loop.node.Timing()
	if timing.Reprovide < 0 {
		return nil
	}
	if taken {
		return errors.Join(d.kept.store.Announced(d.loop.now(), key), d.kept.store.Sync())
	}
	if err := errors.Join(d.kept.store.Failed(key), d.kept.store.Sync()); err != nil {
		return err
	}
	return d.loop.post(func(now time.Time) { d.loop.node.KeysDue(now.Add(timing.Retry)) })
}
