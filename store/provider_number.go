package store

import (
	"sync"
	"sync/atomic"
)

// numbers gives providers the small numbers that records name them by. Reading
// takes no lock: whoever holds a record's shard has a reference to its provider,
// whose number is therefore in use.
type numbers struct {
	chunks atomic.Pointer[[]*numberChunk] // only appended to

	mu   sync.Mutex // guards all below and replacing chunks
	used uint32     // numbers ever given
	free []uint32
}

const numberChunkBits = 6

type numberChunk [1 << numberChunkBits]atomic.Pointer[provider]

// of returns the provider with this number.
func (n *numbers) of(number uint32) *provider {
	return (*n.chunks.Load())[number>>numberChunkBits][number&(1<<numberChunkBits-1)].Load()
}

// give gives who a number, unless all are taken.
func (n *numbers) give(who *provider) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := len(n.free); k > 0 {
		who.number = n.free[k-1]
		n.free = n.free[:k-1]
	} else {
		if n.used == 1<<numberBits {
			return false
		}
		who.number = n.used
		n.used++
		n.grow()
	}
	(*n.chunks.Load())[who.number>>numberChunkBits][who.number&(1<<numberChunkBits-1)].Store(who)
	return true
}

// grow makes room for all numbers used.
func (n *numbers) grow() {
	var chunks []*numberChunk
	if all := n.chunks.Load(); all != nil {
		chunks = *all
	}
	if int(n.used) <= len(chunks)<<numberChunkBits {
		return
	}
	// What others read ends before what is appended, so the room may be shared.
	chunks = append(chunks, new(numberChunk))
	n.chunks.Store(&chunks)
}

// takeBack takes the number of a provider that no record names.
func (n *numbers) takeBack(who *provider) {
	n.mu.Lock()
	defer n.mu.Unlock()
	(*n.chunks.Load())[who.number>>numberChunkBits][who.number&(1<<numberChunkBits-1)].Store(nil)
	n.free = append(n.free, who.number)
}
