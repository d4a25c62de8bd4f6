package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

const (
	// groupBytes ends a group of changes that are written together.
	groupBytes = 1 << 20
	// queueLen is how many changes wait for the one goroutine that writes.
	queueLen = 256
)

// change is what somebody wants done to the database.
type change struct {
	do    func(tx *tx) error
	err   error
	taken atomic.Bool   // by the writer, or back by who asked
	done  chan struct{} // closed when it is seen by all
}

// change has do done in its turn, together with the changes of others that wait. It
// does not wait for a disk that refuses writes.
func (kv *KV) change(do func(tx *tx) error) error {
	if err := kv.health.failure(); err != nil {
		return err
	}
	c := &change{do: do, done: make(chan struct{})}
	failing := kv.health.failing()
	select {
	case kv.writes <- c:
	case <-kv.stop:
		return store.ErrClosed
	case <-failing:
		return kv.health.failure()
	}
	select {
	case <-c.done:
		return c.err
	case <-kv.stop:
	case <-failing:
	}
	if !c.taken.CompareAndSwap(false, true) {
		select {
		case <-c.done:
			return c.err
		default:
		}
	}
	if err := kv.health.failure(); err != nil {
		return err
	}
	return store.ErrClosed
}

// write is the goroutine that writes: whatever waits goes into one batch, which is
// atomic, and everybody is told when all can see it.
func (kv *KV) write(db *lsm.DB) {
	defer kv.idle.Done()
	tx := &tx{kv: kv, db: db, totals: *kv.totals.Load(), pending: make(map[keyspace.Key]pending)}
	var group []*change
	for {
		select {
		case c := <-kv.writes:
			group = tx.run(group[:0], c)
		case <-kv.stop:
			return
		}
		for len(group) < queueLen && (tx.batch == nil || tx.batch.Len() < groupBytes) {
			select {
			case c := <-kv.writes:
				group = tx.run(group, c)
				continue
			default:
			}
			break
		}
		err := tx.commit()
		for _, c := range group {
			if c.err == nil {
				c.err = err
			}
			close(c.done)
		}
	}
}

// tx collects changes that become visible together. Only the writer has one.
type tx struct {
	kv      *KV
	db      *lsm.DB
	batch   *lsm.Batch    // nil if empty
	reader  *lsm.Iterator // of what is visible; nil until something is looked up
	totals  totals
	pending map[keyspace.Key]pending // what the batch does, for those who come after
	lowest  []byte                   // key of the order of age that the batch sets, empty if it sets none
	room    []byte
}

// pending is what is known of a key's record: is it there, as long and as old as what.
type pending struct {
	held bool
	size int
	at   uint32
}

// run does c unless nobody waits for it any more.
func (tx *tx) run(group []*change, c *change) []*change {
	if !c.taken.CompareAndSwap(false, true) {
		return group
	}
	c.err = c.do(tx)
	return append(group, c)
}

// held tells what there is of key.
func (tx *tx) held(key *keyspace.Key) (pending, error) {
	if p, known := tx.pending[*key]; known {
		return p, nil
	}
	b, found, err := tx.look(key)
	if !found {
		return pending{}, err
	}
	r, err := parseRecord(key, b)
	if err != nil { // it was counted all the same
		return pending{held: true, size: max(len(b)-headLen, 0)}, nil
	}
	return pending{held: true, size: len(r.value), at: r.at}, nil
}

// look returns what the database holds for key; what is damaged is not found. The bytes
// hold until the next call. One reader does for all changes of a batch; unlike the
// database's Get it asks the filters of the lowest level too, where most keys would be
// looked for in vain.
func (tx *tx) look(key *keyspace.Key) (b []byte, found bool, err error) {
	if tx.reader == nil {
		if tx.reader, err = tx.db.NewIter(&lsm.IterOptions{UseL6Filters: true}); err != nil {
			return nil, false, fmt.Errorf("store: reading: %w", err)
		}
	}
	var room [keyLen]byte
	if tx.reader.SeekPrefixGE(appendRecordKey(room[:0], key)) {
		b, err = tx.reader.ValueAndErr()
		found = err == nil
	} else {
		err = tx.reader.Error()
	}
	if err != nil {
		tx.endReading()
		if !lsm.IsCorruptionError(err) {
			return nil, false, fmt.Errorf("store: reading: %w", err)
		}
	}
	return b, found, nil
}

