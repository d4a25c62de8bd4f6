package store

const (
	// slotCount is how many time buckets a validity is cut into, some to spare.
	slotCount = 128
	// unfiled is the slot of an item that is in none.
	unfiled = 1<<32 - 1
	// sweepChunk is how many items are looked at under one hold of a lock, and
	// sweepWork how many by one call of Advance, so that neither takes more than some
	// milliseconds.
	sweepChunk = 256
	sweepWork  = 10_000
)

// place is where buckets holds an item.
type place struct{ slot, index uint32 }

// at makes every type that embeds a place an item of buckets.
func (p *place) at() *place { return p }

// buckets holds items by the time they are due, in slots of equal width, so that
// forgetting costs nothing per item that stays. An item is in one slot at most.
// What becomes due later than it was added for is not moved: when it is taken, the
// owner adds it again.
type buckets[T interface{ at() *place }] struct {
	width tick   // seconds a slot covers
	first uint32 // the earliest slot that may hold an item, counted from tick 0
	size  int
	slots [][]T // ring of slotCount, nil until the first add
}

// newBuckets returns buckets for items due at most ttl seconds ahead.
func newBuckets[T interface{ at() *place }](ttl tick) buckets[T] {
	return buckets[T]{width: ttl/(slotCount-4) + 1}
}

// add files x, which is in no slot, as due at the given tick.
func (b *buckets[T]) add(now, due tick, x T) {
	if b.slots == nil {
		b.slots = make([][]T, slotCount)
	}
	if b.size == 0 {
		b.first = now / b.width
	}
	slot := min(max(due/b.width, b.first), b.first+slotCount-1)
	list := &b.slots[slot%slotCount]
	*x.at() = place{slot: slot, index: uint32(len(*list))}
	*list = append(*list, x)
	b.size++
}

// remove takes x out of its slot if it is in one.
func (b *buckets[T]) remove(x T) {
	p := *x.at()
	if p.slot == unfiled {
		return
	}
	x.at().slot = unfiled
	list := b.slots[p.slot%slotCount]
	last := len(list) - 1
	moved := list[last]
	list[p.index] = moved
	moved.at().index = p.index
	var none T
	list[last] = none
	b.slots[p.slot%slotCount] = list[:last]
	b.size--
}

// take removes and returns at most n items of slots that are all past, none if
// there are no more. What it returns holds until the next call of take.
func (b *buckets[T]) take(now tick, n int) []T {
	for b.size > 0 && b.first < now/b.width {
		list := &b.slots[b.first%slotCount]
		if rest := max(len(*list)-n, 0); rest < len(*list) {
			taken := (*list)[rest:]
			*list = (*list)[:rest]
			b.size -= len(taken)
			for _, x := range taken {
				x.at().slot = unfiled
			}
			return taken
		}
		*list = nil
		b.first++
	}
	return nil
}

// oldest returns an item of the earliest slot that holds one. There must be one.
func (b *buckets[T]) oldest() T {
	for slot := b.first; ; slot++ {
		if list := b.slots[slot%slotCount]; len(list) > 0 {
			return list[len(list)-1]
		}
	}
}

// next returns the first tick at which take has something to return, 0 if never.
func (b *buckets[T]) next() tick {
	if b.size == 0 {
		return 0
	}
	return (b.oldest().at().slot + 1) * b.width
}
