package providerlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func multihash(i int) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return append([]byte{0x12, 0x20}, sum[:]...)
}

// provider returns the i-th of a sequence of peers, which has an address.
func provider(i int) protocol.Peer {
	id := append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, multihash(i)[2:]...)
	return protocol.Peer{ID: id, Addrs: [][]byte{{4, 10, byte(i >> 16), byte(i >> 8), byte(i), 6, 0x10, 1}}}
}

func opened(tb testing.TB, d disk, cfg Config) *Store {
	tb.Helper()
	cfg.disk = d
	s, err := Open("log", cfg)
	if err != nil {
		tb.Fatal(err)
	}
	<-s.Ready()
	return s
}

func announce(tb testing.TB, s *Store, now time.Time, key, who int) {
	tb.Helper()
	if err := s.Add(now, multihash(key), provider(who)); err != nil {
		tb.Fatal(err)
	}
}

// serves reports whether the i-th provider is told for a key, with its address.
func serves(tb testing.TB, s *Store, now time.Time, key, who int) bool {
	tb.Helper()
	told, addrs := tells(tb, s, now, key, who)
	return told && addrs
}

// tells reports whether the i-th provider is told for a key, and whether with its
// address.
func tells(tb testing.TB, s *Store, now time.Time, key, who int) (told, addrs bool) {
	tb.Helper()
	got, err := s.Append(now, multihash(key), nil, 1000)
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range got {
		if string(p.ID) == string(provider(who).ID) {
			return true, len(p.Addrs) == 1 && string(p.Addrs[0]) == string(provider(who).Addrs[0])
		}
	}
	return false, false
}

// small makes segments of a few blocks that are soon compacted.
func small(s *Store) *Store {
	s.tail.mu.Lock()
	defer s.tail.mu.Unlock()
	s.tail.limits.segment, s.tail.limits.roomy = 4*blockSize, 8*blockSize
	return s
}

// TestPowerLoss lets the power fail at random moments, a thousand times: what was
// announced before the last sync is there, nothing is there that was never
// announced or was removed before the last sync, and the log always opens.
func TestPowerLoss(t *testing.T) {
	const crashes, keys = 1000, 15
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		s := small(opened(t, newMemDisk(), Config{}))
		now := epoch
		var held [keys]bool   // by provider 1, for sure
		var unsure [keys]bool // it changed since the last sync
		var changing [10]int  // those
		var compacted uint64
		for n := range crashes {
			for range 1 + random.IntN(25) {
				now = now.Add(time.Duration(random.IntN(900)) * time.Second)
				s.Advance(now)
				announce(t, s, now, keys+random.IntN(200), 2+random.IntN(50)) // others, that make the log move
			}
			for i := range keys {
				announce(t, s, now, i, 0) // renewed all the time
				if held[i] {
					announce(t, s, now, i, 1)
				}
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			clear(unsure[:])
			for i := range changing {
				k := random.IntN(keys)
				changing[i], unsure[k] = k, true
				if held[k] = random.IntN(2) == 0; held[k] {
					announce(t, s, now, k, 1)
				} else {
					s.Remove(multihash(k), provider(1).ID)
				}
			}
			if random.IntN(2) == 0 {
				time.Sleep(gather + time.Duration(random.IntN(2))*DefaultSyncInterval) // it is written, or synced and perhaps compacted
			}
			d := s.disk.(*memDisk).crash(random)
			compacted += s.Stats().Compactions
			_ = s.Close()
			s = small(opened(t, d, Config{}))
			for i := range keys {
				if !serves(t, s, now, i, 0) || !unsure[i] && serves(t, s, now, i, 1) != held[i] {
					t.Fatalf("seed %d, crash %d: key %d: %t, %t, want true, %t", seed, n, i, serves(t, s, now, i, 0), serves(t, s, now, i, 1), held[i])
				}
				held[i] = serves(t, s, now, i, 1)
			}
		}
		if compacted < 10 {
			t.Errorf("seed %d: only %d compactions in all", seed, compacted)
		}
		_ = s.Close()
	})
}

