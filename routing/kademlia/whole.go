package kademlia

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// surveysAtOnce bounds the lookups under way that learn the network, surveyPause is
	// the least time between two that begin.
	surveysAtOnce = 4
	surveyPause   = 100 * time.Millisecond
	// maxTractBits bounds into how many parts the keyspace is cut: a million, each with
	// half of k peers.
	maxTractBits = 20
	// surveyed is how many peers of a tract have to answer: the others of it they name.
	surveyed = 3
)

// WholeTable is how much of the network is known by heart.
type WholeTable struct {
	// Ready says that each part of the keyspace has been looked through in one round.
	Ready bool
	// Peers are known, in Bytes of memory.
	Peers, Bytes int
	// Progress is the share of the present round that is over, Rounds how many are.
	Progress float64
	Rounds   int
	// Requests counts what the rounds have sent, Failed the parts that could not be looked
	// through and keep what was known of them; Kept those of which much less was found than
	// was known, which is believed when it is found again.
	Requests, Failed, Kept uint64
}

// whole is the picture of a whole network, for who wants lookups of one hop. The keyspace is
// cut into tracts of some k/2 peers. One after the other is looked through, by a lookup
// of a key in it that ends when three of its peers have answered, and what that finds
// takes the place of what was known of the tract; in a round, which is spread over
// Breadth.Whole, all of them. Lookups begin at the nearest peers of the picture besides those of the
// table, and go on as ever where others are nearer.
//
// Invariant: a tract whose lookup has failed keeps what was known of it, and so does, once,
// one of which less than half was found again.
type whole struct {
	node     *Node
	picture  picture
	todo     []tract // of this round, beyond cursor
	cursor   uint64  // where the part begins that nobody has asked for yet
	size     uint8   // bits of tracts in this round
	over     bool    // cursor has come round
	doubted  map[tract]bool
	began    time.Time
	next     time.Time
	inFlight int
	missed   int     // tracts of this round that could not be looked through
	done     float64 // share of the keyspace, in this round
	stat     WholeTable
}

// tract is the part of the keyspace whose keys begin with the first bits of a prefix.
type tract struct {
	prefix uint64
	bits   uint8
}

func (t tract) holds(key uint64) bool { return (key^t.prefix)>>(64-t.bits) == 0 || t.bits == 0 }

func (t tract) share() float64 { return math.Ldexp(1, -int(t.bits)) }

func (w *whole) on() bool { return w.node.cfg.Whole > 0 }

// WholeTable returns how much of the network is known by heart; nothing with Breadth.Whole 0.
func (n *Node) WholeTable() WholeTable {
	s := n.whole.stat
	s.Peers, s.Bytes, s.Progress = n.whole.picture.count, n.whole.picture.bytes(), n.whole.done
	return s
}

func (w *whole) nextDeadline() time.Time {
	if !w.on() || w.inFlight >= surveysAtOnce || w.over && len(w.todo) == 0 && w.inFlight > 0 {
		return time.Time{}
	}
	return w.next
}

// advance begins what is due.
func (w *whole) advance(now time.Time) {
	for w.on() && w.inFlight < surveysAtOnce && !now.Before(w.next) {
		if w.node.table.View().Len() == 0 {
			w.next = now.Add(time.Second)
			return
		}
		if w.began.IsZero() {
			w.begin(now)
		}
		t, ok := w.take()
		switch {
		case ok:
			w.next = now.Add(w.pause())
			w.survey(now, t)
		case w.inFlight > 0:
			return
		default:
			w.round(now)
		}
	}
}

// seed has a lookup begin at the nearest peers that are known by heart. What is stored is
// given to these at once when the whole network is.
func (w *whole) seed(l *Lookup) {
	for _, c := range w.picture.closest(&l.target, l.k) {
		l.add(c, 1)
		if i, known := l.find(&c.Key); known && w.stat.Ready {
			l.candidates[i].nearby = leastVouchers
		}
	}
}

// begin begins a round.
func (w *whole) begin(now time.Time) {
	peers, _ := w.node.NetworkSize(now)
	w.size = uint8(min(maxTractBits, max(0, math.Ceil(math.Log2(max(1, peers*2/float64(w.node.cfg.K)))))))
	w.began, w.cursor, w.over, w.done, w.missed = now, 0, false, 0, 0
}

