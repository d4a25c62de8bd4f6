package sim

import (
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// flight is a request on its way, or its outcome on the way back.
//
// Invariant: a flight is in exactly one event of the queue from Send until
// HandleResponse, so that every request has exactly one outcome.
type flight struct {
	id       kademlia.RequestID
	req      *protocol.Message
	resp     *protocol.Message // from the pool, nil if err is set
	err      error
	deadline int64
	from, to int32
	life     uint32 // the sender's: outcomes of an earlier life reach nobody
	opened   bool   // a connection was opened for it
	lot
}

// flights are all flights, in one piece of memory; free ones are taken again, the
// last one first.
type flights struct {
	all    []flight
	free   []int32
	pool   []*protocol.Message
	sent   uint64 // requests handed to the network
	ended  uint64 // outcomes handed back
	dials  uint64
	astray uint64 // of these, to addresses where nobody is
	// probes are the requests that ask a peer for its own id.
	probes uint64
	// sink, if not nil, takes what is announced in batches, in place of stores.
	sink  func(to int32, key []byte)
	more  uint64   // announcements under way beyond the first of each batch
	tasks []func() // that are to happen, or have
	done  int      // how many have
}

func (fs *flights) take() int32 {
	if n := len(fs.free); n > 0 {
		i := fs.free[n-1]
		fs.free = fs.free[:n-1]
		return i
	}
	fs.all = append(fs.all, flight{})
	return int32(len(fs.all) - 1)
}

// release gives a flight and its answer back.
func (fs *flights) release(i int32) {
	if m := fs.all[i].resp; m != nil {
		// What stays in the room of its slices is what all nodes share anyway.
		*m = protocol.Message{CloserPeers: m.CloserPeers[:0], ProviderPeers: m.ProviderPeers[:0]}
		fs.pool = append(fs.pool, m)
	}
	fs.all[i] = flight{}
	fs.free = append(fs.free, i)
}

// message returns an empty message with room of earlier use.
func (fs *flights) message() *protocol.Message {
	if n := len(fs.pool); n > 0 {
		m := fs.pool[n-1]
		fs.pool = fs.pool[:n-1]
		return m
	}
	return &protocol.Message{}
}

// Send implements kademlia.Network for the member that is acting.
func (r *run) Send(id kademlia.RequestID, to *kademlia.Contact, req *protocol.Message) {
	who, target := r.acting, r.index(to.ID)
	i := r.net.take()
	deadline := r.now + int64(r.cfg.Link.Deadline)
	r.net.all[i] = flight{id: id, req: req, deadline: deadline, from: who, to: target, life: r.members[who].life}
	r.net.sent++
	if string(req.Key) == string(to.ID) {
		r.net.probes++
	}
	r.countPurpose(to, req)
	r.hands(target, req)
	r.hash(uint64(r.now), uint64(who)<<32|uint64(uint32(target)), uint64(req.Type), head(req.Key))
	switch {
	case target < 0:
		r.meets(i, target)
	case !r.members[target].livesAt(to) && !r.connected(who, target):
		r.strays(i)
	default:
		r.leave(i, who, target)
	}
	r.checks.asking = nil
}

// livesAt reports whether the member is found under one of a contact's addresses.
func (m *member) livesAt(c *kademlia.Contact) bool {
	if c == m.contact {
		return true
	}
	for _, a := range c.Peer.Addrs {
		if string(a) == string(m.contact.Peer.Addrs[0]) {
			return true
		}
	}
	return false
}

// strays has flight i end at an address where nobody is.
func (r *run) strays(i int32) {
	r.net.dials++
	r.net.astray++
	r.checks.dialled(true)
	r.fail(i, r.now+int64(r.cfg.Link.Dial), protocol.ErrUnreachable, Nowhere)
}

// head returns the first eight bytes of b as a number.
func head(b []byte) uint64 {
	var eight [8]byte
	copy(eight[:], b)
	return binary.BigEndian.Uint64(eight[:])
}

// leave sends flight i on its way, over a connection or a new one.
func (r *run) leave(i, from, to int32) {
	rtt := r.rtt(from, to)
	target := &r.members[to]
	if r.connected(from, to) {
		if target.up && !r.apart(from, to) && r.connected(to, from) {
			r.queue.push(r.now+r.oneWay(rtt), arrive, to, i)
			return
		}
		r.disconnect(from, to)
		if target.fate == BlackHole || r.apart(from, to) {
			r.fail(i, r.net.all[i].deadline, protocol.ErrTimeout, r.blame(from, to))
			return
		}
	}
	r.net.dials++
	r.checks.dialled(false)
	switch state := target.fate; {
	case r.apart(from, to), state == BlackHole, state == NATed:
		r.fail(i, r.now+int64(r.cfg.Link.Dial), protocol.ErrUnreachable, r.blame(from, to))
	case state == Refuse:
		r.fail(i, r.now+2*r.oneWay(rtt), protocol.ErrUnreachable, Refuse)
	default:
		r.net.all[i].opened = true
		r.queue.push(r.now+r.setUp(to, rtt)+r.oneWay(rtt), arrive, to, i)
	}
}

// blame says which fault keeps from from reaching to.
func (r *run) blame(from, to int32) Fault {
	if r.apart(from, to) {
		return Parted
	}
	return r.members[to].fate
}

// fail plans the failure of flight i.
func (r *run) fail(i int32, at int64, err error, f Fault) {
	r.fired[f]++
	fl := &r.net.all[i]
	r.checks.departures.fails(r, fl.from, fl.to)
	if at >= fl.deadline {
		at, err = fl.deadline, protocol.ErrTimeout
	}
	fl.err = err
	r.queue.push(at, comeIn, fl.from, i)
}

// arrived hands flight i to its target.
func (r *run) arrived(i int32) {
	fl := &r.net.all[i]
	from, to := fl.from, fl.to
	target := &r.members[to]
	state := target.fate
	if r.apart(from, to) || state == Refuse || state == BlackHole {
		r.fail(i, fl.deadline, protocol.ErrTimeout, r.blame(from, to))
		return
	}
	sender := &r.members[from]
	alive := sender.up && sender.life == fl.life
	if fl.opened && alive && !r.connected(to, from) {
		r.connect(from, to)
		r.identify(to, from)
	}
	back := r.now + r.oneWay(r.rtt(from, to))
	switch {
	case state == Hung, state == Tarpit && string(fl.req.Key) != string(target.contact.ID):
		r.fail(i, fl.deadline, protocol.ErrTimeout, state)
	case target.client:
		r.fail(i, back, protocol.ErrUnsupported, Client)
	case back > fl.deadline:
		r.fail(i, fl.deadline, protocol.ErrTimeout, Lost)
	case fl.keys != nil:
		r.takesLot(i, back)
	default:
		if back, served := r.admits(i, back, 0); served {
			r.serve(i, back)
		}
	}
}

// identify tells a member who has connected to it; a client's protocols do not
// include ours.
func (r *run) identify(who, other int32) {
	m := &r.members[who]
	if m.node == nil || r.members[other].client {
		return
	}
	r.act(who, func(now time.Time) { m.node.PeerSeen(now, r.members[other].contact) })
}

// serve has the target's handlers answer flight i.
func (r *run) serve(i int32, back int64) {
	fl := &r.net.all[i]
	resp := r.net.message()
	resp.Type, resp.ClusterLevel = fl.req.Type, 1
	if r.plot.role(fl.to) != honest {
		fl.resp = resp
		r.plot.lies(r, fl, resp)
		r.queue.push(back, comeIn, fl.from, i)
		return
	}
	r.acting = fl.to
	r.handlers.Self = r.members[fl.to].contact.ID
	remote := protocol.Remote{Peer: r.members[fl.from].contact.ID}
	var err error
	switch fl.req.Type {
	case protocol.FindNode:
		err = r.handlers.FindNode(r.time(fl.to), remote, fl.req, resp)
	case protocol.Ping:
		err = r.handlers.Ping(r.time(fl.to), remote, fl.req, resp)
	default:
		err = r.serveRecord(fl.to, remote, fl.req, resp)
	}
	fl.resp = resp
	r.charges(fl)
	if err != nil {
		fl.err = protocol.ErrRefused
	}
	if sent := fl.deadline - int64(r.cfg.Link.Deadline); err != nil || back-sent >= int64(r.cfg.Node.Timing.GiveUp) {
		r.checks.departures.fails(r, fl.from, fl.to)
	}
	r.queue.push(back, comeIn, fl.from, i)
}

// cameIn hands the outcome of flight i to its sender.
func (r *run) cameIn(i int32) {
	fl := r.net.all[i]
	r.net.ended++
	if more := uint64(max(1, len(fl.keys)) - 1); more > 0 {
		r.net.ended += more
		r.net.more -= more
	}
	m := &r.members[fl.from]
	if fl.err != nil && fl.err != protocol.ErrUnsupported && fl.to >= 0 {
		r.disconnect(fl.from, fl.to)
	}
	alive := m.up && m.life == fl.life
	switch {
	case fl.id >= baselineRequest:
		r.inquired(&fl, alive)
	case alive && fl.keys != nil:
		r.act(fl.from, func(now time.Time) { m.node.HandleAnnounced(now, fl.batch, fl.taken, fl.err) })
	case alive && m.node == nil:
		r.plot.told(&fl)
	case alive:
		resp := fl.resp
		if fl.err != nil {
			resp = nil
		}
		if r.plot.role(fl.to) != honest {
			r.records.arriving(nil) // a record of theirs is none
		} else {
			r.records.arriving(resp)
		}
		r.act(fl.from, func(now time.Time) { m.node.HandleResponse(now, fl.id, resp, fl.err) })
	}
	r.net.release(i)
}

// Contact implements kademlia.Book: who is connected has told its addresses.
func (r *run) Contact(id peer.ID) *kademlia.Contact {
	i := r.index(id)
	if i < 0 || i == r.acting {
		return nil
	}
	m := &r.members[i]
	if !m.client && r.connected(r.acting, i) || r.members[r.acting].node.View().Contains(id) {
		return m.contact
	}
	return nil
}

// Connected implements kademlia.Book. Nothing reads it out of answers, so nobody
// is said to be.
func (r *run) Connected(peer.ID) bool { return false }

// known returns the contact that all nodes share for p: what a hundred thousand
// tables hold must not be there a hundred thousand times. Nearly always p is a
// copy of that contact's own.
func (r *run) known(p *protocol.Peer) *kademlia.Contact {
	if c := r.directory.find(p); c != nil || len(p.ID) != idSize {
		return c
	}
	n := binary.BigEndian.Uint32(p.ID[2:])
	if uint64(n) >= uint64(len(r.members)) {
		return nil
	}
	c := r.members[n].contact
	if c == nil || &c.Peer.ID[0] != &p.ID[0] && string(c.Peer.ID) != string(p.ID) {
		return nil
	}
	if len(p.Addrs) != len(c.Peer.Addrs) || len(p.Addrs) > 0 && &p.Addrs[0] != &c.Peer.Addrs[0] {
		return nil // somebody says otherwise than the peer itself
	}
	return c
}

// idOf returns the well-formed peer id of member i: its number, so that it is
// found without a map, and the seed, so that its key is another in every run.
func idOf(seed uint64, i int32) peer.ID {
	raw := append(make([]byte, 0, 34), 0x12, 0x20)
	raw = binary.BigEndian.AppendUint32(raw, uint32(i))
	raw = binary.BigEndian.AppendUint64(raw, mix(seed))
	return peer.ID(append(raw, make([]byte, 34-len(raw))...))
}

// idSize is the length of all ids in a run, in bytes.
const idSize = 34

// index returns the number of the member with this id, or -1.
func (r *run) index(id peer.ID) int32 {
	if len(id) != idSize || id[0] != 0x12 || id[1] != 0x20 {
		return -1
	}
	n := uint32(id[2])<<24 | uint32(id[3])<<16 | uint32(id[4])<<8 | uint32(id[5])
	if n == nobodys {
		return r.plot.index(id)
	}
	if uint64(n) >= uint64(len(r.members)) || r.members[n].contact == nil || r.members[n].contact.ID != id {
		return -1
	}
	return int32(n)
}

// keyOf returns the place of member i.
func (r *run) keyOf(i int32) *keyspace.Key { return &r.members[i].contact.Key }
