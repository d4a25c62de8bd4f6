package pebble

import (
	"encoding/binary"
	"fmt"
	"math"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// passHalves is how exactly Range finds the end of a block that is damaged: the database
// takes some ten milliseconds to find out once more that it is.
const passHalves = 4

type pair struct {
	key   keyspace.Key
	value []byte
}

// Range implements store.KV.
func (kv *KV) Range(first, last keyspace.Key, fn func(key keyspace.Key, value []byte) bool) error {
	lower, upper := appendRecordKey(nil, &first), append(appendRecordKey(nil, &last), 0)
	chunk := make([]pair, 0, rangeChunk)
	for {
		var err error
		if chunk, err = kv.chunk(chunk[:0], lower, upper); err != nil {
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
		lower = append(appendRecordKey(lower[:0], &chunk[len(chunk)-1].key), 0)
	}
}

// chunk appends up to rangeChunk pairs between two keys of the database to dst.
func (kv *KV) chunk(dst []pair, lower, upper []byte) ([]pair, error) {
	kv.life.RLock()
	defer kv.life.RUnlock()
	if kv.db == nil {
		return nil, store.ErrClosed
	}
	if string(lower) >= string(upper) {
		return dst, nil
	}
	it, err := kv.db.NewIter(&lsm.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	defer it.Close() //nolint:errcheck // its errors are seen below
	at := lower
	for ok := it.First(); len(dst) < rangeChunk; ok = it.Next() {
		if !ok {
			switch err := it.Error(); {
			case err == nil:
				return dst, nil
			case !lsm.IsCorruptionError(err):
				return nil, fmt.Errorf("store: reading: %w", err)
			}
			kv.stats.unreadable.Add(1)
			next, ok := pass(it, at, kv.totals.Load().records)
			if !ok || !it.SeekGE(next) {
				return dst, nil
			}
		}
		at = append(at[:0:0], it.Key()...)
		key := keyspace.Key(at[1:])
		value, err := it.ValueAndErr()
		if err != nil {
			kv.stats.unreadable.Add(1)
			continue
		}
		r, err := parseRecord(&key, value)
		if err != nil {
			kv.stats.unreadable.Add(1)
			continue
		}
		dst = append(dst, pair{key, append(make([]byte, 0, len(r.value)), r.value...)})
	}
	return dst, nil
}

// seeker finds the first key not less than another.
type seeker interface {
	SeekGE(key []byte) bool
	Error() error
}

// pass returns the lowest key from which records can be read again after one, from,
// behind which they cannot, and whether there is one. Trying costs time: so it goes on in
// steps that grow, beginning with the usual distance of two records, and then back by
// halves, so many times at most.
func pass(it seeker, from []byte, records int64) (next []byte, ok bool) {
	room := make([]byte, 9)
	room[0] = prefixRecord
	readable := func(x uint64) bool {
		binary.BigEndian.PutUint64(room[1:], x)
		return it.SeekGE(room) || it.Error() == nil
	}
	bad := binary.BigEndian.Uint64(from[1:])
	good, step := bad, math.MaxUint64/(uint64(max(records, 0))+1)/2+1
	for tries := 1; ; tries++ {
		if bad > math.MaxUint64-step {
			return nil, false
		}
		if good = bad + step; readable(good) {
			break
		}
		bad = good
		if tries%3 == 0 {
			step *= 2
		}
	}
	for halves := passHalves; good-bad > 1 && halves > 0; halves-- {
		if middle := bad + (good-bad)/2; readable(middle) {
			good = middle
		} else {
			bad = middle
		}
	}
	binary.BigEndian.PutUint64(room[1:], good)
	return room, true
}
