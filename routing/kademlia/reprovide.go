package kademlia

import (
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Keys is the store of the keys that a Node keeps announced, as the Node uses it: it asks,
// and the answer comes in through Node.HandleKeys, exactly one for each call. The methods
// must not call back and must not wait; nothing depends on how long an answer takes.
type Keys interface {
	// Read asks for the keys whose places lie from first to last, both included, in
	// ascending order, most of them at most; if due is set, for those only that are due out
	// of their turn.
	Read(id ReadID, first, last keyspace.Key, due bool, most int)
	// Visited tells what became of keys, and how far the Node is. It is answered, with
	// nothing, when that is kept.
	Visited(id ReadID, v Visited)
}

// Announcer carries announcements, many to one peer at a time. For every Announce exactly
// one Node.HandleAnnounced follows, within a deadline of the carrier's own; it must not
// call back. keys and self are shared and must not be changed.
type Announcer interface {
	Announce(id BatchID, to *Contact, self protocol.Peer, keys []Key)
}

// BatchID names one call of an Announcer.
type BatchID uint64

// Key is a key that is kept announced.
type Key struct {
	Hash  []byte       // what is announced, a multihash; not to be changed
	Place keyspace.Key // KeyOf(Hash)
	// Last is when enough peers last took it, zero if they never did; Due says that it is
	// to be announced out of its turn.
	Last time.Time
	Due  bool
}

// Visited is what became of the keys of one visit, and how far the cycle is.
type Visited struct {
	At            time.Time
	Taken, Failed []Key
	Cursor
}

// Cursor is how far a cycle is: it began at a time, and all keys before Next are done, in
// an order that begins at the Node's own place.
type Cursor struct {
	Began time.Time
	Next  keyspace.Key
}

const (
	// lookEvery is how often the keys are looked at while none is due soon: some may have
	// been added.
	lookEvery = 15 * time.Minute
	// chartLife is how long it is believed who is where.
	chartLife = 5 * time.Minute
	// fresh says that a key need not be announced in its turn if it was within this part
	// of a period.
	fresh = 4
	// smallAfter is after how many times Timing.Retry of finding the same few peers, fewer
	// than half of k, it is believed that there are no others: until then the keys that
	// they took are announced again, because the others may not be up yet.
	smallAfter = 2
	// visitPause is the least time from one visit to the next, so that catching up takes
	// not all there is.
	visitPause = 100 * time.Millisecond
)

// reprovider keeps keys announced. It goes through them in the order of the keyspace,
// beginning at the Node's own place, once a period: where it stands is a matter of what
// time it is, so that the work is spread evenly and, after a break, what was announced
// longest ago comes first. Keys that are due out of their turn, new ones and those that
// too few peers took, are gone through beside that, as soon as they can be.
//
// It visits a part of the keyspace in which few peers are nearest, the same for all keys
// there, and as many keys as fit its memory.
//
// Invariants: one visit or reading is under way at a time; a key is marked as announced
// after enough peers took it and not before; cursor moves over a key after it is marked.
type reprovider struct {
	node   *Node
	keys   Keys // nil: there are none
	to     Announcer
	period time.Duration

	cursor Cursor
	wake   time.Time // when the cycle goes on
	turn   outOfTurn
	pause  time.Time // nothing begins until then
	fails  int       // in a row: visits that found nobody, readings that failed
	visit  *visit    // nil: none is under way
	reads  keyReading
	chart  chart // of the visit before
	few    few

	underWay
	stats ReprovideStats
}

// underWay is the Node's side of Announcer: the batches that have not ended, and which peers
// took nothing in time, and when; that is forgotten after chartLife.
type underWay struct {
	lastBatch BatchID
	batches   map[BatchID]*batch
	slow      map[peer.ID]time.Time
}

// outOfTurn is the pass through the keys that are due.
type outOfTurn struct {
	at      time.Time    // when it goes on, zero if nothing is due
	next    keyspace.Key // from where
	running bool
	again   time.Time // when another is to begin after it, zero if none
	last    bool      // the last visit was one of its
	failed  bool      // too few peers took some keys
	taken   bool      // enough took others
	idle    int       // passes in a row before it in which nothing was taken
}

// keyReading is the Node's side of Keys: who waits for which answer.
type keyReading struct {
	last ReadID
	done func(now time.Time, keys []Key, err error) // nil: nobody
}

// Cycle counts what was done from one beginning of the schedule to the next, and out of
// turn meanwhile.
type Cycle struct {
	Began, Ended time.Time
	// Visits is how many parts of the keyspace were visited; Keys how many keys, Taken how
	// many of them were taken by enough peers, Failed how many were not and are tried again.
	Visits, Keys, Taken, Failed int
	// Asked is how many requests it took to find the peers, Sent how many announcements
	// were sent to them, Refused how many batches of these failed.
	Asked, Sent, Refused int
	// Most is how many announcements were sent in one visit at the most, Longest how long
	// one took.
	Most    int
	Longest time.Duration
}

// ReprovideStats is how far announcing is.
type ReprovideStats struct {
	Period time.Duration // below zero: nothing is kept announced
	Cursor
	// Done is which share of the cycle is over, Behind how much later than planned
	// (below zero: earlier).
	Done   float64
	Behind time.Duration
	// Visiting is how many keys the visit has that is under way, to how many Peers.
	Visiting, Peers int
	Now, Before     Cycle // this cycle and the last one
}

// SetKeys gives the Node the keys that it is to keep announced, and where an earlier run
// stood. It is called once, before anything else; without it none is.
func (n *Node) SetKeys(now time.Time, keys Keys, to Announcer, at Cursor) {
	r := &n.reprovider
	if r.period < 0 {
		return
	}
	r.keys, r.to, r.batches, r.cursor = keys, to, make(map[BatchID]*batch), at
	if ahead := r.due(&at.Next).Sub(now); at.Began.IsZero() || ahead > r.period {
		r.cursor = Cursor{Began: now, Next: n.self.Key} // the first time, or the clock was set
	}
	r.stats.Now.Began = r.cursor.Began
	r.slow = make(map[peer.ID]time.Time)
	r.wake, r.few = now, few{since: now}
}

// KeysDue tells that keys are due out of their turn from a time on.
func (n *Node) KeysDue(at time.Time) {
	r := &n.reprovider
	switch {
	case r.keys == nil:
	case r.turn.running:
		r.turn.again = earlier(r.turn.again, at)
	default:
		r.turn.at = earlier(r.turn.at, at)
	}
}

// HandleKeys takes in the answer to a call of Keys. Unknown ids are ignored.
func (n *Node) HandleKeys(now time.Time, id ReadID, keys []Key, err error) {
	r := &n.reprovider
	if done := r.reads.done; done != nil && id == r.reads.last {
		r.reads.done = nil
		done(now, keys, err)
	}
}

// HandleAnnounced takes in what became of a batch: the peer took the first taken of its
// keys for certain, all of them if err is nil. Unknown ids are ignored.
func (n *Node) HandleAnnounced(now time.Time, id BatchID, taken int, err error) {
	r := &n.reprovider
	if b := r.batches[id]; b != nil {
		delete(r.batches, id)
		b.ended(now, taken, err)
	}
}

// Reproviding returns how far announcing is.
func (n *Node) Reproviding(now time.Time) ReprovideStats {
	r := &n.reprovider
	s := r.stats
	if s.Period = r.period; r.keys == nil {
		return s
	}
	s.Cursor = r.cursor
	s.Done = float64(r.offset(&r.cursor.Next)) / (1 << 64)
	s.Behind = now.Sub(r.due(&r.cursor.Next))
	if v := r.visit; v != nil {
		s.Visiting, s.Peers = len(v.keys), len(v.targets)
	}
	return s
}

// offset returns how far a place is from where cycles begin, by the first 64 bits.
func (r *reprovider) offset(place *keyspace.Key) uint64 {
	return prefixOf(place) - prefixOf(&r.node.self.Key)
}

// due returns when it is the turn of a place.
func (r *reprovider) due(place *keyspace.Key) time.Time {
	return r.cursor.Began.Add(time.Duration(float64(r.offset(place)) / (1 << 64) * float64(r.period)))
}

// ask has the answer to the next call of Keys go to done.
func (r *reprovider) ask(done func(now time.Time, keys []Key, err error)) ReadID {
	r.reads.last++
	r.reads.done = done
	return r.reads.last
}

func (r *reprovider) advance(now time.Time) {
	switch {
	case r.keys == nil:
	case r.visit != nil:
		r.visit.step(now)
	case r.reads.done != nil || now.Before(r.pause):
	default:
		inTurn, outOf := !r.wake.After(now), !r.turn.at.IsZero() && !r.turn.at.After(now)
		switch {
		case inTurn && !(outOf && !r.turn.last):
			r.goOn(now)
		case outOf:
			r.goOnOutOfTurn(now)
		}
	}
}

func (r *reprovider) nextDeadline() time.Time {
	switch {
	case r.keys == nil:
		return time.Time{}
	case r.visit != nil:
		return r.visit.nextDeadline()
	case r.reads.done != nil:
		return time.Time{}
	}
	at := earlier(r.wake, r.turn.at)
	if !at.IsZero() && at.Before(r.pause) {
		return r.pause
	}
	return at
}

// backOff puts everything off: a second, twice as long each time, Timing.Retry at the most.
func (r *reprovider) backOff(now time.Time) {
	r.pause = now.Add(min(r.node.cfg.Timing.Retry, firstRefusal<<min(r.fails, 20)))
	r.fails++
}

// segment returns the last place that can be read in one piece from the cursor on.
func (r *reprovider) segment() (last keyspace.Key) {
	self := &r.node.self.Key
	if r.cursor.Next.Compare(self) < 0 {
		last = *self
		previous(&last)
		return last
	}
	_, last = self.Region(0)
	return last
}

// previous makes k the key before it.
func previous(k *keyspace.Key) {
	for i := len(k) - 1; i >= 0; i-- {
		k[i]--
		if k[i] != 0xff {
			return
		}
	}
}

// goOn reads what comes next in the cycle.
func (r *reprovider) goOn(now time.Time) {
	r.turn.last = false
	end := r.segment()
	id := r.ask(func(now time.Time, keys []Key, err error) {
		switch {
		case err != nil:
			r.backOff(now)
		case len(keys) == 0:
			r.nothing(now, end)
		case r.due(&keys[0].Place).After(now):
			r.hold(now, r.due(&keys[0].Place))
		default:
			r.begin(now, false, keys, end)
		}
		r.advance(now)
	})
	r.keys.Read(id, r.cursor.Next, end, false, maxVisit)
}

// nothing goes on where there is no key from the cursor to end.
func (r *reprovider) nothing(now time.Time, end keyspace.Key) {
	turn := r.due(&end)
	if r.cursor.Next.Compare(&r.node.self.Key) < 0 {
		turn = r.cursor.Began.Add(r.period) // end is the last place, but offset sees 64 bits only
	}
	if turn.After(now) {
		r.hold(now, turn)
		return
	}
	r.moveTo(now, end)
}

// hold has the cycle wait, with the cursor where it should be by now: keys that come in
// behind it are due out of their turn.
func (r *reprovider) hold(now, until time.Time) {
	r.wake = earlier(until, now.Add(lookEvery))
	share := float64(now.Sub(r.cursor.Began)) / float64(r.period)
	if share <= 0 || share >= 1 {
		return
	}
	if place := uint64(share * (1 << 64)); place > r.offset(&r.cursor.Next) {
		var at keyspace.Key
		binary.BigEndian.PutUint64(at[:8], prefixOf(&r.node.self.Key)+place)
		r.cursor.Next = at
	}
}

// moveTo moves the cursor behind a place, and from the last to the next cycle.
func (r *reprovider) moveTo(now time.Time, last keyspace.Key) {
	last.Next()
	r.cursor.Next = last
	if last != r.node.self.Key {
		r.wake = r.due(&last)
		return
	}
	r.cursor.Began = r.cursor.Began.Add(r.period)
	if now.Sub(r.cursor.Began) > r.period {
		r.cursor.Began = now.Add(-r.period) // whole cycles that were missed are not made up for
	}
	r.stats.Now.Ended = now
	r.stats.Before, r.stats.Now = r.stats.Now, Cycle{Began: now}
	r.wake = r.cursor.Began
}

// goOnOutOfTurn reads what comes next of what is due.
func (r *reprovider) goOnOutOfTurn(now time.Time) {
	t := &r.turn
	t.last, t.running = true, true
	_, end := t.next.Region(0)
	id := r.ask(func(now time.Time, keys []Key, err error) {
		switch {
		case err != nil:
			r.backOff(now)
		case len(keys) == 0:
			t.end()
		default:
			r.begin(now, true, keys, end)
		}
		r.advance(now)
	})
	r.keys.Read(id, t.next, end, true, maxVisit)
}
