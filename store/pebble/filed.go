package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
func (kv *KV) DropOld(last uint32, n int) (int, error) {
	dropped := 0 // the writer's until change returns nil
	err := kv.change(func(tx *tx) (err error) {
		dropped, err = tx.dropOld(last, min(n, dropChunk))
		return err
	})
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

// filed is an entry of the order of age, and what is held of its record.
type filed struct {
	key keyspace.Key
	at  uint32
	pending
}

func (tx *tx) dropOld(last uint32, n int) (int, error) {
	if err := tx.commit(); err != nil { // what the batch does is not in the order yet
		return 0, err
	}
	old, err := tx.oldest(last, n)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	first, end := &old[0], &old[len(old)-1]
	b := tx.open()
	err = b.DeleteRange(appendFiledKey(nil, first.at, &first.key), append(appendFiledKey(nil, end.at, &end.key), 0), nil)
	// In the order of the records, each is found near the one before.
	slices.SortFunc(old, func(a, b filed) int { return a.key.Compare(&b.key) })
	for i := range old {
		if f := &old[i]; f.held && f.pending.at == f.at {
			tx.room = appendRecordKey(tx.room[:0], &f.key)
			err = errors.Join(err, b.Delete(tx.room, nil))
			tx.totals.records--
			tx.totals.bytes -= int64(f.size)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("store: writing: %w", err)
	}
	return len(old), tx.commit()
}

// oldest returns the first n entries of the order of age up to a tick. A record and its
// entry are always written together, so that the record need not be read, unless something
// is damaged: then there may be a younger one, or none.
func (tx *tx) oldest(last uint32, n int) (old []filed, err error) {
	upper := []byte{prefixFiled + 1}
	if last != ^uint32(0) {
		upper = binary.BigEndian.AppendUint32([]byte{prefixFiled}, last+1)
	}
	it, err := tx.db.NewIter(&lsm.IterOptions{LowerBound: tx.kv.front.get(), UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	for ok := it.First(); ok && len(old) < n && err == nil; ok = it.Next() {
		f := filed{at: binary.BigEndian.Uint32(it.Key()[1:]), key: keyspace.Key(it.Key()[5:])}
		size, used := binary.Uvarint(it.Value())
		f.pending = pending{held: true, size: int(size), at: f.at}
		if tx.kv.damage.found.Load() || used <= 0 {
			f.pending, err = tx.held(&f.key)
		}
		old = append(old, f)
	}
	if closed := it.Close(); closed != nil && err == nil {
		err = fmt.Errorf("store: reading: %w", closed)
	}
	return old, err
}

// front is a key of the order of age before which nothing is filed. Reading from there
// spares walking over all that was forgotten and is not yet cleaned up.
type front struct {
	mu  sync.Mutex
	key []byte // not changed, but replaced
}

func (f *front) get() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key == nil {
		return []byte{prefixFiled}
	}
	return f.key
}

// lower makes room for what was filed under this key, and can be seen.
func (f *front) lower(key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != nil && string(key) < string(f.key) {
		f.key = bytes.Clone(key)
	}
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
	lower := kv.front.key
	if lower == nil {
		lower = []byte{prefixFiled}
	}
	it, err := kv.db.NewIter(&lsm.IterOptions{LowerBound: lower, UpperBound: []byte{prefixFiled + 1}})
	if err != nil {
		return 0, fmt.Errorf("store: reading: %w", err)
	}
	at := uint32(0)
	if it.First() {
		at = binary.BigEndian.Uint32(it.Key()[1:])
		kv.front.key = bytes.Clone(it.Key())
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
	_, end := low.Region(fork + 1)
	start, _ := high.Region(fork + 1)
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
