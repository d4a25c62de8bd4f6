package kademlia

import (
	"container/heap"
	"errors"
	"time"
)

const (
	// maxRepeating bounds the operations under way at a time.
	maxRepeating = 4
	// maxProvided bounds the keys kept; a keystore of unlimited size is a layer of
	// its own.
	maxProvided = 1 << 17
)

// ErrTooManyKeys means that no more keys can be kept announced.
var ErrTooManyKeys = errors.New("too many keys to keep announced")

// repeater does an operation for each of its keys again and again, so that what
// others hold of us does not expire.
//
// Invariant: byKey and due hold the same keys, but that due lacks those whose
// operation is under way just now.
type repeater struct {
	node     *Node
	start    func(now time.Time, key []byte, done func(time.Time, Result))
	period   time.Duration
	byKey    map[string]*repeated
	due      dueKeys
	inFlight int
	last     uint64
	pause    time.Time // nothing is started until then: there is nobody to tell
}

// repeated is one key of a repeater.
type repeated struct {
	key   string
	at    time.Time // when it is due
	order uint64    // of registration, so that equal times have an order
	slot  int       // position in the heap, -1 while under way
}

// add keeps key, first due at the time given. A key that is there already is
// moved to that time.
func (r *repeater) add(key []byte, at time.Time) error {
	if p := r.byKey[string(key)]; p != nil {
		if p.slot >= 0 {
			p.at = at
			heap.Fix(&r.due, p.slot)
		}
		return nil
	}
	if len(r.byKey) >= maxProvided {
		return ErrTooManyKeys
	}
	if r.byKey == nil {
		r.byKey = make(map[string]*repeated)
	}
	r.last++
	p := &repeated{key: string(key), at: at, order: r.last}
	r.byKey[p.key] = p
	heap.Push(&r.due, p)
	return nil
}

// remove keeps key no longer. Records out there expire by themselves.
func (r *repeater) remove(key []byte) {
	p := r.byKey[string(key)]
	if p == nil {
		return
	}
	delete(r.byKey, p.key)
	if p.slot >= 0 {
		heap.Remove(&r.due, p.slot)
	}
}

func (r *repeater) advance(now time.Time) {
	for r.inFlight < maxRepeating && len(r.due) > 0 && !r.due[0].at.After(now) && !now.Before(r.pause) {
		p := heap.Pop(&r.due).(*repeated)
		r.inFlight++
		r.start(now, []byte(p.key), func(now time.Time, res Result) { r.done(now, p, res) })
	}
}

// done plans the next time of p.
func (r *repeater) done(now time.Time, p *repeated, res Result) {
	r.inFlight--
	if errors.Is(res.Err, ErrNoPeers) || errors.Is(res.Err, ErrBusy) {
		r.pause = now.Add(r.node.cfg.Timing.Retry)
	}
	if r.byKey[p.key] != p {
		return // removed meanwhile
	}
	p.at = now.Add(r.period)
	if res.Err != nil {
		p.at = now.Add(r.node.cfg.Timing.Retry)
	}
	heap.Push(&r.due, p)
}

func (r *repeater) nextDeadline() time.Time {
	if len(r.due) == 0 || r.inFlight >= maxRepeating {
		return time.Time{}
	}
	if at := r.due[0].at; at.After(r.pause) {
		return at
	}
	return r.pause
}

// dueKeys is a heap of keys, the one that is due first at its top, for
// container/heap; the order does not depend on anything but times and registration.
type dueKeys []*repeated

func (d dueKeys) Len() int { return len(d) }

func (d dueKeys) Less(i, j int) bool {
	if d[i].at.Equal(d[j].at) {
		return d[i].order < d[j].order
	}
	return d[i].at.Before(d[j].at)
}

func (d dueKeys) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].slot, d[j].slot = i, j
}

// Push implements heap.Interface.
func (d *dueKeys) Push(x any) {
	p := x.(*repeated)
	p.slot = len(*d)
	*d = append(*d, p)
}

// Pop implements heap.Interface.
func (d *dueKeys) Pop() any {
	n := len(*d) - 1
	p := (*d)[n]
	(*d)[n] = nil
	if *d = (*d)[:n]; n == 0 {
		*d = nil // an idle node holds no room for its busiest hour
	}
	p.slot = -1
	return p
}
