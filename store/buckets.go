package store

// slotCount is how many time buckets a validity is cut into, two to spare.
const slotCount = 128

// place is where buckets holds an item.
type place struct{ slot, index uint32 }

// at makes every type that embeds a place an item of buckets.
func (p *place) at() *place { return p }

// buckets holds items by the time they are due, in slots of equal width, so that
// forgetting costs nothing per item that stays. An item is in exactly one slot.
// What becomes due later than it was added for is not moved: when its slot comes,
// the owner adds it again.
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

// remove takes x, which is in a slot, out of it.
func (b *buckets[T]) remove(x T) {
	p := *x.at()
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

// take removes and returns the items of the earliest slot if all of it is past,
// nil if nothing is due.
func (b *buckets[T]) take(now tick) []T {
	for b.size > 0 && b.first < now/b.width {
		list := b.slots[b.first%slotCount]
		b.slots[b.first%slotCount] = nil
		b.first++
		if len(list) > 0 {
			b.size -= len(list)
			return list
		}
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
