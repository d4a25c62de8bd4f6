// Package keystore is the store of the keys that one announces again and again: in the
// order of the keyspace, so that who visits a region of it finds its keys side by side,
// and never all in memory at once.
//
//	keys, err := keystore.Open(kv)     // any store.KV: store/pebble on a disk
//	added, err := keys.Add(multihash)  // due at once
//	err = keys.Due(first, last, func(k keystore.Key) bool { … })
//	err = keys.Announced(now, multihash)
//
// Beside each key stands when it was announced last, and whether it is due out of its
// turn: because it never was, or because too few peers took it. How many keys there are
// in a region, and how many of them are due, is counted and not looked up, down to a
// 65536th of the keyspace. New is the same in memory, in some 60 bytes a key.
//
// Invariants: the counts are those of what can be read; every change of one key is there
// wholly or not at all, whatever happens; what was changed before a Sync that returned nil
// survives as much as the store.KV promises.
package keystore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// ErrKey means that what was to be added is no key that peers take.
var ErrKey = errors.New("keystore: a key has 1 to 80 bytes")

// Key is a key that is kept announced.
type Key struct {
	// Hash is the key itself, a multihash, and the receiver's own. Place is where it lies.
	Hash  []byte
	Place keyspace.Key
	// Last is when enough peers last took it, zero if they never did. Due says that it is
	// to be announced out of its turn.
	Last time.Time
	Due  bool
}

const (
	buckets = 1 << 16
	stripes = 64
)

// Keystore is the keys of one node. Its methods may be called from any goroutine; they
// wait for the store.KV beneath.
type Keystore struct {
	kv      store.KV
	stripes [stripes]sync.Mutex // order changes of one key, by its place
	// replacing is held by the one Replace that is under way.
	replacing sync.Mutex

	keys counts
	due  counts

	mu         sync.Mutex // guards what follows, and orders changes of the state
	state      State
	generation byte
}

// counts are numbers of keys by the first 16 bits of their places, in pieces of which
// there are only those that count anything: most nodes announce little.
type counts struct {
	all atomic.Int64
	by  [pieces]atomic.Pointer[[buckets / pieces]atomic.Uint32]
}

// pieces is into how many what is kept by bucket is cut.
const pieces = 256

func (c *counts) add(bucket int, n int) {
	if n == 0 {
		return
	}
	p := &c.by[bucket/pieces]
	if p.Load() == nil {
		p.CompareAndSwap(nil, new([buckets / pieces]atomic.Uint32))
	}
	c.all.Add(int64(n))
	p.Load()[bucket%pieces].Add(uint32(n))
}

func (c *counts) of(bucket int) int {
	if piece := c.by[bucket/pieces].Load(); piece != nil {
		return int(piece[bucket%pieces].Load())
	}
	return 0
}

// New returns an empty Keystore that forgets everything when it is closed.
func New() *Keystore {
	s, _ := Open(newMemory()) // which never fails
	return s
}

