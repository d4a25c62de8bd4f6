package store

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// holding is when a record was received, by the wall clock, and since when it counts
// as held, by our own.
type holding struct {
	received time.Time
	at       tick
}

// since returns since when a record put at t counts as held, where most is how long one
// is: t, or so much earlier that it is given up when its sender wants it to be. So
// copies that peers give each other do not make a value outlive its owner's last put.
func since(t, most tick, rec *protocol.Record) tick {
	ttl := rec.TTL()
	if ttl <= 0 || most == 0 || seconds(ttl) >= most {
		return t
	}
	return t - min(most-seconds(ttl), t-1) // a tick is never 0
}

// Range calls fn for the values whose keys lie from first to last, both included, in
// ascending order until fn returns false: with how long ago each was put, and how
// long it may still be kept, 0 for ever. What is too old is left out. The record is
// fn's own; fn may use the store.
func (s *ValueStore) Range(now time.Time, first, last keyspace.Key, fn func(rec protocol.Record, age, left time.Duration) bool) error {
	t := s.clock.tick(now)
	most := seconds(s.cfg.MaxAge)
	var failed error
	err := s.kv.Range(first, last, func(key keyspace.Key, _ []byte) bool {
		b, at, found, err := s.index.get(t, key)
		if err != nil || !found {
			failed = err
			return err == nil
		}
		rec, received, err := parseStored(b)
		if err != nil || keyspace.KeyOf(rec.Key) != key {
			return true // forgotten when somebody asks for it
		}
		age := t - min(at, t)
		var left time.Duration
		if most > 0 {
			left = time.Duration(most-min(age, most)+1) * time.Second // held for the whole last second
		}
		return fn(own(&rec, received), time.Duration(age)*time.Second, left)
	})
	if failed != nil {
		return failed
	}
	return err
}

// Remove forgets the value stored for key and reports whether there was one. Other
// peers keep theirs.
func (s *ValueStore) Remove(now time.Time, key []byte) (held bool, err error) {
	k := keyspace.KeyOf(key)
	if held, err = s.removeLocked(s.clock.tick(now), k); !held {
		return false, err
	}
	return true, s.kv.Sync()
}

func (s *ValueStore) removeLocked(t tick, key keyspace.Key) (held bool, err error) {
	stripe := s.stripe(&key)
	stripe.Lock()
	defer stripe.Unlock()
	b, _, found, err := s.index.get(t, key)
	if err != nil || !found {
		return false, err
	}
	s.index.dropBroken(key, b)
	return true, nil
}
