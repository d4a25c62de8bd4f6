package store

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Range calls fn for the values whose keys lie from first to last, both included, in
// ascending order until fn returns false: with how long ago each was put, and how
// long it may still be kept, 0 for ever. What is too old is left out. The record is
// fn's own; fn may use the store.
func (s *ValueStore) Range(now time.Time, first, last keyspace.Key, fn func(rec protocol.Record, age, left time.Duration) bool) error {
	t := s.clock.tick(now)
	var failed error
	err := s.kv.Range(first, last, func(key keyspace.Key, b []byte) bool {
		e, err := s.index.find(t, key)
		if err != nil || e == nil {
			failed = err
			return err == nil
		}
		rec, received, err := parseStored(b)
		if err != nil || keyspace.KeyOf(rec.Key) != key {
			return true // read drops it when somebody asks for it
		}
		age := t - min(e.received, t)
		var left time.Duration
		if maxAge := s.index.maxAge; maxAge > 0 {
			left = time.Duration(maxAge-min(age, maxAge)+1) * time.Second // it is held for the whole last second
		}
		return fn(own(&rec, received), time.Duration(age)*time.Second, left)
	})
	if failed != nil {
		return failed
	}
	return err
}
