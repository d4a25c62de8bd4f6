package kademlia

import (
	"container/heap"
	"errors"
	"time"
)

const (
	// maxReproviding bounds the announcements under way at a time.
	maxReproviding = 4
	// maxProvided bounds the keys kept announced; a keystore of unlimited size
	// is a layer of its own.
	maxProvided = 1 << 17
)

// ErrTooManyKeys means that no more keys can be kept announced.
var ErrTooManyKeys = errors.New("too many keys to keep announced")

// reprovider announces own keys again before their records expire.
//
// Invariant: byKey and due hold the same keys, but that due lacks those being
// announced just now.
type reprovider struct {
	node     *Node
	byKey    map[string]*provided
	due      timers
	inFlight int
	last     uint64
	pause    time.Time // nothing is announced until then: there is nobody to tell
}

// provided is one key kept announced.
type provided struct {
	key   string
	at    time.Time // when it is due
	order uint64    // of registration, so that equal times have an order
	slot  int       // position in the heap, -1 while being announced
}

// add keeps key announced, first at the time given. A key that is there already
// is moved to that time.
func (r *reprovider) add(key []byte, at time.Time) error {
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
	r.last++
	p := &provided{key: string(key), at: at, order: r.last}
	r.byKey[p.key] = p
	heap.Push(&r.due, p)
	return nil
}

// remove stops announcing key. Records out there expire by themselves.
func (r *reprovider) remove(key []byte) {
	p := r.byKey[string(key)]
	if p == nil {
		return
	}
	delete(r.byKey, p.key)
	if p.slot >= 0 {
		heap.Remove(&r.due, p.slot)
	}
}

func (r *reprovider) advance(now time.Time) {
	for r.inFlight < maxReproviding && len(r.due) > 0 && !r.due.next().After(now) && !now.Before(r.pause) {
		p := heap.Pop(&r.due).(*provided)
		r.inFlight++
		r.node.Provide(now, []byte(p.key), func(now time.Time, res Result) { r.announced(now, p, res) })
	}
}

// announced plans the next announcement of p.
func (r *reprovider) announced(now time.Time, p *provided, res Result) {
	r.inFlight--
	if errors.Is(res.Err, ErrNoPeers) || errors.Is(res.Err, ErrBusy) {
		r.pause = now.Add(r.node.cfg.Timing.Retry)
	}
	if r.byKey[p.key] != p {
		return // removed meanwhile
	}
	p.at = now.Add(r.node.cfg.Timing.Reprovide)
	if res.Err != nil {
		p.at = now.Add(r.node.cfg.Timing.Retry)
	}
	heap.Push(&r.due, p)
}

func (r *reprovider) nextDeadline() time.Time {
	if len(r.due) == 0 || r.inFlight >= maxReproviding {
		return time.Time{}
	}
	if at := r.due.next(); at.After(r.pause) {
		return at
	}
	return r.pause
}

func (p *provided) due() (time.Time, uint64) { return p.at, p.order }

func (p *provided) place(position int) { p.slot = position }
