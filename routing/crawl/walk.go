package crawl

import (
	"errors"
	"math/rand/v2"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Walk decides whom a crawl asks what: a state machine without I/O, clock or goroutine. Next says whom to ask, as many at a time as
// Config.Parallel and PerPeer allow; for each Ask exactly one Answer follows, in any order. Neither keeps what it is given. The same
// inputs in the same order give the same outputs. It may be used by one goroutine at a time.
//
// Invariant: a peer is being read, waits in a queue, or has been visited, and of these exactly one.
type Walk struct {
	cfg   Config
	keys  keys
	rng   *rand.Rand
	index map[peer.ID]int32
	peers []entry
	// surer are whom several have named, or the caller; hearsay whom one alone has. Who has moved from one to the other is in
	// both, and is skipped where it is found second.
	surer, hearsay queue
	reading        []*reading
	progress       Progress
	stopped, spent bool
}

// entry is what is known of a peer; its number is its place in the list.
type entry struct {
	id    peer.ID
	addrs []byte // packed; nothing once it has answered
	place uint32 // first bits of where it is in the keyspace
	namers,
	visits uint8 // up to two, up to maxVisits
	state state
}

type state uint8

const (
	waiting state = iota
	beingRead
	visited
	failed // could not be reached, and may be elsewhere
)

// maxVisits bounds how often one peer is dialed, since who names it may lie about where it is.
const maxVisits = 3

// maxNamed is how many peers of one answer are looked at: deployed peers name 20, some of them the target as well.
const maxNamed = 4 * protocol.MaxAnswerPeers

// Ask is one question to a peer: FIND_NODE for Key.
type Ask struct {
	To     Peer
	Key    []byte
	of     *reading
	region region
	place  uint32
}

// NewWalk returns a walk that begins with seeds.
func NewWalk(cfg Config, seeds []Peer) *Walk {
	cfg = cfg.withDefaults()
	w := &Walk{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), index: make(map[peer.ID]int32)}
	w.keys = newKeys(w.rng)
	w.Add(seeds...)
	return w
}

// Add has peers visited as if several had named them, unless they have been. It may be called at any time.
func (w *Walk) Add(seeds ...Peer) {
	for _, p := range seeds {
		if n, ok := w.meet(&protocol.Peer{ID: []byte(p.ID), Addrs: p.Addrs}); ok {
			w.named(n)
			w.named(n)
		}
	}
}

// Progress says how far the walk has come.
func (w *Walk) Progress() Progress { return w.progress }

// Spent reports whether a budget ended the walk.
func (w *Walk) Spent() bool { return w.spent }

// Stop ends the walk: nobody else is asked, and who is being asked is done with the answers under way.
func (w *Walk) Stop() {
	w.stopped = true
	for _, r := range w.reading {
		r.stop()
	}
}

// Next returns whom to ask now. ok is false if that is nobody until an Answer comes, or for ever if none is under way.
func (w *Walk) Next() (a Ask, ok bool) {
	if w.stopped {
		return a, false
	}
	if w.progress.Requests >= w.cfg.Requests {
		w.spent = true
		w.Stop()
		return a, false
	}
	for _, r := range w.reading {
		if r.ready(w.cfg.PerPeer, w.cfg.PerTable) {
			return w.ask(r), true
		}
	}
	if len(w.reading) >= w.cfg.Parallel {
		return a, false
	}
	if w.progress.Visits >= w.cfg.Visits {
		w.spent = w.spent || w.progress.Waiting > 0
		return a, false
	}
	n, ok := w.pop()
	if !ok {
		return a, false
	}
	w.progress.Visits++
	w.peers[n].state = beingRead
	w.peers[n].visits++
	r := newReading(n, w.peers[n].peer())
	w.reading = append(w.reading, r)
	return w.ask(r), true
}

func (w *Walk) ask(r *reading) Ask {
	part := r.next()
	key, at := w.keys.of(part.within(w.rng))
	w.progress.Requests++
	return Ask{To: r.peer, Key: key, of: r, region: part, place: at}
}

// Enough has nothing more asked of whom a was put to: its Answer, if no other is under way, ends the visit.
func (w *Walk) Enough(a Ask) { a.of.stop() }

// Answer takes what came of an Ask: the closer peers of the answer, or why there is none. done says that this was the last one to
// that peer, and v is then what came of the visit.
func (w *Walk) Answer(a Ask, closer []protocol.Peer, err error) (v Visit, done bool) {
	r := a.of
	if err != nil {
		r.failed(a.region, err)
	} else {
		w.told(r, a, closer)
	}
	if w.stopped {
		r.stop()
	}
	if !r.over(w.cfg.PerTable) {
		return v, false
	}
	return w.visited(r), true
}

// told takes an answer.
func (w *Walk) told(r *reading, a Ask, closer []protocol.Peer) {
	named, farthest := 0, keyBits
	for i := range closer[:min(len(closer), maxNamed)] {
		if r.full(w.cfg.Neighbours) {
			break
		}
		n, ok := w.meet(&closer[i])
		if !ok || n == r.who {
			continue
		}
		named++
		farthest = min(farthest, shared(w.peers[n].place, a.place))
		if r.adds(n) {
			w.progress.Edges++
			w.named(n)
		}
	}
	r.answered(a, named, farthest)
}

// visited ends a reading.
func (w *Walk) visited(r *reading) Visit {
	for i, other := range w.reading {
		if other == r {
			w.reading = append(w.reading[:i], w.reading[i+1:]...)
			break
		}
	}
	e := &w.peers[r.who]
	e.state = visited
	switch {
	case r.answers > 0:
		w.progress.Answered++
		e.addrs = nil
	case e.visits < maxVisits && (errors.Is(r.err, protocol.ErrUnreachable) || errors.Is(r.err, protocol.ErrTimeout)):
		e.state = failed
	default:
		e.addrs = nil
	}
	v := Visit{Peer: r.peer, Err: r.err, Answered: r.answers > 0, Whole: r.answers > 0 && !r.partial, Requests: r.asked, Again: e.visits > 1, SoFar: w.progress}
	v.Neighbours = make([]peer.ID, len(r.members))
	for i, n := range r.members {
		v.Neighbours[i] = w.peers[n].id
	}
	return v
}
