package pebble

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// TestScale fills a ValueStore with as many records as KDHT_SCALE says, and tells what they
// cost and how long things take (docs/STORE.md). It sets no limit: machines differ.
func TestScale(t *testing.T) {
	n := 20_000
	if s := os.Getenv("KDHT_SCALE"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	cfg := store.ValuesConfig{MaxRecords: 2 * n, MaxBytes: 1 << 50}
	s := scale{T: t, n: n, dir: t.TempDir(), cfg: cfg}
	s.open()
	s.fill()
	s.ask()
	s.open()
	s.ask()
	if os.Getenv("KDHT_SCALE") != "" {
		s.damage()
	}
	s.evict()
	s.expire()
	if err := s.values.Close(); err != nil {
		t.Fatal(err)
	}
}

type scale struct {
	*testing.T
	n      int
	dir    string
	cfg    store.ValuesConfig
	kv     *KV
	values *store.ValueStore
}

func scaleRecord(i int) protocol.Record {
	_, v := numbered(i)
	return protocol.Record{Key: fmt.Appendf(nil, "/v/%044d", i), Value: append(v, make([]byte, 240-len(v))...)}
}

// took says how long something took, for each of n.
func (s *scale) took(what string, n int, start time.Time) {
	d := time.Since(start)
	s.Logf("%-40s %12v  %10.2f µs each", what, d.Round(time.Millisecond), float64(d.Nanoseconds())/1000/float64(max(n, 1)))
}

func (s *scale) memory(when string) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	resident := "unknown"
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rest, _ := strings.Cut(string(b), "VmRSS:")
		resident, _, _ = strings.Cut(rest, "\n")
	}
	s.Logf("%-40s heap %d MiB, resident %s, %d records, disk %d bytes each", when, m.HeapAlloc>>20, strings.TrimSpace(resident),
		s.values.Len(), s.kv.Stats().Disk/int64(max(s.values.Len(), 1)))
}

// open opens the store, again if it is open, and stores a record.
func (s *scale) open() {
	if s.values != nil {
		start := time.Now()
		if err := s.values.Close(); err != nil {
			s.Fatal(err)
		}
		s.took("close", 1, start)
	}
	start := time.Now()
	s.kv = mustOpen(s, s.dir, Config{})
	s.values = store.NewValues(s.kv, anything{}, s.cfg)
	if err := s.values.Load(epoch); err != nil {
		s.Fatal(err)
	}
	if err := s.values.Put(epoch, scaleRecord(0)); err != nil {
		s.Fatal(err)
	}
	s.took("open, and the first put", 1, start)
}

// unsynced is a KV whose puts are not waited for, to fill it.
type unsynced struct{ *KV }

func (unsynced) Sync() error { return nil }

// fill puts all but a share that is measured without waiting for the disk.
func (s *scale) fill() {
	const share = 100_000
	fast := store.NewValues(unsynced{s.kv}, anything{}, s.cfg)
	if err := fast.Load(epoch); err != nil {
		s.Fatal(err)
	}
	if s.n > share {
		s.put(fast, share, s.n, 2, "put by 2 writers, not synced")
	}
	s.put(s.values, 0, min(s.n, share), 64, "put by 64 writers, each synced")
	s.memory("full")
}

// put stores the records from one to before another.
func (s *scale) put(values *store.ValueStore, from, to, writers int, what string) {
	start := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := from + w; i < to; i += writers {
				if err := values.Put(epoch, scaleRecord(i)); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.took(what, to-from, start)
}

func (s *scale) ask() {
	asks := min(s.n, 20_000)
	for _, c := range []struct {
		what  string
		shift int
		found bool
	}{{"get, anywhere", 0, true}, {"get, absent", s.n, false}} {
		start := time.Now()
		for i := range asks {
			key := scaleRecord(i*(s.n/asks) + c.shift).Key
			if _, found, err := s.values.Get(epoch, key); err != nil || found != c.found {
				s.Fatalf("%s: %t, %v", c.what, found, err)
			}
		}
		s.took(c.what, asks, start)
	}
	s.memory("asked")
}

func (s *scale) evict() {
	start := time.Now()
	const n = 100
	for range n {
		var far keyspace.Key
		err := s.kv.Farthest(s.cfg.Self, func(key keyspace.Key, _ int) bool {
			far = key
			return false
		})
		if err := errors.Join(err, s.kv.Delete(far)); err != nil {
			s.Fatal(err)
		}
	}
	s.took("give up the farthest", n, start)
}

func (s *scale) expire() {
	later, held := epoch.Add(72*time.Hour), s.values.Len()
	if _, found, err := s.values.Get(later, scaleRecord(5).Key); found || err != nil {
		s.Errorf("a record too old is found: %t, %v", found, err)
	}
	start, longest := time.Now(), time.Duration(0)
	for s.values.Len() > 0 {
		step := time.Now()
		s.values.Advance(later)
		longest = max(longest, time.Since(step))
	}
	s.took(fmt.Sprintf("forget all, longest step %v", longest.Round(time.Millisecond)), held, start)
	s.memory("empty")
}
