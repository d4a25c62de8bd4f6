package pebble

import (
	"runtime"
	"sync"
	"sync/atomic"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/store"
)

// syncs brings what was written to the disk for all who wait together: while one write
// of the disk lasts, the next round gathers.
type syncs struct {
	written atomic.Uint64 // batches that are visible
	synced  atomic.Uint64 // of these, how many are safe

	mu   sync.Mutex
	next *round        // the round that gathers, nil if nobody waits
	wake chan struct{} // there is one
}

type round struct {
	done chan struct{}
	err  error
}

// wait returns when all that is visible now is safe.
func (s *syncs) wait(kv *KV) error {
	if kv.health.failure() == nil && s.synced.Load() == s.written.Load() {
		select {
		case <-kv.stop:
			return store.ErrClosed
		default:
			return nil
		}
	}
	failing := kv.health.failing()
	r := s.join()
	select {
	case <-r.done:
		return r.err
	case <-failing:
		return kv.health.failure()
	case <-kv.stop:
		return store.ErrClosed
	}
}

func (s *syncs) join() *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &round{done: make(chan struct{})}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return s.next
}

// gatherMost is how often others are let go first, so that those who write without waiting
// for the disk do not keep it from those who do.
const gatherMost = 8

// gather lets all who are about to write do so first: the last write of the disk has
// woken many at once, and whoever misses this one waits for the next.
func (s *syncs) gather() {
	before := s.written.Load()
	for range gatherMost {
		runtime.Gosched()
		now := s.written.Load()
		if now == before {
			return
		}
		before = now
	}
}

// run is the goroutine that syncs.
func (s *syncs) run(kv *KV, db *lsm.DB) {
	defer kv.idle.Done()
	for {
		select {
		case <-s.wake:
		case <-kv.stop:
			return
		}
		s.gather()
		s.mu.Lock()
		r := s.next
		s.next = nil
		s.mu.Unlock()
		upTo := s.written.Load()
		if r.err = db.LogData(nil, lsm.Sync); r.err == nil {
			s.synced.Store(upTo)
		}
		kv.stats.syncs.Add(1)
		close(r.done)
	}
}
