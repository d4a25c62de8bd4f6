package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

var testEpoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// anyValue takes every value and prefers the new one.
type anyValue struct{}

func (anyValue) Validate(string, []byte) error        { return nil }
func (anyValue) Select(string, [][]byte) (int, error) { return 0, nil }

func testKey(i int) []byte { return fmt.Appendf(nil, "/v/%d", i) }

// TestProviderInvariants runs random operations on a small store that is full all
// the time and checks after each that all its counts and links agree.
func TestProviderInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := ProvidersConfig{
			Self: keyspace.KeyOf([]byte("self")), Seed: rapid.Uint64().Draw(t, "seed"),
			Validity: time.Hour, AddrTTL: 30 * time.Minute,
			MaxPerKey: rapid.SampledFrom([]int{3, 100}).Draw(t, "perKey"), MaxKeys: 12, MaxRecords: 200,
			MaxPerProvider: 15, MaxAddrBytes: 1500,
		}
		s := NewProviders(cfg)
		if rapid.Bool().Draw(t, "cut") {
			cutShards(s, 4)
		}
		now := testEpoch
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkProviders(t, s) },
			"add": func(t *rapid.T) {
				key, one := rapid.IntRange(0, 19).Draw(t, "key"), rapid.Bool().Draw(t, "one")
				for range rapid.IntRange(1, 90).Draw(t, "n") {
					if !one {
						key = rapid.IntRange(0, 19).Draw(t, "key")
					}
					p := protocol.Peer{ID: testKey(rapid.IntRange(0, 99).Draw(t, "who"))}
					if port := rapid.IntRange(0, 3).Draw(t, "port"); port > 0 {
						p.Addrs = [][]byte{make([]byte, 10*port)}
					}
					err := s.Add(now, testKey(key), p)
					if err != nil && !errors.Is(err, ErrFull) {
						t.Fatal(err)
					}
				}
			},
			"ask": func(t *rapid.T) {
				for key := range 20 {
					if got, err := s.Append(now, testKey(key), nil, 5); err != nil || len(got) > 5 {
						t.Fatal(got, err)
					}
				}
			},
			"remove": func(t *rapid.T) {
				s.Remove(testKey(rapid.IntRange(0, 19).Draw(t, "key")), testKey(rapid.IntRange(0, 99).Draw(t, "who")))
			},
			"renew": func(t *rapid.T) {
				key, p := testKey(rapid.IntRange(0, 19).Draw(t, "key")), protocol.Peer{ID: testKey(rapid.IntRange(0, 99).Draw(t, "who"))}
				for range 2 {
					if s.Add(now, key, p) != nil {
						return // no room
					}
					now = now.Add(50 * time.Minute)
				}
				got, err := s.Append(now, key, nil, 1000)
				if err != nil || !slices.ContainsFunc(got, func(o protocol.Peer) bool { return bytes.Equal(o.ID, p.ID) }) {
					t.Fatalf("a provider announced 50 minutes ago, and 50 minutes before that, is not told: %v, %v", got, err)
				}
			},
			"advance": func(*rapid.T) { s.Advance(now) },
			"radius": func(t *rapid.T) {
				var d keyspace.Distance
				d[0] = rapid.Byte().Draw(t, "radius")
				s.SetRadius(d)
			},
			"time": func(t *rapid.T) {
				now = now.Add(drawStep(t))
			},
		})
		s.Advance(now) // a clock that was set back is noticed
		s.Advance(now.Add(100 * time.Hour))
		if s.Len() != 0 || s.Keys() != 0 {
			t.Fatalf("%d records of %d keys are left for ever", s.Len(), s.Keys())
		}
		checkProviders(t, s)
	})
}

// drawStep is how far a clock goes on, or back a little as between callers that
// race, or back by ten days as when it is set.
func drawStep(t *rapid.T) time.Duration {
	if rapid.IntRange(0, 9).Draw(t, "set back") == 9 {
		return -240 * time.Hour
	}
	return time.Duration(rapid.IntRange(-100, 4000).Draw(t, "seconds")) * time.Second
}

// cutShards gives an empty store n shards, as only large ones have.
func cutShards(s *ProviderStore, n int) {
	s.shards = make([]shard, n)
	for i := range s.shards {
		s.shards[i].init(s, i)
	}
	s.book.init(&s.cfg, n)
}

