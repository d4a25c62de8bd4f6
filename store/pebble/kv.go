// Package pebble is the store.KV that outlives the program, on the embedded database
// of that name. It keeps values by their place in the keyspace and, beside them, what
// a store.ValueStore needs to know of them: the order in which they age, totals, and
// the time that has passed. So a store of millions of records opens at once and takes
// no memory per record.
//
//	kv, err := pebble.Open(dir, pebble.Config{})
//	values := store.NewValues(kv, rules, store.ValuesConfig{Self: self})
//	...
//	err = values.Close()
//
// Put and Delete are seen at once; Sync returns when they have reached the disk, and
// all who wait share one write of it. After a crash everything synced is there, and of
// the rest whatever was written first.
//
// A disk that fails takes nothing down: see guard for one that refuses writes, and
// salvage for one that lost or changed what was written.
//
// Invariant: what Get and Range hand out was put under that very key, by a checksum of
// our own over key and value. What does not read as it was written is not there, and
// is counted in Stats.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

const (
	// rangeChunk is how many pairs Range reads at a time, so that none of its callers
	// holds up Close.
	rangeChunk = 256
	// closeLimit is how long Close waits for the database (reliability.md P16: two
	// seconds in all).
	closeLimit = 1500 * time.Millisecond
)

// KV is a store.KV in a directory. Reads never wait for writes.
type KV struct {
	health *health
	place  place
	uptime func() (boot string, up time.Duration)
	writes chan *change
	syncs  syncs
	stop   chan struct{} // closed by Close
	idle   sync.WaitGroup

	life   sync.RWMutex // held for reading while the database is used
	db     *lsm.DB      // nil when closed
	guard  *guard       // of db
	totals atomic.Pointer[totals]
	front  front
	stats  counters

	damage damage

	shut func() error // close, once
}

var _ store.KV = (*KV)(nil)

// Get implements store.KV.
func (kv *KV) Get(key keyspace.Key) (value []byte, found bool, err error) {
	value, _, found, err = kv.GetAt(key)
	return value, found, err
}

// GetAt is Get, and tells the tick that the value was put with.
func (kv *KV) GetAt(key keyspace.Key) (value []byte, at uint32, found bool, err error) {
	kv.life.RLock()
	defer kv.life.RUnlock()
	if kv.db == nil {
		return nil, 0, false, store.ErrClosed
	}
	r, found, err := kv.read(&key)
	if !found {
		return nil, 0, false, err
	}
	return r.value, r.at, true, nil
}

// read returns key's record, the caller's own copy. One that is damaged is not found.
// kv.life is held.
func (kv *KV) read(key *keyspace.Key) (record, bool, error) {
	if kv.damage.lost.has(key) {
		return record{}, false, nil
	}
	var room [keyLen]byte
	b, closer, err := kv.db.Get(appendRecordKey(room[:0], key))
	switch {
	case errors.Is(err, lsm.ErrNotFound):
		return record{}, false, nil
	case lsm.IsCorruptionError(err):
		kv.damage.lost.add(key)
		kv.stats.unreadable.Add(1)
		return record{}, false, nil
	case err != nil:
		return record{}, false, fmt.Errorf("store: reading: %w", err)
	}
	defer closer.Close() //nolint:errcheck // only returns a block to the cache
	r, err := parseRecord(key, b)
	if err != nil {
		kv.stats.unreadable.Add(1)
		return record{}, false, nil
	}
	r.value = append(make([]byte, 0, len(r.value)), r.value...)
	return r, true, nil
}

// Put implements store.KV. What is put so never ages.
func (kv *KV) Put(key keyspace.Key, value []byte) error { return kv.PutAt(key, value, 0) }

// PutAt is Put of a value that is filed under the tick at, which is not 0: DropOld
// forgets by it.
func (kv *KV) PutAt(key keyspace.Key, value []byte, at uint32) error {
	return kv.change(func(tx *tx) error { return tx.put(&key, record{at: at, value: value}) })
}

// Delete implements store.KV.
func (kv *KV) Delete(key keyspace.Key) error {
	return kv.change(func(tx *tx) error { return tx.delete(&key) })
}

// Sync implements store.KV: what was changed before has reached the disk when it
// returns nil. While the disk refuses writes it fails at once.
func (kv *KV) Sync() error { return kv.syncs.wait(kv) }

// Len implements store.KV.
func (kv *KV) Len() int { return int(kv.totals.Load().records) }

// Bytes implements store.KV.
func (kv *KV) Bytes() int64 { return kv.totals.Load().bytes }

// Close implements store.KV. It waits for reads that have begun, and then returns within
// two seconds: a database that is still busy then, or whose disk refuses writes or does
// not answer, is left as a crash would leave it, which loses nothing synced.
func (kv *KV) Close() error { return kv.shut() }

func (kv *KV) close() error {
	late, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	synced := kv.syncLast(late)
	close(kv.stop)
	kv.life.Lock()
	db, guard, batches := kv.db, kv.guard, kv.totals.Load().batch
	kv.db = nil
	kv.totals.Store(&totals{})
	kv.life.Unlock()
	unlock := sync.OnceValue(kv.place.unlock)
	done := make(chan error, 1)
	go func() {
		kv.idle.Wait()
		var err error
		if db != nil {
			err = db.Close()
		}
		if err == nil && synced == nil {
			_ = kv.place.tellSafe(batches) // or the next start can tell less
		}
		done <- errors.Join(err, unlock())
	}()
	if kv.health.failure() != nil { // it hardly can
		late, cancel = context.WithTimeout(late, closeLimit/10)
		defer cancel()
	}
	select {
	case err := <-done:
		return errors.Join(synced, err)
	case <-late.Done():
	}
	if kv.health.failure() == nil {
		return synced // the rest is done when the database is
	}
	guard.dead.Store(true) // from now on nothing here touches the directory
	return errors.Join(synced, unlock())
}

// syncLast is Sync, and tells the next Open of damage, as far as the disk is in time.
func (kv *KV) syncLast(late context.Context) error {
	done := make(chan error, 1)
	go func() {
		err := kv.Sync()
		if kv.damage.found.Load() {
			kv.damage.tell(&kv.place)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-late.Done():
		return fmt.Errorf("%w: it does not answer: what was not synced yet may be lost: see to the disk, then start again", ErrDisk)
	}
}
