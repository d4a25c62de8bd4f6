package store

import (
	"fmt"
	"sync"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// shard holds the providers of a part of all keys.
type shard struct {
	store *ProviderStore

	maxKeys, maxRecords int
	validity            tick

	mu      sync.Mutex // guards all below
	keys    map[string]*providedKey
	due     buckets[*providedKey]
	far     farthest[*providedKey]
	records int
	sampler sampler
}

func (s *shard) init(store *ProviderStore, i int) {
	cfg := &store.cfg
	n := cfg.shards()
	s.store = store
	s.maxKeys = (cfg.MaxKeys + n - 1) / n
	s.maxRecords = (cfg.MaxRecords + n - 1) / n
	s.validity = seconds(cfg.Validity)
	s.due = newBuckets[*providedKey](s.validity)
	s.keys = make(map[string]*providedKey)
	s.sampler.rand.Seed(cfg.Seed, uint64(i))
}

// add records that who serves key, since first. before is when it last said so,
// 0 if the record is new and keeps its reference to who.
func (s *shard) add(t tick, key []byte, who *provider) (first, before tick, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store.closed.Load() {
		return 0, 0, ErrClosed
	}
	k := s.keys[string(key)]
	if k != nil {
		if i, found := k.find(who); found {
			r := &k.records[i]
			before, r.added = r.added, t
			return r.first, before, nil
		}
	}
	if err := s.admit(t, key, k, who); err != nil {
		return 0, 0, fmt.Errorf("%w: %w (key %s)", ErrFull, err, show(key))
	}
	who.hourly.take(t, 1, int64(s.store.cfg.MaxPerHour), hour, true)
	s.put(t, key, providerRecord{who: who, added: t, first: t})
	return t, 0, nil
}

// put adds a record of a provider that key has none of, in place of another if
// key has as many as it may.
func (s *shard) put(t tick, key []byte, r providerRecord) {
	k := s.keys[string(key)]
	if k == nil {
		k = s.insert(t, key)
	}
	if len(k.records) >= s.store.cfg.MaxPerKey {
		s.drop(k, s.sampler.junior(k, t, s.validity))
	}
	k.append(r)
	s.count(1)
}

// restore puts r back, a record of who's.
func (s *shard) restore(r *ProviderRecord, who *provider) (kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[string(r.Key)]
	if k != nil {
		if i, found := k.find(who); found {
			held := &k.records[i]
			held.added, held.first = max(held.added, r.Added), min(held.first, r.First)
			return false
		}
	}
	if s.store.closed.Load() || s.room(r.Added, r.Key, k) != nil {
		return false
	}
	s.put(r.Added, r.Key, providerRecord{who: who, added: r.Added, first: r.First})
	return true
}

// find returns the record of who's for key.
func (s *shard) find(key []byte, who *provider) (r providerRecord, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[string(key)]; k != nil {
		if i, found := k.find(who); found {
			return k.records[i], true
		}
	}
	return r, false
}

// admit makes room for one more record of key, k if there is one already.
func (s *shard) admit(t tick, key []byte, k *providedKey, who *provider) error {
	newKeys := 1
	if k != nil {
		newKeys = 0
	}
	if !s.over(newKeys, 2) {
		return nil
	}
	if !who.own && (int(who.refs.Load()) > s.store.cfg.MaxPerProvider || !who.hourly.left(t, 1, int64(s.store.cfg.MaxPerHour), hour)) {
		return errShare
	}
	if k == nil && s.store.radius.beyond(s.farOf(key)) {
		return errBeyond
	}
	return s.room(t, key, k)
}

// room makes room for one more record of key, k if there is one already: what is
// too old goes first, then what is farther than key.
func (s *shard) room(t tick, key []byte, k *providedKey) error {
	newKeys := 1
	if k != nil {
		newKeys = 0
	}
	if !s.over(newKeys, 1) || k != nil && len(k.records) >= s.store.cfg.MaxPerKey {
		return nil // takes another's place
	}
	far := s.farOf(key)
	for s.over(newKeys, 1) && s.expire(t) > 0 {
	}
	for s.over(newKeys, 1) {
		if len(s.far) == 0 || s.far[0].far <= far {
			return errFarther
		}
		s.dropKey(s.far[0])
	}
	return nil
}

// farOf ranks key by its distance from this peer.
func (s *shard) farOf(key []byte) uint64 {
	in := keyspace.KeyOf(key)
	return farFrom(&s.store.cfg.Self, &in)
}

// over reports whether one more record would exceed a budget divided by share.
func (s *shard) over(newKeys, share int) bool {
	return s.records+1 > (s.maxRecords+share-1)/share || len(s.keys)+newKeys > (s.maxKeys+share-1)/share
}

// insert makes an entry for key without providers; the caller adds the first.
func (s *shard) insert(t tick, key []byte) *providedKey {
	in := keyspace.KeyOf(key)
	k := &providedKey{key: string(key), place: place{slot: unfiled}, rank: rank{far: farFrom(&s.store.cfg.Self, &in)}}
	s.keys[k.key] = k
	s.far.add(k)
	s.due.add(t, after(t, s.validity), k)
	return k
}

// appendSample appends a random sample of at most n valid providers of key.
func (s *shard) appendSample(t tick, key []byte, dst []protocol.Peer, n int) []protocol.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[string(key)]
	for k != nil {
		drawn := s.sampler.draw(len(k.records), n)
		old := firstOld(k, drawn, t, s.validity)
		if old < 0 {
			for _, i := range drawn {
				dst = append(dst, *s.store.book.listed(t, k.records[i].who))
			}
			return dst
		}
		// Dropped for good, so drawing again costs nothing in the long run.
		s.drop(k, old)
		if len(k.records) == 0 {
			s.dropKey(k)
			k = nil
		}
	}
	return dst
}

// firstOld returns the first of the drawn records that is too old, -1 if none is.
func firstOld(k *providedKey, drawn []uint32, t, validity tick) int {
	for _, i := range drawn {
		if k.records[i].old(t, validity) {
			return int(i)
		}
	}
	return -1
}

func (s *shard) removeRecord(key []byte, who *provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[string(key)]
	if k == nil {
		return
	}
	if i, found := k.find(who); found {
		s.drop(k, i)
		if len(k.records) == 0 {
			s.dropKey(k)
		}
	}
}

// drop forgets record i of k, but keeps k.
func (s *shard) drop(k *providedKey, i int) {
	s.store.book.release(k.remove(i))
	s.count(-1)
}

// dropKey forgets k and all its records.
func (s *shard) dropKey(k *providedKey) {
	for _, r := range k.records {
		s.store.book.release(r.who)
	}
	s.count(-len(k.records))
	delete(s.keys, k.key)
	s.far.remove(k)
	s.due.remove(k)
}

// expire looks at a few keys that are due, forgets their old records and returns
// how many records it looked at.
func (s *shard) expire(t tick) (work int) {
	for _, k := range s.due.take(t, sweepChunk) {
		oldest := t
		work += 1 + len(k.records)
		for i := len(k.records) - 1; i >= 0; i-- {
			if k.records[i].old(t, s.validity) {
				s.drop(k, i)
			} else {
				oldest = min(oldest, k.records[i].added)
			}
		}
		if len(k.records) == 0 {
			s.dropKey(k)
		} else {
			s.due.add(t, after(oldest, s.validity), k)
		}
	}
	return work
}

func (s *shard) count(n int) {
	s.records += n
	s.store.size.Add(int64(n))
}

// clear forgets everything.
func (s *shard) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.far) > 0 {
		s.dropKey(s.far[0])
	}
}
