package store

import (
	"encoding/binary"

	"github.com/kdht/kdht/protocol/keyspace"
)

// rank is an item's place in a farthest heap and what decides it: the leading 64
// bits of its distance from this peer. Two keys that share these bits count as
// equally far.
type rank struct {
	far uint64
	pos uint32
}

// ranked makes every type that embeds a rank an item of farthest.
func (r *rank) ranked() *rank { return r }

// farFrom returns the leading 64 bits of the distance between self and key.
func farFrom(self, key *keyspace.Key) uint64 {
	return binary.BigEndian.Uint64(self[:]) ^ binary.BigEndian.Uint64(key[:])
}

// farthest is a heap with the item farthest from this peer on top. An item's far
// does not change while it is held.
type farthest[T interface{ ranked() *rank }] []T

// add puts x into the heap.
func (h *farthest[T]) add(x T) {
	*h = append(*h, x)
	h.set(len(*h)-1, x)
	h.up(len(*h) - 1)
}

// remove takes x, which is in the heap, out of it.
func (h *farthest[T]) remove(x T) {
	i, last := int(x.ranked().pos), len(*h)-1
	moved := (*h)[last]
	var none T
	(*h)[last] = none
	*h = (*h)[:last]
	if i == last {
		return
	}
	h.set(i, moved)
	h.up(i)
	h.down(int(moved.ranked().pos))
}

func (h *farthest[T]) set(i int, x T) {
	(*h)[i] = x
	x.ranked().pos = uint32(i)
}

func (h *farthest[T]) swap(i, j int) {
	x, y := (*h)[i], (*h)[j]
	h.set(i, y)
	h.set(j, x)
}

func (h *farthest[T]) far(i int) uint64 { return (*h)[i].ranked().far }

func (h *farthest[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h.far(i) <= h.far(parent) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *farthest[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(*h) {
			return
		}
		if child+1 < len(*h) && h.far(child+1) > h.far(child) {
			child++
		}
		if h.far(child) <= h.far(i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
