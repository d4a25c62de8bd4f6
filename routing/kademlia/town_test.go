package kademlia

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// town is a network in which everybody knows everybody, and answers in the order of
// asking. Some of its peers were made to sit next to one key: they take what they are
// given and keep nothing. Passive ones answer well, lying ones name, for that key or
// for every one, nobody but each other, and false providers.
type town struct {
	t      testing.TB
	rng    *rand.Rand
	now    time.Time
	folk   *View // all, by key
	sybils *View // those made
	lies   func(key []byte) bool
	framed []protocol.Peer // providers that Sybils name
	values map[peer.ID]map[string]protocol.Record
	claims map[peer.ID]map[string][]protocol.Peer
	queue  []errand
	sent   int
}

// errand is a request on its way.
type errand struct {
	from *resident
	id   RequestID
	to   *Contact
	req  *protocol.Message
}

// resident is a node that lives in a town.
type resident struct {
	town *town
	node *Node
}

var nowhere keyspace.Key

func newTown(t testing.TB, seed uint64, peers int) *town {
	t.Logf("seed %d", seed)
	w := &town{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, folk: &View{self: &nowhere}, sybils: &View{self: &nowhere},
		lies: func([]byte) bool { return false }, values: map[peer.ID]map[string]protocol.Record{}, claims: map[peer.ID]map[string][]protocol.Peer{},
	}
	for range peers {
		w.folk = w.settled(w.folk, testContact(w.rng.Uint64()))
	}
	return w
}

func (w *town) settled(v *View, c *Contact) *View {
	return v.with(keyspace.CommonPrefixLen(v.self, &c.Key), c)
}

// besiege makes n peers next to a key, the nearest of a hundred thousand, and returns
// one to which they are nearer than any other.
func (w *town) besiege(n int) (key []byte) {
	type made struct {
		number, distance uint64
	}
	best := make([]made, 1<<17)
	for i := range best {
		best[i].number = w.rng.Uint64()
	}
	for round := 0; ; round++ {
		key = fmt.Append(nil, "key ", round)
		target := keyspace.KeyOf(key)
		nearest := w.folk.AppendClosest(nil, &target, 1)[0]
		for i := range best {
			place := keyspace.KeyOfString(string(testID(best[i].number)))
			best[i].distance = prefixOf(&place) ^ prefixOf(&target)
		}
		slices.SortFunc(best, func(a, b made) int { return cmp.Compare(a.distance, b.distance) })
		if n == 0 || best[min(n, 22)-1].distance < prefixOf(&nearest.Key)^prefixOf(&target) {
			break
		}
	}
	for _, m := range best[:n] {
		c := testContact(m.number)
		w.folk, w.sybils = w.settled(w.folk, c), w.settled(w.sybils, c)
	}
	for i := range 4 * n {
		w.framed = append(w.framed, testContact(uint64(1e6+i)).Peer)
	}
	return key
}

// move has a node come to town, know 150 of its honest peers as a table does, and probe
// some.
func (w *town) move(change func(*Config)) *resident {
	r := &resident{town: w}
	me := testContact(w.rng.Uint64())
	cfg := Config{Self: me.ID, Network: r, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), 2)), Timing: Timing{Refresh: -1}}
	if change != nil {
		change(&cfg)
	}
	n, err := NewNode(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	r.node = n
	n.SetAddrs(me.Peer.Addrs)
	n.refresher.running = true // which never ends: there are no refreshes
	neighbours := w.folk.AppendClosest(nil, &me.Key, w.folk.Len())
	w.rng.Shuffle(len(neighbours), func(i, j int) { neighbours[i], neighbours[j] = neighbours[j], neighbours[i] })
	for _, c := range neighbours {
		if w.sybils.contact(&c.Key) == nil && n.table.hasRoom(&c.Key) {
			n.table.insert(w.now, c)
		}
	}
	for p := range min(farBuckets, len(n.table.buckets)) {
		members := n.table.buckets[p].members
		for i := range min(8, len(members)) {
			n.prober.member(w.now, &members[i])
		}
	}
	w.run()
	return r
}

// Send implements Network.
func (r *resident) Send(id RequestID, to *Contact, req *protocol.Message) {
	r.town.queue = append(r.town.queue, errand{r, id, to, req})
	r.town.sent++
}

// run answers everything until nobody asks any more.
func (w *town) run() {
	for len(w.queue) > 0 {
		e := w.queue[0]
		w.queue = w.queue[1:]
		w.now = w.now.Add(time.Millisecond)
		e.from.node.HandleResponse(w.now, e.id, w.answer(&e), nil)
	}
}

// answer is what e is answered with.
func (w *town) answer(e *errand) *protocol.Message {
	target, key := keyspace.KeyOf(e.req.Key), string(e.req.Key)
	m := &protocol.Message{Type: e.req.Type, Key: e.req.Key, ClusterLevel: 1}
	known, hostile := w.folk, w.sybils.contact(&e.to.Key) != nil
	if hostile && w.lies(e.req.Key) {
		known = w.sybils
		if e.req.Type == protocol.GetProviders {
			m.ProviderPeers = w.framed[w.rng.IntN(len(w.framed)-20):][:20]
		}
	}
	for _, c := range known.AppendClosest(nil, &target, 22) {
		if c.ID != e.to.ID && c.ID != e.from.node.cfg.Self && len(m.CloserPeers) < 20 {
			m.CloserPeers = append(m.CloserPeers, c.Peer)
		}
	}
	switch {
	case hostile:
	case e.req.Type == protocol.PutValue:
		put(w.values, e.to.ID, key, e.req.Record.Clone())
	case e.req.Type == protocol.AddProvider:
		put(w.claims, e.to.ID, key, append(w.claims[e.to.ID][key], e.req.ProviderPeers[0].Clone()))
	case e.req.Type == protocol.GetValue:
		m.Record, m.HasRecord = w.values[e.to.ID][key]
	case e.req.Type == protocol.GetProviders:
		m.ProviderPeers = w.claims[e.to.ID][key]
	}
	return m
}

func put[V any](all map[peer.ID]map[string]V, who peer.ID, key string, v V) {
	if all[who] == nil {
		all[who] = make(map[string]V)
	}
	all[who][key] = v
}

// await runs an operation to its end.
func (w *town) await(op func(done func(time.Time, Result))) (r Result) {
	ended := 0
	op(func(_ time.Time, res Result) { r, ended = res, ended+1 })
	if w.run(); ended != 1 {
		w.t.Fatalf("the operation ended %d times", ended)
	}
	return r
}
