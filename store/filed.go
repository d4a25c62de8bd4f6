package store

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Filed is a KV that keeps, beside its values, what a ValueStore must know of them:
// the order in which they age, and how much time has passed. So there is nothing to
// read at a start, and nothing to hold in memory. All of a KV's contract holds.
//
// A tick is a number of seconds on a scale that only goes forward, never 0.
type Filed interface {
	KV
	// GetAt is Get, and returns the tick that the value was put with.
	GetAt(key keyspace.Key) (value []byte, at uint32, found bool, err error)
	// PutAt is Put of a value filed under the tick at.
	PutAt(key keyspace.Key, value []byte, at uint32) error
	// DropOld forgets at most n of the values filed under last or an earlier tick, the
	// oldest first, and returns how many.
	DropOld(last uint32, n int) (int, error)
	// Oldest returns the earliest tick that a value is filed under, 0 if there is none.
	Oldest() (uint32, error)
	// Farthest calls fn for the pairs in the order of their distance from self, the
	// farthest first, with the length of each value, until fn returns false. fn does not
	// change the KV.
	Farthest(self keyspace.Key, fn func(key keyspace.Key, size int) bool) error
	// Tell keeps which tick it is now; Resume returns the tick of now by what was last
	// told, in this or an earlier run, and start if nothing was.
	Tell(now time.Time, tick uint32) error
	Resume(now time.Time, start uint32) uint32
}

const (
	// filedCost is what a record in a Filed is charged besides its stored form: its keys
	// in a database on disk.
	filedCost = 100
	// filedChunk is how many records are forgotten under one hold of the lock.
	filedChunk = 4096
	// tellEvery is how often a Filed is told the time, in seconds: by so much a crash
	// together with a clock set back may lengthen a record's life.
	tellEvery = 600
)

// filedIndex is the index of a KV that keeps it itself.
type filedIndex struct {
	limits
	kv Filed

	mu     sync.Mutex // orders changes, guards all below
	oldest tick       // nothing was put earlier; 0 if nothing is held, or it is not known
	told   tick       // when the KV was told the time
	edge   uint64     // nothing held is farther than this, 0 if not known
}

func (x *filedIndex) get(t tick, key keyspace.Key) (stored []byte, at tick, found bool, err error) {
	stored, at, found, err = x.kv.GetAt(key)
	if err != nil || !found || x.old(t, at) {
		return nil, 0, false, err
	}
	return stored, at, true, nil
}

// old reports whether the age of what was put at a tick exceeds the limit.
func (x *filedIndex) old(t, at tick) bool { return x.maxAge > 0 && t > after(at, x.maxAge) }

func (x *filedIndex) put(now time.Time, t, at tick, key keyspace.Key, stored, name []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	far := farFrom(&x.self, &key)
	if err := x.tell(now, t); err != nil {
		return err
	}
	if err := x.makeRoom(t, key, far, len(stored)); err != nil {
		return fmt.Errorf("%w (key %s)", err, show(name))
	}
	if err := x.kv.PutAt(key, stored, at); err != nil {
		return fmt.Errorf("store: writing %s: %w", show(name), err)
	}
	if x.edge != 0 {
		x.edge = max(x.edge, far)
	}
	if x.oldest != 0 {
		x.oldest = min(x.oldest, at)
		return nil
	}
	var err error
	x.oldest, err = x.kv.Oldest()
	return err
}

// makeRoom gives up records farther than far until one of this size fits in place of
// key's. If they do not suffice, all stay.
func (x *filedIndex) makeRoom(t tick, key keyspace.Key, far uint64, size int) error {
	n, bytes, isNew, err := x.with(key, size)
	if err != nil || x.fit(n, bytes, 2) {
		return err
	}
	if isNew && x.radius.beyond(far) {
		return fmt.Errorf("%w: %w", ErrFull, errBeyond)
	}
	for !x.fit(n, bytes, 1) {
		dropped, err := x.dropOld(t)
		if err != nil {
			return err
		}
		if dropped == 0 {
			return x.evict(far, n, bytes)
		}
		if n, bytes, _, err = x.with(key, size); err != nil { // key's may be among them
			return err
		}
	}
	return nil
}

// with returns how many records of what cost there are with one of this size under key,
// and whether it is a new one. What is far within the budgets without looking is not
// looked for.
func (x *filedIndex) with(key keyspace.Key, size int) (n int, bytes int64, isNew bool, err error) {
	n, bytes = x.held()
	n, bytes = n+1, bytes+int64(size)+filedCost
	if x.fit(n, bytes, 2) {
		return n, bytes, true, nil
	}
	old, _, replaces, err := x.kv.GetAt(key)
	if err != nil {
		return 0, 0, false, fmt.Errorf("store: reading: %w", err)
	}
	if replaces {
		n, bytes = n-1, bytes-int64(len(old))-filedCost
	}
	return n, bytes, !replaces, nil
}

