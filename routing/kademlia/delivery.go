package kademlia

import (
	"errors"
	"math"
	"time"

	"github.com/kdht/kdht/protocol"
)

const (
	// firstBatch is how many announcements a peer is sent at once to begin with; as long as
	// it takes them twice as many are next, up to maxBatch, and a quarter when it does not.
	firstBatch, maxBatch = 64, 512
	// maxTargets bounds the peers to which announcements are on their way at a time.
	maxTargets = 24
	// maxRefusals is how often in a row a peer may refuse a batch, or leave one unanswered,
	// until the next nearest takes its place. The pause doubles each time.
	maxRefusals  = 5
	firstRefusal = time.Second
	// visitLife is how long one visit may take. Peers that are slower than that have
	// had what they could take.
	visitLife = 5 * time.Minute
)

// delivery hands keys to the peers nearest to them, to each peer all of its own, in
// batches, as fast as it takes them.
//
// Invariants: a key is given to a peer once; holders counts the peers that took it for
// certain; a key that a peer did not take, and will not, goes to the next nearest.
type delivery struct {
	visit   *visit
	until   time.Time // zero: not begun
	targets []*target // in the order in which they were needed
	by      map[*Contact]*target
	holders []uint8  // of each key
	next    []uint16 // of each key, how many of those nearest it was given to, or who were not there
	out     int      // batches on their way
	sent    int
	refused int
}

// target is one peer and what it is to be given.
type target struct {
	to      *Contact
	queue   []uint16 // indices of keys, maxVisit at most
	busy    bool     // a batch is on its way
	size    int      // of the next batch
	fails   int      // in a row
	pause   time.Time
	dropped bool
	slow    bool // it took nothing in time, in this visit or one before
	again   bool // it was slow before: it gets one try
}

// batch is announcements on their way to one peer.
type batch struct {
	delivery *delivery
	to       *target
	sent     instant
	keys     []Key
}

func (d *delivery) start(now time.Time) {
	d.until = now.Add(visitLife)
	d.by = make(map[*Contact]*target)
	d.holders, d.next = make([]uint8, len(d.visit.keys)), make([]uint16, len(d.visit.keys))
}

// assign gives key i to the k nearest peers.
func (d *delivery) assign(i int, near []*Contact) {
	k := min(d.visit.r.node.cfg.K, len(near))
	for _, p := range near[:k] {
		d.give(i, p)
	}
	d.next[i] = uint16(k)
}

func (d *delivery) give(i int, p *Contact) {
	t := d.by[p]
	if t == nil {
		_, slow := d.visit.r.slow[p.ID]
		t = &target{to: p, size: firstBatch, slow: slow, again: slow}
		d.by[p] = t
		d.targets = append(d.targets, t)
	}
	t.queue = append(t.queue, uint16(i))
}

// needed returns how many peers must hold a key: half of k, or of all there are once it is
// believed that these are all.
func (d *delivery) needed(now time.Time) int {
	r := d.visit.r
	half, there := (r.node.cfg.K+1)/2, len(r.chart.peers)
	if d.visit.doubtful || there >= half {
		return half
	}
	if r.few.peers == 0 {
		r.few.peers = there
	} else if r.few.peers != there {
		r.few = few{there, now}
	}
	if now.Sub(r.few.since) < smallAfter*r.node.cfg.Timing.Retry {
		return half
	}
	return max(1, (there+1)/2)
}

// pass sends what can be sent.
func (d *delivery) pass(now time.Time) {
	for _, t := range d.targets {
		if d.out >= maxTargets {
			return
		}
		if t.busy || t.dropped || len(t.queue) == 0 || now.Before(t.pause) || !now.Before(d.until) {
			continue
		}
		if t.again && d.visit.r.waits(t.to) {
			continue // that is its one try
		}
		b := &batch{delivery: d, to: t, sent: instantOf(now)}
		n := min(t.size, len(t.queue))
		b.keys = make([]Key, 0, n)
		for _, i := range t.queue[:n] {
			b.keys = append(b.keys, d.visit.keys[i])
		}
		r := d.visit.r
		r.lastBatch++
		r.batches[r.lastBatch] = b
		t.busy = true
		d.out++
		d.sent += len(b.keys)
		r.to.Announce(r.lastBatch, t.to, r.node.self.Peer, b.keys)
	}
}