func checkProviders(t *rapid.T, s *ProviderStore) {
	t.Helper()
	refs := make(map[*provider]int32)
	total := 0
	for i := range s.shards {
		sh := &s.shards[i]
		records := 0
		keys := 0
		checkPages(t, &sh.pages, func(k *spot) {
			if k.len() == 0 || k.len() > s.cfg.MaxPerKey {
				t.Fatalf("BUG: a key with %d records", k.len())
			}
			for i := range k.len() {
				who := sh.who(k, i)
				refs[who]++
				if at, found := sh.recordOf(k, who); !found || at != i {
					t.Fatalf("BUG: record %d of a key is found at %d, %t", i, at, found)
				}
				if w := sh.pages.word(k, i); sh.sweep.due == 0 || !sh.sweep.under && sh.sweep.due > after(max(w.added(sh.now), sh.sweep.began), sh.validity) {
					t.Fatalf("BUG: a record announced at %d waits for a sweep at %d", w.added(sh.now), sh.sweep.due)
				}
			}
			keys++
			records += k.len()
		})
		if records != sh.records || records > sh.maxRecords || keys != sh.keys || keys > sh.maxKeys {
			t.Fatalf("BUG: %d records and %d keys counted, %d and %d held", sh.records, sh.keys, records, keys)
		}
		total += records
		for _, word := range sh.sampler.taken {
			if word != 0 {
				t.Fatal("BUG: the sampler was left dirty")
			}
		}
	}
	if total != s.Len() {
		t.Fatalf("BUG: Len %d, %d held", s.Len(), total)
	}
	checkBook(t, s, refs)
}

// checkPages goes through all keys of a shard in order.
func checkPages(t *rapid.T, p *pages, each func(k *spot)) {
	t.Helper()
	if len(p.from) != len(p.list) || len(p.from) > 0 && p.from[0] != 0 {
		t.Fatalf("BUG: %d pages from %d distances", len(p.list), len(p.from))
	}
	crowds := 0
	checkSlabs(t, &p.slabs, p.list)
	for i := range p.list {
		pg := &p.list[i]
		if pg.keys == 0 || pg.used() > len(pg.b) || len(pg.b) > maxSlab {
			t.Fatalf("BUG: page %d of %d keys uses %d of %d bytes", i, pg.keys, pg.used(), len(pg.b))
		}
		words := 0
		for key := range int(pg.keys) {
			k := spot{page: i, key: key}
			p.fill(&k)
			if found, ok := p.find(pg.ident(key)); !ok || found != k {
				t.Fatalf("BUG: key %d of page %d is found at %+v, %t", key, i, found, ok)
			}
			if k.at != words {
				t.Fatalf("BUG: words of key %d begin at %d, want %d", key, k.at, words)
			}
			words += k.n
			if k.crowd != nil {
				crowds++
			}
			each(&k)
		}
		if words != int(pg.words) {
			t.Fatalf("BUG: %d words counted in page %d, %d held", pg.words, i, words)
		}
	}
	if crowds != len(p.crowds.all)-len(p.crowds.free) {
		t.Fatalf("BUG: %d crowds counted, %d in pages", len(p.crowds.all)-len(p.crowds.free), crowds)
	}
}

func checkBook(t *rapid.T, s *ProviderStore, refs map[*provider]int32) {
	t.Helper()
	known := 0
	for i := range s.book.shelves {
		sh := &s.book.shelves[i]
		var bytes int64
		reachable := 0
		for id, who := range sh.peers {
			p := who.peer.Load()
			if s.book.numbers.of(who.number) != who || id != who.id || string(p.ID) != id || who.refs.Load() != refs[who] || refs[who] == 0 || who.shelf != sh {
				t.Fatalf("BUG: provider %q: %+v, %d records", id, who, refs[who])
			}
			if (who.size > 0) != (len(p.Addrs) > 0) || who.size != addrCost(p.Addrs) {
				t.Fatalf("BUG: provider %q has %d addresses charged %d", id, len(p.Addrs), who.size)
			}
			bytes += int64(who.size)
			if who.size > 0 {
				reachable++
			}
		}
		if bytes != sh.bytes || bytes > sh.maxBytes {
			t.Fatalf("BUG: %d bytes counted, %d held", sh.bytes, bytes)
		}
		checkBuckets(t, &sh.due, reachable)
		known += len(sh.peers)
	}
	if known != len(refs) {
		t.Fatalf("BUG: %d providers known, %d in records", known, len(refs))
	}
}