// round ends one, and plans the next.
func (w *whole) round(now time.Time) {
	w.stat.Rounds++
	w.stat.Ready = w.stat.Ready || w.missed == 0 && w.picture.count > 0
	w.next = w.began.Add(w.node.cfg.Whole)
	if w.next.Before(now) {
		w.next = now.Add(surveyPause)
	}
	w.began = time.Time{}
}

// pause is the time between two lookups that begin: the first round is in a hurry.
func (w *whole) pause() time.Duration {
	if w.stat.Rounds == 0 {
		return surveyPause
	}
	return max(surveyPause, w.node.cfg.Whole>>w.size*9/10)
}

// take returns the next tract to look through.
func (w *whole) take() (t tract, ok bool) {
	if n := len(w.todo); n > 0 {
		t = w.todo[n-1]
		w.todo = w.todo[:n-1]
		return t, true
	}
	if w.over {
		return t, false
	}
	t = tract{w.cursor, w.size}
	w.cursor += 1 << (64 - w.size) // 0 with no bits, as with the last of them
	w.over = w.cursor == 0
	return t, true
}

// survey looks through a tract.
func (w *whole) survey(now time.Time, t tract) {
	n := w.node
	g := &survey{tract: t, k: n.cfg.K}
	key := preimageIn(n, t)
	w.inFlight++
	q := n.query(now, protocol.FindNode, key, g, func(now time.Time, r Result) {
		w.inFlight--
		w.stat.Requests += uint64(r.Report.Asked)
		w.learn(t, keyspace.KeyOf(key), g, &r)
	})
	if q != nil {
		q.passing = true
		q.start(now)
	}
}

// preimageIn returns a key that lies in a tract.
func preimageIn(n *Node, t tract) []byte {
	key := make([]byte, 32)
	for i := 8; i < len(key); i += 8 {
		binary.BigEndian.PutUint64(key[i:], n.cfg.Rand.Uint64())
	}
	for i := n.cfg.Rand.Uint64(); ; i++ {
		binary.BigEndian.PutUint64(key, i)
		if at := keyspace.KeyOf(key); t.holds(prefixOf(&at)) {
			return key
		}
	}
}

// learn takes in who is in a tract, or has its halves looked through if there are more than
// one answer names.
func (w *whole) learn(t tract, target keyspace.Key, g *survey, r *Result) {
	if g.inside+g.others == 0 || r.Err != nil && len(g.found) == 0 {
		w.stat.Failed++
		w.missed++
		w.done += t.share()
		return
	}
	if len(g.found) >= w.node.cfg.K && t.bits < maxTractBits {
		far := prefixOf(&target) ^ prefixOf(&g.found[len(g.found)-1].Key)
		if int(t.bits) <= bits.LeadingZeros64(far) { // more may be in it
			half := tract{t.prefix, t.bits + 1}
			w.todo = append(w.todo, tract{t.prefix | 1<<(63-t.bits), t.bits + 1}, half)
			return
		}
	}
	w.done += t.share()
	found := g.found[:0]
	for _, c := range g.found {
		if t.holds(prefixOf(&c.Key)) {
			found = append(found, c)
		}
	}
	if known := w.picture.within(t); 2*len(found) < known && !w.doubted[t] {
		if w.doubted == nil {
			w.doubted = make(map[tract]bool)
		}
		w.doubted[t] = true
		w.stat.Kept++
		return
	}
	delete(w.doubted, t)
	w.picture.replace(t, found)
}

// survey is the goal of looking through a tract.
type survey struct {
	findNode
	tract          tract
	k              int
	inside, others int // answers
	found          []*Contact
}

func (g *survey) response(_ time.Time, _ *query, from *Contact, _ *protocol.Message) bool {
	if g.tract.holds(prefixOf(&from.Key)) {
		g.inside++
	} else {
		g.others++
	}
	return g.inside >= surveyed
}

// fill keeps the k nearest that have answered, or that as many have named as lookups believe.
func (g *survey) fill(_ time.Time, q *query, _ *Result) {
	if q.lookup == nil {
		return
	}
	for i := range q.lookup.candidates {
		c := &q.lookup.candidates[i]
		if c.state == answered || !c.out() && c.namings >= leastVouchers {
			if g.found = append(g.found, c.contact); len(g.found) == g.k {
				return
			}
		}
	}
}