// endReading closes the reader; the next sees what has become visible since.
func (tx *tx) endReading() {
	if tx.reader != nil {
		_ = tx.reader.Close() // its errors were seen
		tx.reader = nil
	}
}

func (tx *tx) put(key *keyspace.Key, r record) error {
	old, err := tx.held(key)
	if err != nil {
		return err
	}
	b := tx.open()
	if old.at != 0 && old.at != r.at {
		tx.room = appendFiledKey(tx.room[:0], old.at, key)
		err = b.Delete(tx.room, nil)
	}
	if r.at != 0 && (old.at != r.at || old.size != len(r.value)) {
		tx.room = appendFiledKey(tx.room[:0], r.at, key)
		size := binary.AppendUvarint(nil, uint64(len(r.value)))
		err = errors.Join(err, b.Set(tx.room, size, nil))
		if len(tx.lowest) == 0 || string(tx.room) < string(tx.lowest) {
			tx.lowest = append(tx.lowest[:0], tx.room...)
		}
	}
	tx.room = appendRecordKey(tx.room[:0], key)
	tx.room = appendRecord(tx.room, key, r)
	if err = errors.Join(err, b.Set(tx.room[:keyLen], tx.room[keyLen:], nil)); err != nil {
		return fmt.Errorf("store: writing: %w", err)
	}
	tx.note(key, old, pending{held: true, size: len(r.value), at: r.at})
	return nil
}

func (tx *tx) delete(key *keyspace.Key) error {
	old, err := tx.held(key)
	if err != nil || !old.held {
		return err
	}
	return tx.drop(key, old)
}

// drop forgets key's record, which is old.
func (tx *tx) drop(key *keyspace.Key, old pending) (err error) {
	b := tx.open()
	if old.at != 0 {
		tx.room = appendFiledKey(tx.room[:0], old.at, key)
		err = b.Delete(tx.room, nil)
	}
	tx.room = appendRecordKey(tx.room[:0], key)
	if err = errors.Join(err, b.Delete(tx.room, nil)); err != nil {
		return fmt.Errorf("store: writing: %w", err)
	}
	tx.note(key, old, pending{})
	return nil
}

// note counts a change and remembers it for the changes that follow in this batch.
func (tx *tx) note(key *keyspace.Key, before, after pending) {
	if before.held {
		tx.totals.records--
		tx.totals.bytes -= int64(before.size)
	}
	if after.held {
		tx.totals.records++
		tx.totals.bytes += int64(after.size)
	}
	tx.pending[*key] = after
}

// open returns the batch, a new one if there is none.
func (tx *tx) open() *lsm.Batch {
	if tx.batch == nil {
		tx.batch = tx.db.NewBatch()
	}
	return tx.batch
}

// commit makes the batch visible, with the totals that go with it, and hands it to the
// operating system soon.
func (tx *tx) commit() error {
	tx.endReading()
	if tx.batch == nil {
		return nil
	}
	tx.totals.batch++
	tx.room = appendTotals(tx.room[:0], &tx.totals)
	err := tx.batch.Set(metaKey, tx.room, nil)
	if err == nil {
		err = tx.db.Apply(tx.batch, lsm.NoSync)
	}
	if err == nil {
		err = tx.batch.Close()
	}
	tx.batch = nil
	if err != nil {
		clear(tx.pending)
		tx.totals = *tx.kv.totals.Load()
		return fmt.Errorf("store: writing: %w", err)
	}
	now := tx.totals
	tx.kv.totals.Store(&now)
	for key := range tx.pending {
		tx.kv.damage.lost.remove(&key)
	}
	clear(tx.pending)
	if len(tx.lowest) > 0 {
		tx.kv.front.lower(tx.lowest)
		tx.lowest = tx.lowest[:0]
	}
	tx.kv.syncs.written.Add(1)
	return nil
}
