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

// valueIndex knows age and cost of every record of a KV and changes both
// together: a record is indexed if and only if the KV holds it.
type valueIndex struct {
	kv         KV
	self       keyspace.Key
	maxAge     tick // 0: records do not age
	maxRecords int
	maxBytes   int64
	radius     radius

	mu      sync.RWMutex // guards all below
	records map[keyspace.Key]*heldValue
	due     buckets[*heldValue]
	far     farthest[*heldValue]
	bytes   int64
	closed  bool
}

func (x *valueIndex) init(kv KV, cfg ValuesConfig) {
	x.kv, x.self = kv, cfg.Self
	x.maxAge = seconds(cfg.MaxAge)
	x.maxRecords, x.maxBytes = cfg.MaxRecords, cfg.MaxBytes
	x.due = newBuckets[*heldValue](x.maxAge)
	x.records = make(map[keyspace.Key]*heldValue)
}

// costOf is what a stored record is charged for: itself, an eighth more because
// memory comes in steps of that size, and its entry.
func costOf(stored []byte) uint32 { return uint32(len(stored)+len(stored)/8) + indexCost }

// find returns key's entry unless it is too old, nil if there is none.
func (x *valueIndex) find(t tick, key keyspace.Key) (*heldValue, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, ErrClosed
	}
	e := x.records[key]
	if e == nil || x.old(t, e) {
		return nil, nil
	}
	return e, nil
}

// put stores a record in place of key's, if it has room or can make it. name is
// the record's key for the error.
func (x *valueIndex) put(t tick, key keyspace.Key, stored, name []byte) error {
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
		e = x.insert(t, t, key)
	}
	x.bytes += int64(cost) - int64(e.cost)
	e.received, e.cost = t, cost
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
	return n <= (x.maxRecords+share-1)/share && bytes <= x.maxBytes/int64(share)
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

// dropBroken forgets key's record if it is still the one that read as broken.
func (x *valueIndex) dropBroken(key keyspace.Key, e *heldValue, broken []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.records[key] != e {
		return
	}
	b, found, err := x.kv.Get(key)
	if err == nil && (!found || slices.Equal(b, broken)) {
		x.drop(e)
	}
}

// expire forgets what is due, up to a bound on its work.
func (x *valueIndex) expire(t tick) {
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

// next returns when expire has something to do, 0 if never.
func (x *valueIndex) next() tick {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.due.next()
}

// held returns count and cost of all records.
func (x *valueIndex) held() (int, int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.records), x.bytes
}

func (x *valueIndex) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed, x.records, x.far, x.bytes = true, nil, nil, 0
	x.due = buckets[*heldValue]{width: 1}
}

// Load indexes what the KV holds from an earlier run and deletes what does not
// parse or is too old. A record stamped in the future counts as new. It is called
// once, before the store is used.
func (s *ValueStore) Load(now time.Time) error {
	t := s.clock.tick(now)
	var first, last keyspace.Key
	for i := range last {
		last[i] = 0xff
	}
	err := s.kv.Range(first, last, func(key keyspace.Key, b []byte) bool {
		s.index.load(now, t, key, b)
		return true
	})
	if err != nil {
		return fmt.Errorf("store: reading the records of the last run: %w", err)
	}
	return nil
}

func (x *valueIndex) load(now time.Time, t tick, key keyspace.Key, b []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	rec, received, err := parseStored(b)
	age := seconds(now.Sub(received))
	cost := costOf(b)
	if err != nil || keyspace.KeyOf(rec.Key) != key || x.maxAge > 0 && age > x.maxAge ||
		x.makeRoom(t, nil, farFrom(&x.self, &key), cost) != nil {
		_ = x.kv.Delete(key)
		return
	}
	e := x.insert(t, t-min(age, firstTick), key)
	e.cost = cost
	x.bytes += int64(cost)
}
