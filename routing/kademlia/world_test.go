package kademlia

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// world is a network in memory with virtual time: it drives real Nodes and real
// Handlers, one event after another, and is as deterministic as its seed.
type world struct {
	t       testing.TB
	now     time.Time
	rng     *rand.Rand
	events  eventQueue
	last    uint64
	members map[peer.ID]*member
	order   []*member
	asked   map[askedOnce]int // requests per query and peer
	sent    int
	trace   uint64 // hash of all that was sent

	sawRequest func(from *member, req *protocol.Message) // nil: nobody looks
}

type askedOnce struct {
	request *protocol.Message
	to      peer.ID
}

type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	e := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return e
}

// member is one node of the world, and its network.
type member struct {
	world    *world
	node     *Node
	handlers *Handlers
	contact  *Contact
	fate     fate
	wake     time.Time
}

// fate is how a member treats requests.
type fate uint8

const (
	alive   fate = iota
	crashed      // refuses connections at once
	hung         // takes requests and never answers
	cut          // lives, but its own network is gone
)

func (m *member) lives() bool { return m.fate == alive || m.fate == cut }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, seed uint64) *world {
	t.Logf("seed %d", seed)
	return &world{
		t: t, now: epoch, rng: rand.New(rand.NewPCG(seed, 0)),
		members: make(map[peer.ID]*member), asked: make(map[askedOnce]int),
	}
}

// testID returns a well-formed peer id made from a number.
func testID(n uint64) peer.ID {
	raw := append([]byte{0x12, 0x20}, make([]byte, 32)...)
	binary.BigEndian.PutUint64(raw[2:], n)
	return peer.ID(raw)
}

// testAddr is /ip4/10.x.x.x/udp/port in binary.
func testAddr(n uint64) []byte {
	return []byte{0x04, 10, byte(n >> 16), byte(n >> 8), byte(n), 0x91, 0x02, 0x10, 0x00}
}

func testContact(n uint64) *Contact { return NewContact(testID(n), [][]byte{testAddr(n)}) }

// add makes a member; change may alter its configuration.
func (w *world) add(n uint64, change func(*Config)) *member {
	m := &member{world: w, contact: testContact(n)}
	cfg := Config{Self: m.contact.ID, Network: m, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), n))}
	if change != nil {
		change(&cfg)
	}
	node, err := NewNode(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	m.node = node
	node.SetAddrs(m.contact.Peer.Addrs)
	m.handlers = &Handlers{
		Self: cfg.Self, K: node.cfg.K, View: node.View, Book: m,
		Values: valueMap{}, Providers: providerMap{},
	}
	w.members[cfg.Self] = m
	w.order = append(w.order, m)
	return m
}

// after has do happen d from now.
func (w *world) after(d time.Duration, do func()) {
	w.last++
	heap.Push(&w.events, event{w.now.Add(d), w.last, do})
}

// run lets time pass until the given moment or until nothing is left to happen.
func (w *world) run(until time.Time) {
	for len(w.events) > 0 && !w.events[0].at.After(until) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// runUntil lets time pass until done is true, and fails the test after limit.
func (w *world) runUntil(limit time.Duration, done func() bool) {
	end := w.now.Add(limit)
	for !done() {
		if len(w.events) == 0 || w.events[0].at.After(end) {
			w.t.Fatalf("not done after %v of virtual time", limit)
		}
		w.run(w.events[0].at)
	}
}

// touch plans the member's next Advance; it follows every input.
func (m *member) touch() {
	next := m.node.NextDeadline()
	if next.IsZero() || (!m.wake.IsZero() && !next.Before(m.wake)) {
		return
	}
	if !next.After(m.world.now) {
		next = m.world.now.Add(time.Nanosecond) // time must move on
	}
	m.wake = next
	m.world.after(next.Sub(m.world.now), func() {
		if !m.wake.Equal(m.world.now) || !m.lives() {
			return
		}
		m.wake = time.Time{}
		m.node.Advance(m.world.now)
		m.touch()
	})
}

// Send implements Network.
func (m *member) Send(id RequestID, to *Contact, req *protocol.Message) {
	w := m.world
	w.sent++
	if w.sawRequest != nil {
		w.sawRequest(m, req)
	}
	w.asked[askedOnce{req, to.ID}]++
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, w.trace))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(w.now.UnixNano())))
	h.Write([]byte(m.contact.ID))
	h.Write([]byte(to.ID))
	h.Write(req.Key)
	w.trace = h.Sum64()
	there := time.Duration(5+w.rng.IntN(45)) * time.Millisecond
	w.after(there, func() { m.deliver(id, to, req, there) })
}

