package rpc

// buckets holds one bucket per key for at most limit keys and forgets the least
// recently used one to make room. It never holds more memory than that many
// entries take, and allocates nothing once they are there.
//
// Forgetting never pays: a key that takes another's place starts at the level the
// other had, refilled to now, and only with a full burst if the other was full,
// that is, if nothing was forgotten. So the units served to any number of peers,
// however often they change their names, are at most limit times what one peer
// may have. A peer that is active is among the recently used and stays.
type buckets[K comparable] struct {
	limit   int
	index   map[K]int32
	entries []entry[K] // entries[0] is the list's head: next is the newest, prev the oldest
	evicted uint64     // keys that made room for others
	early   uint64     // of these, how many had not refilled
}

type entry[K comparable] struct {
	bucket
	key        K
	prev, next int32
}

// newBuckets returns an empty table for at most limit keys, at least 1.
func newBuckets[K comparable](limit int) *buckets[K] {
	return &buckets[K]{limit: max(1, limit), index: make(map[K]int32), entries: make([]entry[K], 1)}
}

// len returns how many keys are held.
func (t *buckets[K]) len() int { return len(t.index) }

// get returns key's bucket, refilled to now, and makes it the newest. The
// pointer is good until the next get.
func (t *buckets[K]) get(key K, now int64, r Rate) *bucket {
	i, ok := t.index[key]
	switch {
	case ok:
		t.unlink(i)
	case len(t.entries) <= t.limit:
		i = int32(len(t.entries))
		t.entries = append(t.entries, entry[K]{key: key, bucket: bucket{level: r.Burst, last: now}})
		t.index[key] = i
	default:
		i = t.replaceOldest(key, now, r)
	}
	t.pushFront(i)
	b := &t.entries[i].bucket
	b.refill(now, r)
	return b
}

// replaceOldest gives the oldest entry to key, together with its level.
func (t *buckets[K]) replaceOldest(key K, now int64, r Rate) int32 {
	i := t.entries[0].prev
	e := &t.entries[i]
	e.refill(now, r)
	t.evicted++
	if e.level < r.Burst {
		t.early++
	}
	t.unlink(i)
	delete(t.index, e.key)
	e.key, e.spell = key, spell{}
	t.index[key] = i
	return i
}

func (t *buckets[K]) unlink(i int32) {
	e := &t.entries[i]
	t.entries[e.prev].next = e.next
	t.entries[e.next].prev = e.prev
}

func (t *buckets[K]) pushFront(i int32) {
	head, e := &t.entries[0], &t.entries[i]
	e.prev, e.next = 0, head.next
	t.entries[head.next].prev = i
	head.next = i
}
