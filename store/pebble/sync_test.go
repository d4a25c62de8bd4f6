package pebble

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestGatherEnds: who writes all the time and never waits for the disk does not keep it from
// those who do.
func TestGatherEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that there are writes each time
	const writers = 16
	var s syncs
	var over atomic.Bool
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for !over.Load() {
				s.written.Add(1)
				runtime.Gosched()
			}
		})
	}
	most := uint64(0)
	for range 1000 {
		before := s.written.Load()
		s.gather()
		most = max(most, s.written.Load()-before)
	}
	over.Store(true)
	all.Wait()
	if most > 4*gatherMost*writers {
		t.Errorf("%d batches were let go first", most)
	}
}
