package store

import "sync"

const (
	// chunkSize is how much memory a shard asks for at a time, regionSize how much the
	// operating system is asked for.
	chunkSize  = 64 << 10
	regionSize = 16 * chunkSize
	// sparesKept is how many unused chunks keep their memory.
	sparesKept = 16
)

// arena is memory beside the heap of Go, in chunks. It is used by all shards of a store
// and given back when the store is closed or no longer reachable.
type arena struct {
	mu      sync.Mutex // guards all below
	regions [][]byte
	free    [][]byte // the last sparesKept of them with memory, the others without
	closed  bool
}

// get returns a chunk. What is in it is not defined.
func (a *arena) get() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.free) == 0 {
		a.grow()
	}
	last := len(a.free) - 1
	c := a.free[last]
	a.free = a.free[:last]
	return c
}

// grow asks the operating system for memory, or Go if that gives none.
func (a *arena) grow() {
	r, err := mapMemory(regionSize)
	if err != nil {
		a.free = append(a.free, make([]byte, chunkSize))
		return
	}
	a.regions = append(a.regions, r)
	for len(r) > 0 {
		a.free = append(a.free, r[:chunkSize:chunkSize])
		r = r[chunkSize:]
	}
}

// put takes a chunk back.
func (a *arena) put(c []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.free = append(a.free, c)
	if n := len(a.free); n > sparesKept {
		dropMemory(a.free[n-1-sparesKept])
	}
}

// close gives all memory back; nothing of it may be used any more.
func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.regions {
		unmapMemory(r)
	}
	a.regions, a.free, a.closed = nil, nil, true
}
