package keystore

import (
	"bytes"
	"encoding/binary"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Len returns how many keys are kept announced, DueLen how many of them are due.
func (s *Keystore) Len() int { return int(s.keys.all.Load()) }

// DueLen returns how many keys are due out of their turn.
func (s *Keystore) DueLen() int { return int(s.due.all.Load()) }

// Count returns how many keys share their leading bits with a place, and how many of
// these are due. Up to 16 bits that reads nothing.
func (s *Keystore) Count(place keyspace.Key, bits int) (keys, due int, err error) {
	first, last := place.Region(bits)
	if bits <= 16 {
		for b := bucketOf(&first); b <= bucketOf(&last); b++ {
			keys += s.keys.of(b)
			due += s.due.of(b)
		}
		return keys, due, nil
	}
	err = s.Range(first, last, func(k Key) bool {
		keys++
		due += one(k.Due)
		return true
	})
	return keys, due, err
}

// Range calls fn for the keys whose places lie from first to last, both included, in
// ascending order until it returns false. fn may use the Keystore. What changes meanwhile
// may or may not be seen; every other key is seen exactly once.
func (s *Keystore) Range(first, last keyspace.Key, fn func(k Key) bool) error {
	return s.kv.Range(first, last, func(place keyspace.Key, b []byte) bool {
		e, ok := parse(place, b)
		return !ok || fn(e.key(place))
	})
}

// Due is Range of the keys that are due. It looks only where there are any.
func (s *Keystore) Due(first, last keyspace.Key, fn func(k Key) bool) error {
	for b := bucketOf(&first); b <= bucketOf(&last); b++ {
		if s.due.of(b) == 0 {
			continue
		}
		var within keyspace.Key
		binary.BigEndian.PutUint16(within[:2], uint16(b))
		from, to := within.Region(16)
		if from.Compare(&first) < 0 {
			from = first
		}
		if to.Compare(&last) > 0 {
			to = last
		}
		more := true
		err := s.Range(from, to, func(k Key) bool {
			more = !k.Due || fn(k)
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Replace makes the keys that all yields those that are kept announced, in place of any
// others: those that are there already stay as they are, the others are due. It returns
// how many came and went. Nothing is taken away before all have been named: whatever
// interrupts it, no key of theirs is lost, and a Replace from the beginning completes it.
// gone, if there is any, is called with each key that went, which it must not keep. One
// Replace waits for another.
func (s *Keystore) Replace(all func(yield func(key []byte) bool), gone func(key []byte)) (added, removed int, err error) {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if err := s.nextGeneration(); err != nil {
		return 0, 0, err
	}
	all(func(key []byte) bool {
		var n int
		n, err = s.Add(key)
		added += n
		return err == nil
	})
	if err == nil {
		err = s.Sync()
	}
	if err != nil {
		return added, 0, err
	}
	s.mu.Lock()
	generation := s.generation
	s.mu.Unlock()
	err = s.kv.Range(keyspace.Key{}, whole(), func(place keyspace.Key, b []byte) bool {
		e, ok := parse(place, b)
		if !ok || e.generation == generation {
			return true
		}
		key := bytes.Clone(e.hash)
		var went bool
		went, err = s.remove(place, func(e *entry) bool { return e.generation != generation })
		if removed += one(went); went && gone != nil {
			gone(key)
		}
		return err == nil
	})
	if err == nil {
		err = s.Sync()
	}
	return added, removed, err
}
