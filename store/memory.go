package store

import (
	"slices"
	"sort"
	"sync"

	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// blockSize is how many pairs a block holds before it is halved: few enough to
	// move cheaply on an insert, many enough to keep the list of blocks short.
	blockSize = 128
	// rangeChunk is how many pairs Range copies under one hold of the lock.
	rangeChunk = 64
)

// Memory is a KV that forgets everything when it is closed: a sorted list of
// sorted blocks of pairs. No block is empty.
type Memory struct {
	mu     sync.RWMutex
	blocks []block
	size   int
	bytes  int64
	closed bool
}

type pair struct {
	key   keyspace.Key
	value []byte
}

type block []pair

var _ KV = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{} }

// Get implements KV.
func (m *Memory) Get(key keyspace.Key) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, false, ErrClosed
	}
	b := m.block(&key)
	if b == len(m.blocks) {
		return nil, false, nil
	}
	i, found := m.blocks[b].find(&key)
	if !found {
		return nil, false, nil
	}
	return m.blocks[b][i].value, true, nil
}

// Put implements KV.
func (m *Memory) Put(key keyspace.Key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.bytes += int64(len(value))
	b := m.block(&key)
	switch {
	case len(m.blocks) == 0:
		m.blocks = append(m.blocks, nil)
	case b == len(m.blocks):
		b--
	}
	i, found := m.blocks[b].find(&key)
	if found {
		m.bytes -= int64(len(m.blocks[b][i].value))
		m.blocks[b][i].value = value
		return nil
	}
	m.blocks[b] = slices.Insert(m.blocks[b], i, pair{key, value})
	m.size++
	if len(m.blocks[b]) >= blockSize {
		m.halve(b)
	}
	return nil
}

// Delete implements KV.
func (m *Memory) Delete(key keyspace.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	b := m.block(&key)
	if b == len(m.blocks) {
		return nil
	}
	i, found := m.blocks[b].find(&key)
	if !found {
		return nil
	}
	m.bytes -= int64(len(m.blocks[b][i].value))
	m.size--
	m.blocks[b] = slices.Delete(m.blocks[b], i, i+1)
	if len(m.blocks[b]) == 0 {
		m.blocks = slices.Delete(m.blocks, b, b+1)
	}
	return nil
}

// Range implements KV.
func (m *Memory) Range(first, last keyspace.Key, fn func(keyspace.Key, []byte) bool) error {
	chunk := make([]pair, 0, rangeChunk)
	for {
		var err error
		if chunk, err = m.chunk(chunk[:0], &first, &last); err != nil {
			return err
		}
		for i := range chunk {
			if !fn(chunk[i].key, chunk[i].value) {
				return nil
			}
		}
		if len(chunk) < rangeChunk {
			return nil
		}
		if first = chunk[len(chunk)-1].key; !first.Next() {
			return nil
		}
	}
}

// chunk appends up to rangeChunk pairs from first to last to dst.
func (m *Memory) chunk(dst []pair, first, last *keyspace.Key) ([]pair, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	for b := m.block(first); b < len(m.blocks); b++ {
		i, _ := m.blocks[b].find(first)
		for ; i < len(m.blocks[b]); i++ {
			p := &m.blocks[b][i]
			if len(dst) == rangeChunk || p.key.Compare(last) > 0 {
				return dst, nil
			}
			dst = append(dst, *p)
		}
	}
	return dst, nil
}

// Sync implements KV; nothing of a Memory survives the program anyway.
func (m *Memory) Sync() error { return nil }

// Len implements KV.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// Bytes implements KV.
func (m *Memory) Bytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes
}

// Close implements KV.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks, m.size, m.bytes, m.closed = nil, 0, 0, true
	return nil
}

// block returns the index of the only block that may hold key, len(m.blocks) if
// key is beyond all of them.
func (m *Memory) block(key *keyspace.Key) int {
	return sort.Search(len(m.blocks), func(i int) bool {
		b := m.blocks[i]
		return b[len(b)-1].key.Compare(key) >= 0
	})
}

// halve splits block b in two.
func (m *Memory) halve(b int) {
	full := m.blocks[b]
	upper := append(make(block, 0, blockSize), full[len(full)/2:]...)
	clear(full[len(full)/2:])
	m.blocks[b] = full[:len(full)/2]
	m.blocks = slices.Insert(m.blocks, b+1, upper)
}

// find returns where key is in b or would be.
func (b block) find(key *keyspace.Key) (int, bool) {
	i := sort.Search(len(b), func(i int) bool { return b[i].key.Compare(key) >= 0 })
	return i, i < len(b) && b[i].key == *key
}
