package bench

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/providerlog"
)

// records is how many provider records the stores below hold; the figures of
// docs/STORE.md are those of a million and of ten.
var records = flag.Int("records", 100_000, "provider records held")

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// providers is how many peers announce them, perKey how many a key has.
const (
	providers = 5000
	perKey    = 2
)

// announcers are peers with four addresses each.
var announcers = func() (all [providers]protocol.Peer) {
	for i := range all {
		sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
		all[i].ID = append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, sum[:]...)
		for a := range 4 {
			all[i].Addrs = append(all[i].Addrs, []byte{4, 10, byte(i >> 8), byte(i), byte(a), 6, 0x0f, 0xa1})
		}
	}
	return all
}()

// contentKey writes the i-th of a sequence of sha2-256 multihashes to b.
func contentKey(b *[34]byte, i uint64) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(b[:0], i))
	b[0], b[1] = 0x12, 0x20
	copy(b[2:], sum[:])
	return b[:]
}

// announcing is what of a store is measured here.
type announcing struct {
	add    func(key []byte, p *protocol.Peer) error
	get    func(key []byte, room []protocol.Peer) (int, error)
	finish func() error // until all that was announced is as safe as it will be
}

// contestants are stores with room for n records, kept in dir.
var contestants = []struct {
	name string
	open func(tb testing.TB, dir string, n int) announcing
}{
	{"memory", openMemory},
	{"log", func(tb testing.TB, dir string, n int) announcing { return announcingLog(tb, openLog(tb, dir, n)) }},
	{"map-datastore", openMap},
	{"pebble-sync", openPebble},
}

func config(n int) store.ProvidersConfig {
	return store.ProvidersConfig{Seed: 1, MaxRecords: n + n/4 + 1<<20, MaxPerKey: 1 << 20, MaxPerProvider: 1 << 30, MaxPerHour: -1}
}

func openMemory(_ testing.TB, _ string, n int) announcing {
	s := store.NewProviders(config(n))
	return announcing{
		add:    func(key []byte, p *protocol.Peer) error { return s.Add(epoch, key, *p) },
		get:    func(key []byte, room []protocol.Peer) (int, error) { return told(s, key, room) },
		finish: func() error { return nil },
	}
}