func checkHeap[T interface{ ranked() *rank }](t *rapid.T, h farthest[T], n int) {
	t.Helper()
	if len(h) != n {
		t.Fatalf("BUG: %d items in the heap, want %d", len(h), n)
	}
	for i := range h {
		if int(h[i].ranked().pos) != i || i > 0 && h.far(i) > h.far((i-1)/2) {
			t.Fatalf("BUG: heap item %d says it is %d, or is farther than its parent", i, h[i].ranked().pos)
		}
	}
}

func checkBuckets[T interface{ at() *place }](t *rapid.T, b *buckets[T], n int) {
	t.Helper()
	size := 0
	for slot, list := range b.slots {
		for i, x := range list {
			p := x.at()
			if int(p.index) != i || int(p.slot%slotCount) != slot || p.slot < b.first || p.slot >= b.first+slotCount {
				t.Fatalf("BUG: item %d of slot %d says %+v, first is %d", i, slot, *p, b.first)
			}
		}
		size += len(list)
	}
	if size != b.size || size != n {
		t.Fatalf("BUG: %d items counted, %d in slots, want %d", b.size, size, n)
	}
}

// TestValueInvariants does the same for values: a record is indexed if and only
// if the KV holds it.
func TestValueInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kv := NewMemory()
		s := NewValues(kv, anyValue{}, ValuesConfig{
			Self: keyspace.KeyOf([]byte("self")), MaxAge: time.Hour, MaxRecords: 12, MaxBytes: 8000,
		})
		now := testEpoch
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkValues(t, s, kv) },
			"put": func(t *rapid.T) {
				for range rapid.IntRange(1, 10).Draw(t, "n") {
					size := rapid.SampledFrom([]int{0, 10, 500, 4000}).Draw(t, "size")
					rec := protocol.Record{Key: testKey(rapid.IntRange(0, 40).Draw(t, "key")), Value: make([]byte, size)}
					if err := s.Put(now, rec); err != nil && !errors.Is(err, ErrFull) {
						t.Fatal(err)
					}
				}
			},
			"corrupt": func(t *rapid.T) {
				rec := protocol.Record{Key: testKey(rapid.IntRange(0, 40).Draw(t, "key"))}
				k := keyspace.KeyOf(rec.Key)
				if _, held, _ := kv.Get(k); !held {
					return
				}
				broken := [][]byte{nil, {1, 2}, appendStored(nil, now, &protocol.Record{Key: []byte("/v/other")})}
				if err := kv.Put(k, broken[rapid.IntRange(0, 2).Draw(t, "how")]); err != nil {
					t.Fatal(err)
				}
				if got, found, err := s.Get(now, rec.Key); found || err != nil {
					t.Fatalf("a broken record reads as %v, %v", got, err)
				}
			},
			"advance": func(*rapid.T) { s.Advance(now) },
			"radius": func(t *rapid.T) {
				var d keyspace.Distance
				d[0] = rapid.Byte().Draw(t, "radius")
				s.SetRadius(d)
			},
			"time": func(t *rapid.T) {
				now = now.Add(drawStep(t))
			},
		})
		s.Advance(now) // a clock that was set back is noticed
		s.Advance(now.Add(100 * time.Hour))
		if s.Len() != 0 || s.Bytes() != 0 {
			t.Fatalf("%d records, %d bytes are left for ever", s.Len(), s.Bytes())
		}
	})
}

func checkValues(t *rapid.T, s *ValueStore, kv *Memory) {
	t.Helper()
	x := s.index.(*valueIndex)
	var bytes int64
	for key, e := range x.records {
		_, found, err := kv.Get(key)
		if e.key != key || !found || err != nil {
			t.Fatalf("BUG: %s is indexed as %+v, held %t, %v", key, e, found, err)
		}
		bytes += int64(e.cost)
	}
	if bytes != x.bytes || bytes > x.maxBytes || kv.Len() != len(x.records) || kv.Len() > x.maxRecords {
		t.Fatalf("BUG: %d records of %d in the KV, %d bytes of %d", len(x.records), kv.Len(), x.bytes, bytes)
	}
	checkHeap(t, x.far, len(x.records))
	checkBuckets(t, &x.due, len(x.records))
}