func (m *member) deliver(id RequestID, to *Contact, req *protocol.Message, back time.Duration) {
	w := m.world
	target := w.members[to.ID]
	if m.fate == cut {
		target = nil
	}
	answer := func(resp *protocol.Message, err error) {
		w.after(back, func() {
			if m.lives() {
				m.node.HandleResponse(w.now, id, resp, err)
				m.touch()
			}
		})
	}
	switch {
	case target == nil || target.fate == crashed || target.fate == cut:
		answer(nil, protocol.ErrUnreachable)
	case target.fate == hung:
		back = 10 * time.Second // the transport's own deadline
		answer(nil, protocol.ErrTimeout)
	default:
		resp, err := target.serve(m.contact, req)
		answer(resp, err)
		target.node.PeerSeen(w.now, m.contact) // identify told it of the requester
		target.touch()
	}
}

// serve answers as the RPC layer does.
func (m *member) serve(from *Contact, req *protocol.Message) (*protocol.Message, error) {
	resp := &protocol.Message{Type: req.Type, ClusterLevel: 1}
	remote := protocol.Remote{Peer: from.ID}
	h := m.handlers
	serve := map[protocol.Type]func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error{
		protocol.Ping: h.Ping, protocol.FindNode: h.FindNode, protocol.GetValue: h.GetValue,
		protocol.PutValue: h.PutValue, protocol.GetProviders: h.GetProviders, protocol.AddProvider: h.AddProvider,
	}[req.Type]
	if err := serve(m.world.now, remote, req, resp); err != nil {
		return nil, fmt.Errorf("%w: %w", protocol.ErrRefused, err)
	}
	return resp, nil
}

// Contact and Connected implement Book.
func (m *member) Contact(id peer.ID) *Contact {
	if id == m.contact.ID {
		return m.contact
	}
	key := keyspace.KeyOfString(string(id))
	return m.node.table.contact(&key)
}

func (m *member) Connected(peer.ID) bool { return false }

// grow makes a network of n members that join one after another through the
// first, and lets it settle.
func (w *world) grow(n int, change func(*Config)) {
	for i := range n {
		m := w.add(uint64(len(w.order)), change)
		if i > 0 {
			first := w.order[0].contact
			w.after(time.Duration(i)*20*time.Millisecond, func() {
				m.node.PeerSeen(w.now, first)
				m.touch()
			})
		}
	}
	w.run(w.now.Add(time.Duration(n)*20*time.Millisecond + 30*time.Second))
}

// closest returns the k living members truly nearest to key, but not except.
func (w *world) closest(key []byte, k int, except peer.ID) []peer.ID {
	target := keyspace.KeyOf(key)
	var all []*Contact
	for _, m := range w.order {
		if m.fate == alive && m.contact.ID != except {
			all = append(all, m.contact)
		}
	}
	slices.SortFunc(all, func(a, b *Contact) int { return keyspace.CompareDistance(&target, &a.Key, &b.Key) })
	return idsOf(all[:min(k, len(all))])
}

func idsOf(contacts []*Contact) (ids []peer.ID) {
	for _, c := range contacts {
		ids = append(ids, c.ID)
	}
	return ids
}

// checkAskedOnce fails the test if any query asked a peer twice.
func (w *world) checkAskedOnce() {
	w.t.Helper()
	if len(w.asked) == 0 {
		w.t.Fatal("nothing was asked at all")
	}
	for a, n := range w.asked {
		if n > 1 {
			w.t.Fatalf("%v for %x asked %d times of one peer", a.request.Type, a.request.Key, n)
		}
	}
}

// valueMap and providerMap are the simplest stores.
type valueMap map[string]protocol.Record

func (v valueMap) Put(_ time.Time, rec protocol.Record) error {
	v[string(rec.Key)] = rec.Clone()
	return nil
}

func (v valueMap) Get(_ time.Time, key []byte) (protocol.Record, bool, error) {
	rec, found := v[string(key)]
	return rec, found, nil
}

type providerMap map[string][]protocol.Peer

func (p providerMap) Add(_ time.Time, key []byte, provider protocol.Peer) error {
	p[string(key)] = append(p[string(key)], provider.Clone())
	return nil
}

func (p providerMap) Append(_ time.Time, key []byte, dst []protocol.Peer, limit int) ([]protocol.Peer, error) {
	all := p[string(key)]
	return append(dst, all[:min(limit, len(all))]...), nil
}
