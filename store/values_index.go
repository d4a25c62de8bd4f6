package store

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// heldValue is the index entry of one stored record.
type heldValue struct {
	key      keyspace.Key
	received tick
	cost     uint32
	place
	rank
}

// index knows age and cost of every record of a KV and changes both together. It is
// safe for concurrent use.
type index interface {
	// get returns the stored form of key's record if it is not too old, and since when
	// it counts as held. It may turn out not to be one: then dropBroken forgets it,
	// unless it was replaced meanwhile.
	get(t tick, key keyspace.Key) (stored []byte, at tick, found bool, err error)
	dropBroken(key keyspace.Key, stored []byte)
	// put stores a record in place of key's, if it has room or can make it, as held
	// since at, which is t or earlier. name is the record's key for the error.
	put(now time.Time, t, at tick, key keyspace.Key, stored, name []byte) error
	// load indexes what the KV holds from an earlier run.
	load(now time.Time, t tick) error
	// expire forgets what is due, up to a bound on its work; next says when there is
	// something to do, 0 if never.
	expire(now time.Time, t tick)
	next() tick
	// held returns count and cost of all records.
	held() (int, int64)
	close(now time.Time, t tick)
}

// limits is what an index keeps to.
type limits struct {
	self       keyspace.Key
	maxAge     tick // 0: records do not age
	maxRecords int
	maxBytes   int64
	radius     *radius
}

// fit reports whether so many records of this cost in all leave the store within its
// budgets divided by share.
func (l *limits) fit(n int, bytes int64, share int) bool {
	return n <= (l.maxRecords+share-1)/share && bytes <= l.maxBytes/int64(share)
}

// valueIndex is the index in memory, for a KV that keeps none itself: a record is
// indexed if and only if the KV holds it.
type valueIndex struct {
	limits
	kv KV

	mu      sync.RWMutex // guards all below
	records map[keyspace.Key]*heldValue
	due     buckets[*heldValue]
	far     farthest[*heldValue]
	bytes   int64
	closed  bool
}

func newValueIndex(kv KV, l limits) *valueIndex {
	return &valueIndex{kv: kv, limits: l, due: newBuckets[*heldValue](l.maxAge), records: make(map[keyspace.Key]*heldValue)}
}

// costOf is what a stored record is charged for: itself, an eighth more because
// memory comes in steps of that size, and its entry.
func costOf(stored []byte) uint32 { return uint32(len(stored)+len(stored)/8) + indexCost }

func (x *valueIndex) get(t tick, key keyspace.Key) (stored []byte, at tick, found bool, err error) {
	x.mu.RLock()
	e, closed := x.records[key], x.closed
	fresh := e != nil && !x.old(t, e)
	if fresh {
		at = e.received
	}
	x.mu.RUnlock()
	switch {
	case closed:
		return nil, 0, false, ErrClosed
	case !fresh:
		return nil, 0, false, nil
	}
	stored, _, err = x.kv.Get(key)
	return stored, at, err == nil, err
}

func (x *valueIndex) put(_ time.Time, t, at tick, key keyspace.Key, stored, name []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	cost := costOf(stored)
	e := x.records[key]
	if err := x.makeRoom(t, e, farFrom(&x.self, &key), cost); err != nil {
		return fmt.Errorf("%w: %w (key %s)", ErrFull, err, show(name))
	}
	if err := x.kv.Put(key, stored); err != nil {
		return fmt.Errorf("store: writing %s: %w", show(name), err)
	}
	if e = x.records[key]; e == nil {
		e = x.insert(t, at, key)
	}
	x.bytes += int64(cost) - int64(e.cost)
	e.received, e.cost = at, cost
	return nil
}

// insert makes an entry for key without cost.
func (x *valueIndex) insert(t, received tick, key keyspace.Key) *heldValue {
	e := &heldValue{key: key, received: received, place: place{slot: unfiled}, rank: rank{far: farFrom(&x.self, &key)}}
	x.records[key] = e
	x.far.add(e)
	if x.maxAge > 0 {
		x.due.add(t, after(received, x.maxAge), e)
	}
	return e
}