// over reports whether nothing is left to be sent or waited for. Peers that take nothing in
// time are not waited for if enough others hold each key.
func (d *delivery) over(now time.Time) bool {
	if !now.Before(d.until) {
		return true
	}
	slow := false
	for _, t := range d.targets {
		if t.busy || len(t.queue) > 0 && !t.dropped {
			if !t.slow {
				return false
			}
			slow = true
		}
	}
	return !slow || d.served(now)
}

// served reports whether enough peers hold each key.
func (d *delivery) served(now time.Time) bool {
	need := d.needed(now)
	for _, n := range d.holders {
		if int(n) < need {
			return false
		}
	}
	return true
}

// waits reports whether a batch is on its way to a peer.
func (u *underWay) waits(to *Contact) bool {
	for _, b := range u.batches {
		if b.to.to.ID == to.ID {
			return true
		}
	}
	return false
}

func (d *delivery) nextDeadline() time.Time {
	at := d.until
	for _, t := range d.targets {
		if !t.busy && !t.dropped && len(t.queue) > 0 && !t.pause.IsZero() && d.out < maxTargets {
			at = earlier(at, t.pause)
		}
	}
	return at
}

// ended takes in what became of a batch.
func (b *batch) ended(now time.Time, taken int, err error) {
	d, t := b.delivery, b.to
	n := d.visit.r.node
	if err == nil {
		taken = len(b.keys)
	}
	taken = min(max(0, taken), len(b.keys))
	if taken > 0 {
		n.useful(now, t.to)
		delete(d.visit.r.slow, t.to.ID)
		t.slow, t.again = false, false
	}
	if v := d.visit.r.visit; v != d.visit {
		if v != nil {
			v.step(now) // which may have waited for it
		}
		return
	}
	t.busy = false
	d.out--
	for _, i := range t.queue[:taken] {
		d.holders[i]++
	}
	t.queue = t.queue[taken:]
	if err == nil {
		t.fails, t.size, t.pause = 0, min(2*t.size, maxBatch), time.Time{}
	} else {
		d.refusal(now, b, taken, asSentinel(err))
	}
	d.visit.step(now)
}

// refusal decides whether a peer that did not take a batch is tried again, with less, or
// given up.
func (d *delivery) refusal(now time.Time, b *batch, taken int, err error) {
	t := b.to
	d.refused++
	if taken > 0 {
		t.fails = 0
	}
	t.fails++
	if taken == 0 && errors.Is(err, protocol.ErrTimeout) {
		t.slow = true
		d.visit.r.slow[t.to.ID] = now
	}
	patient := !t.again && (errors.Is(err, protocol.ErrRefused) || errors.Is(err, protocol.ErrTimeout) || errors.Is(err, protocol.ErrLocal))
	if !patient || t.fails > maxRefusals {
		d.drop(now, b, err)
		return
	}
	if !errors.Is(err, protocol.ErrLocal) {
		t.size = max(1, len(b.keys)/4)
	}
	t.pause = now.Add(firstRefusal << (t.fails - 1))
}

// drop has the next nearest take the place of a peer for all it has not taken.
func (d *delivery) drop(now time.Time, b *batch, err error) {
	t := b.to
	r := d.visit.r
	t.dropped = true
	r.node.suspect(now, &request{to: t.to, sent: b.sent}, err)
	var near []*Contact
	for _, i := range t.queue {
		near, _ = r.chart.nearest(near[:0], &d.visit.keys[i].Place, len(r.chart.peers))
		if p := d.another(int(i), near); p != nil {
			d.give(int(i), p)
		}
	}
	t.queue = nil
}

// another returns the nearest peer that key i has not been given to, nil if there is none.
func (d *delivery) another(i int, near []*Contact) *Contact {
	for int(d.next[i]) < min(len(near), math.MaxUint16) {
		p := near[d.next[i]]
		d.next[i]++
		if t := d.by[p]; t == nil || !t.dropped {
			return p
		}
	}
	return nil
}

// forget takes those that were dropped off the chart.
func (d *delivery) forget() {
	for _, t := range d.targets {
		if t.dropped {
			d.visit.r.chart.forget(t.to)
		}
	}
}