// Open returns the Keystore that kv holds, and nothing else may. It reads all of it once,
// to count, and closes it with itself.
func Open(kv store.KV) (*Keystore, error) {
	s := &Keystore{kv: kv}
	err := kv.Range(keyspace.Key{}, whole(), func(place keyspace.Key, b []byte) bool {
		if place == statePlace {
			s.readState(b)
			return true
		}
		if e, ok := parse(place, b); ok {
			s.keys.add(bucketOf(&place), 1)
			s.due.add(bucketOf(&place), one(e.due))
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("keystore: reading what is announced: %w", err)
	}
	return s, nil
}

func whole() (last keyspace.Key) {
	for i := range last {
		last[i] = 0xff
	}
	return last
}

func bucketOf(place *keyspace.Key) int { return int(binary.BigEndian.Uint16(place[:2])) }

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Add keeps keys announced from now on: those that are not already are due at once. It
// returns how many were new.
func (s *Keystore) Add(keys ...[]byte) (added int, err error) {
	s.mu.Lock()
	generation := s.generation
	s.mu.Unlock()
	for _, key := range keys {
		fresh, err := s.change(key, func(e *entry, there bool) bool {
			if there && e.generation == generation {
				return false
			}
			e.due, e.generation = e.due || !there, generation
			return true
		})
		if err != nil {
			return added, err
		}
		added += one(fresh)
	}
	return added, nil
}

// Ask makes keys due that are kept announced already, and adds the others.
func (s *Keystore) Ask(keys ...[]byte) error {
	if _, err := s.Add(keys...); err != nil {
		return err
	}
	return s.each(keys, func(e *entry) bool {
		was := e.due
		e.due = true
		return !was
	})
}

// Remove keeps keys announced no longer, and returns how many were.
func (s *Keystore) Remove(keys ...[]byte) (removed int, err error) {
	for _, key := range keys {
		gone, err := s.remove(keyspace.KeyOf(key), func(*entry) bool { return true })
		if err != nil {
			return removed, err
		}
		removed += one(gone)
	}
	return removed, nil
}

// Announced notes that enough peers took keys at a time: they are not due any more.
func (s *Keystore) Announced(at time.Time, keys ...[]byte) error {
	return s.each(keys, func(e *entry) bool {
		e.last, e.due = at.Unix(), false
		return true
	})
}

// Failed notes that too few peers took keys: they are due.
func (s *Keystore) Failed(keys ...[]byte) error {
	return s.each(keys, func(e *entry) bool {
		was := e.due
		e.due = true
		return !was
	})
}

// each changes those of keys that are there.
func (s *Keystore) each(keys [][]byte, change func(e *entry) bool) error {
	for _, key := range keys {
		if _, err := s.change(key, func(e *entry, there bool) bool { return there && change(e) }); err != nil {
			return err
		}
	}
	return nil
}

// change changes the entry of a key, an empty one if there is none, and stores it if
// change says so. It reports whether it is there now and was not.
func (s *Keystore) change(key []byte, change func(e *entry, there bool) bool) (fresh bool, err error) {
	if len(key) == 0 || len(key) > protocol.MaxProviderKey {
		return false, fmt.Errorf("%w, this one has %d", ErrKey, len(key))
	}
	place := keyspace.KeyOf(key)
	stripe := &s.stripes[place[0]%stripes]
	stripe.Lock()
	defer stripe.Unlock()
	b, _, err := s.kv.Get(place)
	if err != nil {
		return false, err
	}
	e, there := parse(place, b)
	was := there && e.due
	if e.hash = key; !change(&e, there) {
		return false, nil
	}
	if err := s.kv.Put(place, e.append(make([]byte, 0, headSize+len(key)))); err != nil {
		return false, err
	}
	bucket := bucketOf(&place)
	s.keys.add(bucket, one(!there))
	s.due.add(bucket, one(e.due)-one(was))
	return !there, nil
}

// remove takes away the entry at a place if the condition holds.
func (s *Keystore) remove(place keyspace.Key, condition func(e *entry) bool) (gone bool, err error) {
	stripe := &s.stripes[place[0]%stripes]
	stripe.Lock()
	defer stripe.Unlock()
	b, found, err := s.kv.Get(place)
	if err != nil || !found {
		return false, err
	}
	e, ok := parse(place, b)
	if !ok || !condition(&e) {
		return false, nil
	}
	if err := s.kv.Delete(place); err != nil {
		return false, err
	}
	bucket := bucketOf(&place)
	s.keys.add(bucket, -1)
	s.due.add(bucket, -one(e.due))
	return true, nil
}

// Has reports whether key is kept announced.
func (s *Keystore) Has(key []byte) (bool, error) {
	place := keyspace.KeyOf(key)
	b, _, err := s.kv.Get(place)
	if err != nil {
		return false, err
	}
	_, there := parse(place, b)
	return there, nil
}

// Sync returns when every change made before survives as much as the store.KV promises.
func (s *Keystore) Sync() error { return s.kv.Sync() }

// Close syncs and closes the store.KV too.
func (s *Keystore) Close() error { return s.kv.Close() }
