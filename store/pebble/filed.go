package pebble

import (
	"encoding/binary"
	"fmt"
	"sync"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

var _ store.Filed = (*KV)(nil)

// dropChunk is how many records one batch forgets.
const dropChunk = 4096

// DropOld implements store.Filed. The order of age is read and forgotten as a range, the
// records one by one.
func (kv *KV) DropOld(last uint32, n int) (dropped int, err error) {
	err = kv.change(func(tx *tx) (err error) {
		dropped, err = tx.dropOld(last, min(n, dropChunk))
		return err
	})
	return dropped, err
}

func (tx *tx) dropOld(last uint32, n int) (int, error) {
	if err := tx.commit(); err != nil { // what the batch does is not in the order yet
		return 0, err
	}
	upper := []byte{prefixFiled + 1}
	if last != ^uint32(0) {
		upper = binary.BigEndian.AppendUint32([]byte{prefixFiled}, last+1)
	}
	front := &tx.kv.front
	front.mu.Lock()
	lower := front.key()
	front.mu.Unlock()
	it, err := tx.db.NewIter(&lsm.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, fmt.Errorf("store: reading: %w", err)
	}
	dropped := 0
	for ok := it.First(); ok && dropped < n && err == nil; ok = it.Next() {
		key := keyspace.Key(it.Key()[5:])
		at := binary.BigEndian.Uint32(it.Key()[1:])
		err = tx.dropAt(&key, at)
		dropped++
	}
	if closed := it.Close(); closed != nil && err == nil {
		err = fmt.Errorf("store: reading: %w", closed)
	}
	return dropped, err
}

// dropAt forgets key's record if it is filed under the tick at, as the order says. If it
// is not, a block that was damaged held it: then only the order is mended.
func (tx *tx) dropAt(key *keyspace.Key, at uint32) error {
	old, err := tx.held(key)
	if err != nil {
		return err
	}
	if old.held && old.at == at {
		return tx.delete(key)
	}
	tx.room = appendFiledKey(tx.room[:0], at, key)
	if err := tx.open().Delete(tx.room, nil); err != nil {
		return fmt.Errorf("store: writing: %w", err)
	}
	return nil
}

// front is a tick before which nothing is filed. Reading the order of age from there
// spares walking over all that was forgotten and is not yet cleaned up.
type front struct {
	mu   sync.Mutex
	tick uint32
}

// key returns where to read from. f.mu is held.
func (f *front) key() []byte {
	return binary.BigEndian.AppendUint32([]byte{prefixFiled}, f.tick)
}

// lower makes room for what was filed under this tick, and can be seen.
func (f *front) lower(tick uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tick = min(f.tick, tick)
}

// Oldest implements store.Filed.
func (kv *KV) Oldest() (uint32, error) {
	kv.life.RLock()
	defer kv.life.RUnlock()
	if kv.db == nil {
		return 0, store.ErrClosed
	}
	kv.front.mu.Lock()
	defer kv.front.mu.Unlock()
	it, err := kv.db.NewIter(&lsm.IterOptions{LowerBound: kv.front.key(), UpperBound: []byte{prefixFiled + 1}})
	if err != nil {
		return 0, fmt.Errorf("store: reading: %w", err)
	}
	at := uint32(0)
	if it.First() {
		at = binary.BigEndian.Uint32(it.Key()[1:])
		kv.front.tick = at
	}
	if err := it.Close(); err != nil {
		return 0, fmt.Errorf("store: reading: %w", err)
	}
	return at, nil
}

// Farthest implements store.Filed.
func (kv *KV) Farthest(self keyspace.Key, fn func(key keyspace.Key, size int) bool) error {
	kv.life.RLock()
	defer kv.life.RUnlock()
	if kv.db == nil {
		return store.ErrClosed
	}
	it, err := kv.db.NewIter(&lsm.IterOptions{LowerBound: []byte{prefixRecord}, UpperBound: []byte{prefixRecord + 1}})
	if err != nil {
		return fmt.Errorf("store: reading: %w", err)
	}
	w := farWalk{it: it, self: &self, fn: fn}
	if w.first(nil) {
		low := w.key()
		if w.last(nil) {
			w.walk(low, w.key())
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: reading: %w", err)
	}
	return nil
}

// farWalk visits the records from the farthest to the nearest. They lie in the order of
// their keys, which is a binary tree: at every fork the side that differs from self in
// that bit is the farther one.
type farWalk struct {
	it   *lsm.Iterator
	self *keyspace.Key
	fn   func(key keyspace.Key, size int) bool
}

// walk visits the records from low to high, which both exist, and reports whether it was
// told to go on.
func (w *farWalk) walk(low, high keyspace.Key) bool {
	fork := keyspace.CommonPrefixLen(&low, &high)
	if fork == keyspace.Bits {
		return w.visit(&low)
	}
	_, end := store.Region(low, fork+1)
	start, _ := store.Region(high, fork+1)
	zeros := func() bool { return w.last(&end) && w.walk(low, w.key()) }
	ones := func() bool { return w.first(&start) && w.walk(w.key(), high) }
	if w.self.Bit(fork) == 1 {
		return zeros() && ones()
	}
	return ones() && zeros()
}

// first goes to the first record from key on, of all if nil; last to the last one up to
// key.
func (w *farWalk) first(key *keyspace.Key) bool {
	if key == nil {
		return w.it.First()
	}
	return w.it.SeekGE(appendRecordKey(nil, key))
}

func (w *farWalk) last(key *keyspace.Key) bool {
	if key == nil {
		return w.it.Last()
	}
	return w.it.SeekLT(append(appendRecordKey(nil, key), 0))
}

func (w *farWalk) key() keyspace.Key { return keyspace.Key(w.it.Key()[1:]) }

// visit tells fn of the record of key.
func (w *farWalk) visit(key *keyspace.Key) bool {
	if !w.first(key) {
		return false
	}
	value, err := w.it.ValueAndErr()
	return err == nil && w.fn(*key, max(len(value)-headLen, 0))
}
