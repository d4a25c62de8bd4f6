package store

import (
	"encoding/binary"
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
	pages   pages
	keys    int
	records int
	now     tick // the latest told: words are read against it
	sweep   sweep
	sampler sampler
}

func (s *shard) init(store *ProviderStore, i int) {
	cfg := &store.cfg
	n := cfg.shards()
	s.store = store
	s.maxKeys = (cfg.MaxKeys + n - 1) / n
	s.maxRecords = (cfg.MaxRecords + n - 1) / n
	s.validity = seconds(cfg.Validity)
	s.sampler.rand.Seed(cfg.Seed, uint64(i))
	s.pages.slabs.arena = store.arena
	s.pages.crowds.random.Seed(cfg.Seed, uint64(n+i))
}

// place is what a key is known by, and the hash that picks its shard.
func (s *ProviderStore) place(key []byte) (id ident, h uint64) {
	in := keyspace.KeyOf(key)
	id = ident{farFrom(&s.cfg.Self, &in), binary.LittleEndian.Uint16(in[30:])}
	return id, fold(binary.LittleEndian.Uint64(in[16:])^s.cfg.Seed, s.cfg.Seed|1)
}

// touch tells the shard that it is t at least. Whatever is held after twice the
// longest validity, without a call meanwhile, goes at once: its times would soon be
// read as younger ones.
func (s *shard) touch(t tick) {
	if t > s.now && s.now > 0 && t-s.now > 2*maxValidity {
		s.clear()
	}
	s.now = max(s.now, t)
}

// add records that who serves key, since first. before is when it last said so,
// 0 if the record is new and keeps its reference to who. A refusal is its reason
// alone: words are found for it outside the lock.
func (s *shard) add(t tick, id ident, who *provider) (first, before tick, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store.closed.Load() {
		return 0, 0, ErrClosed
	}
	s.touch(t)
	k, found := s.pages.find(id)
	if found {
		if i, found := s.recordOf(&k, who); found {
			w := s.pages.word(&k, i)
			s.pages.set(&k, i, w.renewed(s.now))
			return w.first(s.now), w.added(s.now), nil
		}
	}
	if err := s.admit(id, &k, &found, who); err != nil {
		return 0, 0, err
	}
	who.hourly.take(s.now, 1, int64(s.store.cfg.MaxPerHour), hour, true)
	s.put(k, found, id, who, newWord(who.number, s.now, s.now))
	return s.now, 0, nil
}

// put adds a record of a provider that the key has none of, in place of another if
// the key has as many as it may. k and found are what find says of the key.
func (s *shard) put(k spot, found bool, id ident, who *provider, w word) {
	if found && k.len() >= s.store.cfg.MaxPerKey {
		s.drop(&k, s.junior(&k, who))
		k, found = s.pages.find(id)
	}
	if !found {
		s.keys++
	}
	s.pages.add(k, found, id, w)
	s.count(1)
	s.sweep.sooner(after(w.added(s.now), s.validity))
}

// restore puts r back, a record of who's.
func (s *shard) restore(r *ProviderRecord, id ident, who *provider) (kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store.closed.Load() {
		return false
	}
	s.touch(max(r.Added, s.store.clock.latest.Load()))
	k, found := s.pages.find(id)
	if found {
		if i, found := s.recordOf(&k, who); found {
			w := s.pages.word(&k, i)
			s.pages.set(&k, i, newWord(who.number, max(w.added(s.now), r.Added), s.since(min(w.first(s.now), r.First))))
			return false
		}
	}
	if s.now-r.Added > s.validity || s.room(id, &k, &found) != nil {
		return false
	}
	s.put(k, found, id, who, newWord(who.number, r.Added, s.since(r.First)))
	return true
}

// since returns first, or the longest ago that a word can tell.
func (s *shard) since(first tick) tick {
	return max(first, s.now-min(s.now, longestStanding*firstUnit))
}

// find returns when the record of who's for a key was announced, last and first.
func (s *shard) find(id ident, who *provider) (added, first tick, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, found := s.pages.find(id); found {
		if i, found := s.recordOf(&k, who); found {
			w := s.pages.word(&k, i)
			return w.added(s.now), w.first(s.now), true
		}
	}
	return 0, 0, false
}

// appendSample appends a random sample of at most n valid providers of a key.
func (s *shard) appendSample(t tick, id ident, dst []protocol.Peer, n int) []protocol.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touch(t)
	for {
		k, found := s.pages.find(id)
		if !found {
			return dst
		}
		drawn := s.sampler.sample(&k, n)
		old := s.firstOld(&k, drawn)
		if old < 0 {
			for _, i := range drawn {
				dst = append(dst, *s.store.book.listed(s.now, s.who(&k, int(i))))
			}
			return dst
		}
		// Dropped for good, so drawing again costs nothing in the long run.
		s.drop(&k, old)
	}
}

// firstOld returns the first of the drawn records that is too old, -1 if none is.
func (s *shard) firstOld(k *spot, drawn []uint32) int {
	for _, i := range drawn {
		if s.pages.word(k, int(i)).old(s.now, s.validity) {
			return int(i)
		}
	}
	return -1
}

func (s *shard) removeRecord(id ident, who *provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, found := s.pages.find(id); found {
		if i, found := s.recordOf(&k, who); found {
			s.drop(&k, i)
		}
	}
}

// recordOf returns which of a key's records is who's. A provider whose last record
// went meanwhile has lost its number, perhaps to another one.
func (s *shard) recordOf(k *spot, who *provider) (int, bool) {
	i, found := s.pages.findNumber(k, who.number)
	return i, found && s.who(k, i) == who
}

// who returns the provider of record i of a key.
func (s *shard) who(k *spot, i int) *provider {
	return s.store.book.numbers.of(s.pages.word(k, i).number())
}

// drop forgets record i of a key, and the key with its last one.
func (s *shard) drop(k *spot, i int) {
	s.take(k, i)
	s.pages.tidyEmpty(k.page)
}

// take is drop, but may leave an empty page.
func (s *shard) take(k *spot, i int) {
	s.store.book.release(s.who(k, i))
	if k.len() == 1 {
		s.keys--
	}
	s.pages.remove(k, i)
	s.count(-1)
}

// dropKey forgets a key and all its records.
func (s *shard) dropKey(k *spot) {
	for i := range k.len() {
		s.store.book.release(s.who(k, i))
	}
	s.count(-k.len())
	s.keys--
	s.pages.removeKey(k)
	s.pages.tidyEmpty(k.page)
}

func (s *shard) count(n int) {
	s.records += n
	s.store.size.Add(int64(n))
}

// clear forgets everything. The caller holds s.mu.
func (s *shard) clear() {
	for s.records > 0 {
		k := s.pages.last()
		s.dropKey(&k)
	}
}

// discard forgets everything of a store that is closed, and its providers with it.
func (s *shard) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.size.Add(-int64(s.records))
	s.pages.slabs.discard()
	s.pages, s.keys, s.records, s.sweep = pages{}, 0, 0, sweep{}
}