// makeRoom gives up records farther than far until one of this cost fits in
// place of e, which may be nil. If they do not suffice, all stay.
func (x *valueIndex) makeRoom(t tick, e *heldValue, far uint64, cost uint32) error {
	if x.fits(e, cost, 2) {
		return nil
	}
	if e == nil && x.radius.beyond(far) {
		return errBeyond
	}
	if x.fits(e, cost, 1) {
		return nil
	}
	for !x.fits(e, cost, 1) && x.expireLocked(t) > 0 {
	}
	if e != nil && x.records[e.key] != e {
		e = nil
	}
	var victims []*heldValue
	for !x.fits(e, cost, 1) {
		if len(x.far) == 0 || x.far[0].far <= far {
			for _, v := range victims {
				x.bytes += int64(v.cost)
				x.far.add(v)
			}
			return errFarther
		}
		v := x.far[0]
		x.far.remove(v)
		x.bytes -= int64(v.cost)
		victims = append(victims, v)
	}
	for _, v := range victims {
		x.bytes += int64(v.cost)
		x.far.add(v)
		x.drop(v)
	}
	return nil
}

// fits reports whether a record of this cost in place of e, which may be nil,
// leaves the store within its budgets divided by share.
func (x *valueIndex) fits(e *heldValue, cost uint32, share int) bool {
	n, bytes := len(x.far)+1, x.bytes+int64(cost)
	if e != nil {
		n, bytes = n-1, bytes-int64(e.cost)
	}
	return x.fit(n, bytes, share)
}

// drop forgets e, which is indexed. A KV that cannot delete keeps bytes nobody
// finds any more; the next start sees and forgets them again.
func (x *valueIndex) drop(e *heldValue) {
	_ = x.kv.Delete(e.key)
	delete(x.records, e.key)
	x.far.remove(e)
	x.due.remove(e)
	x.bytes -= int64(e.cost)
}

func (x *valueIndex) dropBroken(key keyspace.Key, broken []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.records[key]
	if x.closed || e == nil {
		return
	}
	b, found, err := x.kv.Get(key)
	if err == nil && (!found || slices.Equal(b, broken)) {
		x.drop(e)
	}
}

func (x *valueIndex) expire(_ time.Time, t tick) {
	for work := 0; work < sweepWork; {
		x.mu.Lock()
		n := x.expireLocked(t)
		x.mu.Unlock()
		if n == 0 {
			return
		}
		work += n
	}
}

// expireLocked looks at a few records that are due and returns how many.
func (x *valueIndex) expireLocked(t tick) int {
	due := x.due.take(t, sweepChunk)
	for _, e := range due {
		if x.old(t, e) {
			x.drop(e)
		} else {
			x.due.add(t, after(e.received, x.maxAge), e)
		}
	}
	return len(due)
}

// old reports whether e's age exceeds the limit.
func (x *valueIndex) old(t tick, e *heldValue) bool {
	return x.maxAge > 0 && t > after(e.received, x.maxAge)
}

func (x *valueIndex) next() tick {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.due.next()
}

func (x *valueIndex) held() (int, int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.records), x.bytes
}

func (x *valueIndex) close(time.Time, tick) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed, x.records, x.far, x.bytes = true, nil, nil, 0
	x.due = buckets[*heldValue]{width: 1}
}

// load indexes what the KV holds from an earlier run and deletes what does not parse
// or is too old. A record stamped in the future counts as new.
func (x *valueIndex) load(now time.Time, t tick) error {
	first, last := keyspace.Key{}.Region(0)
	return x.kv.Range(first, last, func(key keyspace.Key, b []byte) bool {
		x.loadOne(now, t, key, b)
		return true
	})
}

func (x *valueIndex) loadOne(now time.Time, t tick, key keyspace.Key, b []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	rec, received, err := parseStored(b)
	at := max(1, t-min(seconds(now.Sub(received)), firstTick)) // a tick is never 0
	if err == nil {
		at = since(at, x.maxAge, &rec)
	}
	cost := costOf(b)
	if err != nil || keyspace.KeyOf(rec.Key) != key || x.maxAge > 0 && t > after(at, x.maxAge) ||
		x.makeRoom(t, nil, farFrom(&x.self, &key), cost) != nil {
		_ = x.kv.Delete(key)
		return
	}
	e := x.insert(t, at, key)
	e.cost = cost
	x.bytes += int64(cost)
}
