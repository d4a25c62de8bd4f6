package keystore

import (
	"slices"
	"sync"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// memory is a store.KV for the entries of a Keystore and nothing else: an entry names its
// own place, which therefore is not kept. Entries stand one after the other, each behind
// its length, in one piece of memory for each 65536th of the keyspace, and are put in
// order when they are read.
type memory struct {
	mu     sync.RWMutex
	by     [pieces]*[buckets / pieces][]byte // nil where there is none
	state  []byte
	size   int
	bytes  int64
	closed bool
}

var _ store.KV = (*memory)(nil)

func newMemory() *memory { return &memory{} }

// bucket returns where the entries of a bucket stand, nil if there never were any and
// none is to be made.
func (m *memory) bucket(b int, make bool) *[]byte {
	p := &m.by[b/pieces]
	if *p == nil && make {
		*p = new([buckets / pieces][]byte)
	}
	if *p == nil {
		return nil
	}
	return &(*p)[b%pieces]
}

// find returns where the entry of a place stands in its bucket, behind its length, and
// where it ends.
func find(bucket []byte, place *keyspace.Key) (at, end int, found bool) {
	for at = 0; at < len(bucket); at = end {
		end = at + 1 + int(bucket[at])
		if keyspace.KeyOf(bucket[at+1+headSize:end]) == *place {
			return at, end, true
		}
	}
	return at, at, false
}

// Get implements store.KV.
func (m *memory) Get(key keyspace.Key) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.closed:
		return nil, false, store.ErrClosed
	case key == statePlace:
		return m.state, m.state != nil, nil
	}
	bucket := m.bucket(bucketOf(&key), false)
	if bucket == nil {
		return nil, false, nil
	}
	at, end, found := find(*bucket, &key)
	if !found {
		return nil, false, nil
	}
	return slices.Clone((*bucket)[at+1 : end]), true, nil
}

// Put implements store.KV.
func (m *memory) Put(key keyspace.Key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return store.ErrClosed
	}
	if key == statePlace {
		m.state = value
		return nil
	}
	bucket := m.bucket(bucketOf(&key), true)
	at, end, found := find(*bucket, &key)
	if found {
		copy((*bucket)[at+1:end], value) // of one key, so of one length
		return nil
	}
	m.size++
	m.bytes += int64(len(value))
	if need := len(*bucket) + 1 + len(value); need > cap(*bucket) {
		*bucket = append(make([]byte, 0, need+need/16), *bucket...)
	}
	*bucket = append(append(*bucket, byte(len(value))), value...)
	return nil
}

// Delete implements store.KV.
func (m *memory) Delete(key keyspace.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return store.ErrClosed
	}
	bucket := m.bucket(bucketOf(&key), false)
	if bucket == nil {
		return nil
	}
	if at, end, found := find(*bucket, &key); found {
		*bucket = slices.Delete(*bucket, at, end)
		m.size--
		m.bytes -= int64(end - at - 1)
	}
	return nil
}

type pair struct {
	place keyspace.Key
	value []byte
}

// Range implements store.KV.
func (m *memory) Range(first, last keyspace.Key, fn func(key keyspace.Key, value []byte) bool) error {
	var pairs []pair
	for b := bucketOf(&first); b <= bucketOf(&last); b++ {
		var err error
		if pairs, err = m.read(pairs[:0], b); err != nil {
			return err
		}
		for i := range pairs {
			p := &pairs[i]
			if p.place.Compare(&first) >= 0 && p.place.Compare(&last) <= 0 && !fn(p.place, p.value) {
				return nil
			}
		}
	}
	return nil
}

// read appends the pairs of a bucket to dst, in their order.
func (m *memory) read(dst []pair, bucket int) ([]pair, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, store.ErrClosed
	}
	if bucket == 0 && m.state != nil {
		dst = append(dst, pair{statePlace, m.state})
	}
	var all []byte
	if b := m.bucket(bucket, false); b != nil {
		all = slices.Clone(*b)
	}
	for at, end := 0, 0; at < len(all); at = end {
		end = at + 1 + int(all[at])
		dst = append(dst, pair{keyspace.KeyOf(all[at+1+headSize : end]), all[at+1 : end : end]})
	}
	slices.SortFunc(dst, func(a, b pair) int { return a.place.Compare(&b.place) })
	return dst, nil
}

// Sync implements store.KV; nothing survives the program anyway.
func (m *memory) Sync() error { return nil }

// Len implements store.KV.
func (m *memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// Bytes implements store.KV.
func (m *memory) Bytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes
}

// Close implements store.KV.
func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.by = [pieces]*[buckets / pieces][]byte{}
	m.state, m.size, m.bytes, m.closed = nil, 0, 0, true
	return nil
}
