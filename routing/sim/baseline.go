package sim

import (
	"slices"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// walk is a way to find the k peers nearest to a key. It calls w.done once, unless
// its member dies first.
type walk interface {
	start(r *run, w *watched, key []byte)
}

// production is the walk of package kademlia.
type production struct{}

func (production) start(r *run, w *watched, key []byte) {
	if r.cfg.Measure.Stores {
		r.announces(w, key)
		return
	}
	r.checks.starting = w
	n := r.members[w.id.who].node
	n.Afresh(func() kademlia.QueryID { return n.FindNode(r.time(w.id.who), key, w.done) }) // what is looked at is walks
	r.checks.starting = nil
}

// baselineRequest marks the requests and lookups of a baseline.
const baselineRequest = 1 << 63

// baseline is the walk of most deployed peers, as wire.md §9 describes it, for
// comparison: it ends when the β nearest have answered, throws away what the
// requests still in flight bring, and then asks all of the k nearest that have not
// answered, some of them again; every silence lasts as long as the network lets
// it. It walks over our node's table and leaves that as it is. That it asks a hung
// peer twice, and strikes peers off its table for one failure, is left out.
type baseline struct {
	run       *run
	watched   *watched
	target    keyspace.Key
	request   *protocol.Message
	list      []stop // nearest first
	waiting   int
	following bool // asking those of the k nearest that have not answered
	report    kademlia.Report
}

// stop is one peer on the way of a baseline.
type stop struct {
	who      int32
	distance keyspace.Distance
	state    stage
	hop      int
}

// stage is how far a baseline has come with one peer.
type stage uint8

const (
	heard stage = iota
	waited
	queried
	unreachable
)

// inquiry is a request of a baseline under way.
type inquiry struct {
	from       *baseline
	who        int32
	announcing *announcement // nil: it asks
}

func (baseline) start(r *run, w *watched, key []byte) {
	b := &baseline{
		run: r, watched: w, target: w.target,
		request: &protocol.Message{Type: protocol.FindNode, Key: key, ClusterLevel: 1},
	}
	w.id.query = kademlia.QueryID(baselineRequest | uint64(r.started))
	r.checks.running[w.id] = w
	for _, c := range r.members[w.id.who].node.View().AppendClosest(nil, &b.target, r.cfg.Node.K) {
		b.hear(r.index(c.ID), 1)
	}
	b.step()
}

// hear takes a peer that was named into the list.
func (b *baseline) hear(who int32, hop int) {
	if who < 0 || who == b.watched.id.who {
		return
	}
	d := keyspace.DistanceOf(&b.target, b.run.keyOf(who))
	i, known := b.find(&d)
	if !known {
		b.list = slices.Insert(b.list, i, stop{who: who, distance: d, hop: hop})
	}
}

func (b *baseline) find(d *keyspace.Distance) (int, bool) {
	return slices.BinarySearchFunc(b.list, d, func(s stop, d *keyspace.Distance) int { return s.distance.Compare(d) })
}

// step goes on after every outcome.
func (b *baseline) step() {
	if b.following {
		if b.waiting == 0 {
			b.finish()
		}
		return
	}
	if b.over() {
		if b.waiting == 0 {
			b.follow()
		}
		return
	}
	for i := range b.list {
		if b.waiting >= b.run.cfg.Node.Alpha {
			break
		}
		if b.list[i].state == heard {
			b.ask(i)
		}
	}
}

// over reports whether the β nearest that are not known to be unreachable have
// answered, or nobody is left. Once it is, it stays so: answers change nothing.
func (b *baseline) over() bool {
	beta, left := b.run.cfg.Node.Beta, false
	for i := range b.list {
		switch b.list[i].state {
		case unreachable:
			continue
		case heard, waited:
			left = true
		}
		if beta > 0 && b.list[i].state != queried {
			return false
		}
		beta--
	}
	return beta <= 0 || !left
}

func (b *baseline) ask(i int) {
	r := b.run
	b.list[i].state = waited
	b.waiting++
	b.report.Asked++
	r.inquiries.last++
	id := kademlia.RequestID(baselineRequest | r.inquiries.last)
	r.inquiries.open[id] = inquiry{from: b, who: b.list[i].who}
	r.acting, r.checks.asking = b.watched.id.who, b.watched
	r.Send(id, r.members[b.list[i].who].contact, b.request)
	r.checks.asking = nil
}

// follow asks the k nearest that have not answered, all at once.
func (b *baseline) follow() {
	b.following = true
	near := 0
	for i := 0; i < len(b.list) && near < b.run.cfg.Node.K; i++ {
		if b.list[i].state == unreachable {
			continue
		}
		near++
		if b.list[i].state != queried {
			b.ask(i)
		}
	}
	if b.waiting == 0 {
		b.finish()
	}
}

// heardBack takes in the outcome of a request.
func (b *baseline) heardBack(who int32, m *protocol.Message, err error) {
	d := keyspace.DistanceOf(&b.target, b.run.keyOf(who))
	i, _ := b.find(&d)
	b.waiting--
	if err != nil {
		b.report.Failed.Timeout++
	} else {
		b.report.Answered++
	}
	switch {
	case b.following || b.over(): // the answer is thrown away
	case err != nil:
		b.list[i].state = unreachable
	default:
		b.list[i].state = queried
		hop := b.list[i].hop
		b.report.Hops = max(b.report.Hops, hop)
		for j := range m.CloserPeers {
			b.hear(b.run.index(peer.ID(m.CloserPeers[j].ID)), hop+1)
		}
	}
	b.step()
}

func (b *baseline) finish() {
	res := kademlia.Result{Report: b.report}
	for i := range b.list {
		if b.list[i].state != unreachable && len(res.Closest) < b.run.cfg.Node.K {
			res.Closest = append(res.Closest, b.run.members[b.list[i].who].contact)
		}
	}
	if len(res.Closest) == 0 {
		res.Err = kademlia.ErrNoPeers
	}
	if b.run.cfg.Measure.Stores {
		b.announce(res.Closest)
	}
	b.watched.done(b.run.time(b.watched.id.who), res)
}

// inquiries are the requests of all baselines under way.
type inquiries struct {
	open map[kademlia.RequestID]inquiry
	last uint64
}

// inquired hands the outcome of a baseline's request to it.
func (r *run) inquired(fl *flight, alive bool) {
	q := r.inquiries.open[fl.id]
	delete(r.inquiries.open, fl.id)
	switch {
	case !alive || q.from == nil:
	case q.announcing != nil:
		q.announcing.heardBack(q.who, fl.err)
	default:
		q.from.heardBack(q.who, fl.resp, fl.err)
	}
}