func openLog(tb testing.TB, dir string, n int) *providerlog.Store {
	s, err := providerlog.Open(dir, providerlog.Config{Providers: config(n)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func announcingLog(tb testing.TB, s *providerlog.Store) announcing {
	tb.Cleanup(func() {
		if st := s.Stats(); st.Unlogged > 0 {
			tb.Errorf("%d of %d announcements did not get into the log", st.Unlogged, st.Appended+st.Unlogged)
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return announcing{
		add:    func(key []byte, p *protocol.Peer) error { return s.Add(epoch, key, *p) },
		get:    func(key []byte, room []protocol.Peer) (int, error) { return told(s, key, room) },
		finish: s.Sync,
	}
}

func told(s store.Providers, key []byte, room []protocol.Peer) (int, error) {
	peers, err := s.Append(epoch, key, room[:0], protocol.MaxAnswerProviders)
	return len(peers), err
}

// openMap keeps records in go-datastore's map as deployed peers lay them out: a key
// for each, found by a query for the prefix.
func openMap(testing.TB, string, int) announcing {
	ctx := context.Background()
	ds := datastore.NewMapDatastore()
	text := base32.StdEncoding.WithPadding(base32.NoPadding)
	prefix := func(key []byte) string { return "/providers/" + text.EncodeToString(key) }
	var lock sync.Mutex // the map is no more than a map
	return announcing{
		add: func(key []byte, p *protocol.Peer) error {
			name := datastore.NewKey(prefix(key) + "/" + text.EncodeToString(p.ID))
			lock.Lock()
			defer lock.Unlock()
			return ds.Put(ctx, name, binary.AppendVarint(nil, epoch.UnixNano()))
		},
		get: func(key []byte, _ []protocol.Peer) (int, error) {
			lock.Lock()
			defer lock.Unlock()
			found, err := ds.Query(ctx, query.Query{Prefix: prefix(key)})
			if err != nil {
				return 0, err
			}
			all, err := found.Rest()
			return len(all), err
		},
		finish: func() error { return nil },
	}
}

// openPebble keeps records in Pebble, each synced before it is acknowledged.
func openPebble(tb testing.TB, dir string, _ int) announcing {
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return announcing{
		add: func(key []byte, p *protocol.Peer) error {
			return db.Set(append(key[:34:34], p.ID...), binary.AppendVarint(nil, epoch.UnixNano()), pebble.Sync)
		},
		get: func(key []byte, _ []protocol.Peer) (n int, err error) {
			upper := append(key[:34:34], 0xff)
			it, err := db.NewIter(&pebble.IterOptions{LowerBound: key, UpperBound: upper})
			if err != nil {
				return 0, err
			}
			for ok := it.First(); ok && n < protocol.MaxAnswerProviders; ok = it.Next() {
				n++
			}
			return n, it.Close()
		},
		finish: func() error { return nil },
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}

// BenchmarkAddProvider announces new records on all cores until all are as safe as
// they will be.
func BenchmarkAddProvider(b *testing.B) {
	for _, c := range contestants {
		b.Run(c.name, func(b *testing.B) {
			s := c.open(b, b.TempDir(), b.N)
			var next atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var key [34]byte
				for pb.Next() {
					i := next.Add(1)
					if err := s.add(contentKey(&key, i/perKey), &announcers[i*7919%providers]); err != nil {
						b.Error(err)
						return
					}
				}
			})
			if err := s.finish(); err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
		})
	}
}

// BenchmarkGetProviders asks one key with ever more providers, and absent keys
// among -records records.
func BenchmarkGetProviders(b *testing.B) {
	for _, c := range contestants {
		if c.name == "pebble-sync" {
			continue // filling it takes minutes; reading is the same as below
		}
		for _, n := range []int{20, 1000, 100_000} {
			b.Run(fmt.Sprintf("%s/hit-%d", c.name, n), func(b *testing.B) {
				s := c.open(b, b.TempDir(), 100*n) // a shard holds a key whole
				var key [34]byte
				for i := range n {
					p := protocol.Peer{ID: binary.BigEndian.AppendUint64([]byte{0x00, 0x08}, uint64(i)), Addrs: announcers[i%providers].Addrs}
					if err := s.add(contentKey(&key, 1), &p); err != nil {
						b.Fatal(err)
					}
				}
				question(b, s, 1, 1)
			})
		}
		b.Run(c.name+"/absent", func(b *testing.B) {
			s := c.open(b, b.TempDir(), *records)
			fill(b, s, *records)
			question(b, s, 1<<40, 1<<20)
		})
	}
}

// question gets keys from first on, so many.
func question(b *testing.B, s announcing, first, n uint64) {
	room := make([]protocol.Peer, 0, protocol.MaxAnswerProviders)
	b.ReportAllocs()
	var key [34]byte
	i := uint64(0)
	for b.Loop() {
		got, err := s.get(contentKey(&key, first+i%n), room)
		if err != nil || (got > 0) != (first < 1<<40) {
			b.Fatal(got, err)
		}
		i++
	}
}

func fill(tb testing.TB, s announcing, n int) {
	var key [34]byte
	for i := range uint64(n) {
		if err := s.add(contentKey(&key, i/perKey), &announcers[i*7919%providers]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.finish(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkProviderLog fills a log with -records records and opens it again. It
// reports what they take on the disk and in memory, what opening takes, also until all
// are read, and how long it takes to forget them all and the longest step of that.
func BenchmarkProviderLog(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		s := openLog(b, dir, *records)
		fill(b, announcingLog(b, s), *records)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(sizeOf(b, dir))/float64(*records), "disk-B/record")
		before := heap()
		start := time.Now()
		s = openLog(b, dir, *records)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
		<-s.Ready()
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/all-read")
		b.ReportMetric(float64(heap()-before)/float64(*records), "heap-B/record")
		if s.Len() != *records {
			b.Fatalf("%d records of %d", s.Len(), *records)
		}
		s.Advance(epoch)
		start = time.Now()
		var longest time.Duration
		for later := epoch.Add(72 * time.Hour); s.Len() > 0; {
			step := time.Now()
			s.Advance(later)
			longest = max(longest, time.Since(step))
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/expire")
		b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest-step")
		b.ReportMetric(float64(sizeOf(b, dir)), "disk-B-after")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func sizeOf(tb testing.TB, dir string) (n int64) {
	files, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(filepath.Join(dir, f.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