// evict gives up the farthest records until n records of so many bytes less those fit.
func (x *filedIndex) evict(far uint64, n int, bytes int64) error {
	if x.edge != 0 && far >= x.edge {
		return fmt.Errorf("%w: %w", ErrFull, errFarther)
	}
	var victims []keyspace.Key
	edge := uint64(0)
	err := x.kv.Farthest(x.self, func(key keyspace.Key, size int) bool {
		edge = farFrom(&x.self, &key)
		if x.fit(n, bytes, 1) || edge <= far || len(victims) == sweepChunk {
			return false
		}
		victims = append(victims, key)
		n, bytes = n-1, bytes-int64(size)-filedCost
		return true
	})
	if err != nil {
		return fmt.Errorf("store: reading: %w", err)
	}
	if !x.fit(n, bytes, 1) {
		if len(victims) == 0 {
			x.edge = max(edge, 1)
		}
		return fmt.Errorf("%w: %w", ErrFull, errFarther)
	}
	x.edge = max(edge, far, 1)
	return x.delete(victims)
}

func (x *filedIndex) delete(victims []keyspace.Key) error {
	for _, v := range victims {
		if err := x.kv.Delete(v); err != nil {
			return fmt.Errorf("store: deleting: %w", err)
		}
	}
	return nil
}

// trim gives up a few of the farthest records if budgets were larger once, and returns
// how many.
func (x *filedIndex) trim() (int, error) {
	n, bytes := x.held()
	if x.fit(n, bytes, 1) {
		return 0, nil
	}
	var victims []keyspace.Key
	err := x.kv.Farthest(x.self, func(key keyspace.Key, size int) bool {
		victims = append(victims, key)
		n, bytes = n-1, bytes-int64(size)-filedCost
		return len(victims) < sweepChunk && !x.fit(n, bytes, 1)
	})
	if err != nil {
		return 0, err
	}
	return len(victims), x.delete(victims)
}

func (x *filedIndex) dropBroken(key keyspace.Key, broken []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if b, found, err := x.kv.Get(key); found && err == nil && slices.Equal(b, broken) {
		_ = x.kv.Delete(key)
	}
}

func (x *filedIndex) load(now time.Time, t tick) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var err error
	if x.oldest, err = x.kv.Oldest(); err != nil {
		return err
	}
	return x.tell(now, t)
}

func (x *filedIndex) expire(now time.Time, t tick) {
	for work := 0; work < sweepWork; {
		x.mu.Lock()
		n, err := x.dropOld(t)
		if n == 0 && err == nil {
			n, err = x.trim()
		}
		if n == 0 || err != nil {
			_ = x.tell(now, t)
			x.mu.Unlock()
			return
		}
		x.mu.Unlock()
		work += n
	}
}

// dropOld forgets a few records that are too old and returns how many.
func (x *filedIndex) dropOld(t tick) (int, error) {
	if x.maxAge == 0 || t <= x.maxAge || !x.old(t, max(x.oldest, 1)) {
		return 0, nil
	}
	n, err := x.kv.DropOld(t-x.maxAge-1, filedChunk)
	if err == nil {
		x.oldest, err = x.kv.Oldest()
	}
	return n, err
}

// tell tells the KV the time now and then, before anything is filed by it.
func (x *filedIndex) tell(now time.Time, t tick) error {
	if x.told != 0 && t < after(x.told, tellEvery) {
		return nil
	}
	if err := x.kv.Tell(now, t); err != nil {
		return err
	}
	x.told = t
	return nil
}

func (x *filedIndex) next() tick {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n, bytes := x.held(); !x.fit(n, bytes, 1) {
		return 1
	}
	if x.oldest == 0 || x.maxAge == 0 {
		return 0
	}
	width := x.maxAge/(slotCount-4) + 1
	due := (after(x.oldest, x.maxAge)/width + 1) * width
	return min(due, after(x.told, tellEvery))
}

func (x *filedIndex) held() (int, int64) {
	n := x.kv.Len()
	return n, x.kv.Bytes() + int64(n)*filedCost
}

func (x *filedIndex) close(now time.Time, t tick) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.oldest != 0 {
		_ = x.kv.Tell(now, t)
	}
}
