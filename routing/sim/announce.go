package sim

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store/keystore"
)

// lot is what a flight carries that is a batch of announcements.
type lot struct {
	batch kademlia.BatchID
	keys  []kademlia.Key
	taken int
}

// lotDeadline is how long a batch of announcements is waited for, as live.
const lotDeadline = 30 * time.Second

// Announce implements kademlia.Announcer for the member that is acting. A batch is one
// flight; it counts as so many requests.
func (r *run) Announce(id kademlia.BatchID, to *kademlia.Contact, self protocol.Peer, keys []kademlia.Key) {
	who, target := r.acting, r.index(to.ID)
	i := r.net.take()
	req := &protocol.Message{Type: protocol.AddProvider, Key: keys[0].Hash, ProviderPeers: []protocol.Peer{self}, ClusterLevel: 1}
	r.net.all[i] = flight{
		req: req, deadline: r.now + int64(lotDeadline), from: who, to: target, life: r.members[who].life,
		lot: lot{batch: id, keys: keys},
	}
	r.net.sent += uint64(len(keys))
	r.net.more += uint64(len(keys) - 1)
	r.series.sent[forRecord] += uint64(len(keys))
	r.hash(uint64(r.now), uint64(who)<<32|uint64(uint32(target)), uint64(len(keys)), head(keys[0].Hash))
	switch {
	case target < 0:
		r.meets(i, target)
	case !r.members[target].livesAt(to) && !r.connected(who, target):
		r.strays(i)
	default:
		r.leave(i, who, target)
	}
}

// takesLot has the target of flight i take a batch, one announcement after the other, each
// as soon as its limiter lets it: live, the next is read then.
func (r *run) takesLot(i int32, back int64) {
	fl := &r.net.all[i]
	start := back
	for fl.taken < len(fl.keys) {
		fl.req.Key = fl.keys[fl.taken].Hash
		at, served := r.admits(i, back, back-start)
		fl = &r.net.all[i]
		if !served {
			return
		}
		if at-start > int64(lotDeadline)/2 {
			r.fail(i, fl.deadline, protocol.ErrTimeout, Limited)
			return
		}
		back = at
		var err error
		if sink := r.net.sink; sink != nil {
			sink(fl.to, fl.req.Key)
		} else {
			r.acting = fl.to
			r.handlers.Self = r.members[fl.to].contact.ID
			err = r.serveRecord(fl.to, protocol.Remote{Peer: r.members[fl.from].contact.ID}, fl.req, &protocol.Message{})
		}
		if err != nil {
			r.fail(i, back, protocol.ErrRefused, Limited)
			return
		}
		fl.taken++
	}
	r.queue.push(back, comeIn, fl.from, i)
}

// keeper is a member's keys, in memory, as long as it lives.
type keeper struct {
	run   *run
	who   int32
	life  uint32
	store *keystore.Keystore
	told  func(v *kademlia.Visited) // nil: nobody
}

// keepKeys gives the node of a member that is up keys to keep announced.
func (r *run) keepKeys(who int32) *keeper {
	m := &r.members[who]
	k := &keeper{run: r, who: who, life: m.life, store: keystore.New()}
	r.act(who, func(now time.Time) { m.node.SetKeys(now, k, r, kademlia.Cursor{}) })
	return k
}

// Read implements kademlia.Keys.
func (k *keeper) Read(id kademlia.ReadID, first, last keyspace.Key, due bool, most int) {
	var keys []kademlia.Key
	take := func(s keystore.Key) bool {
		keys = append(keys, kademlia.Key{Hash: s.Hash, Place: s.Place, Last: s.Last, Due: s.Due})
		return len(keys) < most
	}
	if due {
		k.check(k.store.Due(first, last, take))
	} else {
		k.check(k.store.Range(first, last, take))
	}
	k.answer(id, keys)
}

// Visited implements kademlia.Keys.
func (k *keeper) Visited(id kademlia.ReadID, v kademlia.Visited) {
	for i := range v.Taken {
		k.check(k.store.Announced(v.At, v.Taken[i].Hash))
	}
	for i := range v.Failed {
		k.check(k.store.Failed(v.Failed[i].Hash))
	}
	if k.told != nil {
		k.told(&v)
	}
	k.answer(id, nil)
}

func (k *keeper) check(err error) {
	if err != nil {
		k.run.violated("keys of member %d: %v", k.who, err)
	}
}

// answer plans the answer to a reading.
func (k *keeper) answer(id kademlia.ReadID, keys []kademlia.Key) {
	r := k.run
	r.later(k.who, func() {
		if m := &r.members[k.who]; m.up && m.life == k.life {
			r.act(k.who, func(now time.Time) { m.node.HandleKeys(now, id, keys, nil) })
		}
	})
}

// later has f happen in a moment, as what a disk does.
func (r *run) later(who int32, f func()) {
	r.net.tasks = append(r.net.tasks, f)
	r.queue.push(r.now+int64(readTime), task, who, int32(len(r.net.tasks)-1))
}

// does lets a task happen.
func (r *run) does(i int32) {
	f := r.net.tasks[i]
	r.net.tasks[i] = nil
	if r.net.done++; r.net.done == len(r.net.tasks) {
		r.net.tasks, r.net.done = r.net.tasks[:0], 0
	}
	f()
}