// TestFlippedBytes damages a log of many records: no more of them are gone than
// bytes are wrong, the rest is told right, and the damage is counted.
func TestFlippedBytes(t *testing.T) {
	const records = 20_000
	d := newMemDisk()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, d, Config{})
		for i := range records {
			announce(t, s, epoch, i/2, i%150)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for round, flips := range []int{1, 1, 1, 1, 1, 1, 1, 1, 20, 20, 200, 200} {
		synctest.Test(t, func(t *testing.T) {
			broken := d.crash(random)
			for _, f := range broken.names {
				for range flips {
					f.now[random.IntN(len(f.now))] ^= byte(1 + random.IntN(255))
				}
			}
			s := opened(t, broken, Config{})
			defer s.Close() //nolint:errcheck // what it says is not the matter
			lost := 0
			for i := range records {
				if !serves(t, s, epoch, i/2, i%150) {
					lost++
				}
			}
			st := s.Stats()
			if lost > flips || st.Records != records-lost {
				t.Errorf("seed %d, round %d: %d flipped bytes: %d records lost, %d held", seed, round, flips, lost, st.Records)
			}
			if damage := st.Loaded.Damaged + st.Loaded.Torn + st.Loaded.Lost; lost > 0 && damage == 0 {
				t.Errorf("seed %d, round %d: %d records lost without a word: %+v", seed, round, lost, st.Loaded)
			}
		})
	}
}

// TestCutShort opens a log that ends anywhere: what was before is there.
func TestCutShort(t *testing.T) {
	d := newMemDisk()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, d, Config{})
		for i := range 300 {
			announce(t, s, epoch, i, i%7)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		last := 0
		full := len(theFile(d).now)
		for size := full; size >= 0; size -= 97 {
			cut := d.crash(rand.New(rand.NewPCG(0, 0)))
			theFile(cut).now = theFile(cut).now[:size]
			s := opened(t, cut, Config{})
			st := s.Stats()
			if size == full && st.Records != 300 || size < full && last > 0 && st.Records > last || st.Loaded.Damaged > 0 {
				t.Fatalf("cut to %d bytes: %d records after %d, %+v", size, st.Records, last, st.Loaded)
			}
			for i := range st.Records {
				if !serves(t, s, epoch, i, i%7) {
					t.Fatalf("cut to %d bytes: record %d of %d is gone", size, i, st.Records)
				}
			}
			last = st.Records
			_ = s.Close()
		}
		if last != 0 {
			t.Errorf("%d records in an empty file", last)
		}
	})
}

func theFile(d *memDisk) *memFile {
	for _, f := range d.names {
		return f
	}
	return nil
}

// TestNewerVersion refuses a log of a later version, and says so.
func TestNewerVersion(t *testing.T) {
	d := newMemDisk()
	f := &memFile{disk: d, now: appendHeader(nil)}
	f.now[len(magic)]++
	binary.LittleEndian.PutUint32(f.now[12:], crc32.Checksum(f.now[:12], castagnoli))
	d.names["log/"+segmentName{1, 0}.String()] = f
	_, err := Open("log", Config{disk: d})
	want := fmt.Sprintf("format %d, this program reads up to %d: run the version that wrote it, or move the directory away", format+1, format)
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), want) {
		t.Errorf("opened with %v", err)
	}
	if len(d.locked) > 0 {
		t.Error("the lock is kept")
	}
}

// TestLoadKeepsBudgets opens a full log with a smaller budget.
func TestLoadKeepsBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := opened(t, d, Config{})
		for i := range 500 {
			announce(t, s, epoch, i, 1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = opened(t, d, Config{Providers: store.ProvidersConfig{MaxRecords: 100}})
		defer s.Close() //nolint:errcheck // memory
		if s.Len() != 100 {
			t.Errorf("%d records of 100 allowed", s.Len())
		}
	})
}
