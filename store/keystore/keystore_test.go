package keystore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/pebble"
)

var epoch = time.Unix(1_790_000_000, 0)

// hash returns the i-th of a sequence of sha2-256 multihashes.
func hash(i int) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return append([]byte{0x12, 0x20}, sum[:]...)
}

func onDisk(t testing.TB, fs vfs.FS) store.KV {
	t.Helper()
	kv, err := pebble.Open("/keys", pebble.Config{FS: fs, Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type known struct {
	last int64
	due  bool
}

// check compares all that can be read with what is known.
func check(t *testing.T, s *Keystore, want map[int]known) {
	t.Helper()
	byPlace := make(map[keyspace.Key]int)
	due := 0
	for i, k := range want {
		byPlace[keyspace.KeyOf(hash(i))] = i
		due += one(k.due)
	}
	if s.Len() != len(want) || s.DueLen() != due {
		t.Fatalf("%d keys, %d due; want %d and %d", s.Len(), s.DueLen(), len(want), due)
	}
	var before keyspace.Key
	seen, seenDue := 0, 0
	look := func(k Key) bool {
		i, there := byPlace[k.Place]
		if !there || string(k.Hash) != string(hash(i)) {
			t.Fatalf("%x is there, and should not be", k.Hash)
		}
		w := want[i]
		if k.Due != w.due || !k.Last.IsZero() != (w.last != 0) || w.last != 0 && k.Last.Unix() != w.last {
			t.Fatalf("key %d is %+v, want %+v", i, k, w)
		}
		if k.Place.Compare(&before) <= 0 {
			t.Fatal("not in the order of the keyspace")
		}
		before = k.Place
		return true
	}
	if err := s.Range(keyspace.Key{}, whole(), func(k Key) bool { seen++; return look(k) }); err != nil || seen != len(want) {
		t.Fatalf("%d keys read of %d: %v", seen, len(want), err)
	}
	before = keyspace.Key{}
	if err := s.Due(keyspace.Key{}, whole(), func(k Key) bool { seenDue++; return look(k) && k.Due }); err != nil || seenDue != due {
		t.Fatalf("%d due keys read of %d: %v", seenDue, due, err)
	}
	for _, bits := range []int{0, 1, 3, 16, 18} {
		place := keyspace.KeyOf(hash(1))
		keys, due := 0, 0
		for i, w := range want {
			if at := keyspace.KeyOf(hash(i)); keyspace.CommonPrefixLen(&at, &place) >= bits {
				keys++
				due += one(w.due)
			}
		}
		if gotKeys, gotDue, err := s.Count(place, bits); err != nil || gotKeys != keys || gotDue != due {
			t.Fatalf("%d bits: %d keys, %d due, %v; want %d and %d", bits, gotKeys, gotDue, err, keys, due)
		}
	}
}

// Whatever is done in whatever order, what can be read is what a map would hold, in memory
// and on a disk, over restarts.
func TestModel(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			fs := vfs.NewMem()
			s := New()
			if durable {
				s = must(Open(onDisk(t, fs)))
			}
			want := make(map[int]known)
			for step := range 60 {
				var some []int
				var keys [][]byte
				for range 1 + rng.IntN(30) {
					i := rng.IntN(200)
					some, keys = append(some, i), append(keys, hash(i))
				}
				operate(t, s, rng, some, keys, want)
				if durable && step%10 == 9 {
					st := State{Began: epoch.Add(time.Duration(step) * time.Hour), Next: keyspace.KeyOf(keys[0])}
					if err := errors.Join(s.SetState(st), s.Close()); err != nil {
						t.Fatal(err)
					}
					s = must(Open(onDisk(t, fs)))
					if got := s.State(); !got.Began.Equal(st.Began) || got.Next != st.Next {
						t.Fatalf("state %+v, want %+v", got, st)
					}
				}
				check(t, s, want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Add(hash(0)); !errors.Is(err, store.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

// operate does something at random, and the same in the model.
func operate(t *testing.T, s *Keystore, rng *rand.Rand, some []int, keys [][]byte, want map[int]known) {
	t.Helper()
	before := maps.Clone(want)
	var err error
	switch op := rng.IntN(6); op {
	case 0, 1:
		for _, i := range some {
			if _, there := want[i]; !there {
				want[i] = known{due: true}
			}
		}
		var added int
		if added, err = s.Add(keys...); added != len(want)-len(before) {
			t.Fatalf("%d added, want %d", added, len(want)-len(before))
		}
	case 2:
		for _, i := range some {
			delete(want, i)
		}
		var removed int
		if removed, err = s.Remove(keys...); removed != len(before)-len(want) {
			t.Fatalf("%d removed, want %d", removed, len(before)-len(want))
		}
	case 3, 4:
		at := epoch.Add(time.Duration(rng.IntN(1e6)) * time.Second)
		for _, i := range some {
			if _, there := want[i]; there {
				want[i] = known{last: at.Unix()}
			}
		}
		if err = s.Announced(at, keys...); op == 4 && err == nil {
			err = s.Failed(keys...)
			for _, i := range some {
				if k, there := want[i]; there {
					want[i] = known{last: k.last, due: true}
				}
			}
		}
	case 5:
		if len(some) > 10 {
			return
		}
		clear(want)
		for _, i := range some {
			k, there := before[i]
			k.due = k.due || !there
			want[i] = k
		}
		_, _, err = s.Replace(slices.Values(keys))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeys(t *testing.T) {
	s := New()
	for _, bad := range [][]byte{nil, make([]byte, 81)} {
		if _, err := s.Add(bad); !errors.Is(err, ErrKey) {
			t.Errorf("a key of %d bytes: %v", len(bad), err)
		}
	}
	for _, good := range [][]byte{{1}, make([]byte, 80)} {
		if n, err := s.Add(good, good); n != 1 || err != nil {
			t.Errorf("a key of %d bytes: %d added, %v", len(good), n, err)
		}
		if there, err := s.Has(good); !there || err != nil {
			t.Errorf("a key of %d bytes: %v, %v", len(good), there, err)
		}
	}
	if there, err := s.Has([]byte{2}); there || err != nil {
		t.Errorf("what was not added is there: %v, %v", there, err)
	}
	_ = s.Announced(epoch, []byte{1})
	if err := s.Ask([]byte{1}, []byte{3}); err != nil || s.DueLen() != 3 {
		t.Errorf("%d keys due, %v", s.DueLen(), err)
	}
}

// A Replace that is interrupted before its end has lost nothing.
func TestReplaceInterrupted(t *testing.T) {
	fs := vfs.NewMem()
	s := must(Open(onDisk(t, fs)))
	_ = must(s.Add(hash(1), hash(2), hash(3)))
	_ = s.Announced(epoch, hash(1), hash(2), hash(3))
	func() {
		defer func() { _ = recover() }()
		_, _, _ = s.Replace(func(yield func([]byte) bool) {
			yield(hash(3))
			yield(hash(4))
			panic("the end of the program")
		})
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = must(Open(onDisk(t, fs)))
	old := known{last: epoch.Unix()}
	check(t, s, map[int]known{1: old, 2: old, 3: old, 4: {due: true}})
	if added, removed, err := s.Replace(slices.Values([][]byte{hash(3), hash(5)})); added != 1 || removed != 3 || err != nil {
		t.Fatalf("%d added, %d removed, %v", added, removed, err)
	}
	check(t, s, map[int]known{3: old, 5: {due: true}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What was synced survives a power cut at any moment, and the counts are those of what is
// there.
func TestPowerLoss(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	disk := vfs.NewCrashableMem()
	s := must(Open(onDisk(t, disk)))
	now := make(map[int]known)
	var synced map[int]known
	touched := make(map[int]bool) // since the last Sync
	for range 60 {
		for range rng.IntN(8) {
			i := rng.IntN(60)
			touched[i] = true
			switch k, there := now[i]; {
			case !there:
				_ = must(s.Add(hash(i)))
				now[i] = known{due: true}
			case rng.IntN(3) == 0:
				_ = must(s.Remove(hash(i)))
				delete(now, i)
			default:
				k = known{last: epoch.Unix() + int64(rng.IntN(1000))}
				now[i] = k
				if err := s.Announced(time.Unix(k.last, 0), hash(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if rng.IntN(3) == 0 {
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			synced, touched = maps.Clone(now), make(map[int]bool)
		}
		afterPowerLoss(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}), synced, touched)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func afterPowerLoss(t *testing.T, disk vfs.FS, synced map[int]known, touched map[int]bool) {
	t.Helper()
	s := must(Open(onDisk(t, disk)))
	got := make(map[int]known)
	err := s.Range(keyspace.Key{}, whole(), func(k Key) bool {
		for i := range 60 {
			if string(hash(i)) == string(k.Hash) {
				got[i] = known{due: k.Due}
				if !k.Last.IsZero() {
					got[i] = known{k.Last.Unix(), k.Due}
				}
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, got)
	for i := range 60 {
		if want, there := synced[i]; !touched[i] && (got[i] != want || there != (got[i] != known{})) {
			t.Fatalf("key %d is %+v after a power cut, synced was %+v (%v)", i, got[i], want, there)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A key in memory costs little more than itself: a million must fit beside all else.
func TestMemoryCost(t *testing.T) {
	const n = 1 << 17
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	s := New()
	for i := range n {
		if _, err := s.Add(hash(i)); err != nil {
			t.Fatal(err)
		}
	}
	each := float64(inUse()-before) / n
	t.Logf("%.1f bytes a key of 34", each)
	if each > 90 {
		t.Errorf("%.1f bytes a key of 34 bytes", each)
	}
	runtime.KeepAlive(s)
}

func BenchmarkAdd(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("durable=%v", durable), func(b *testing.B) {
			s := New()
			if durable {
				s = must(Open(onDisk(b, vfs.NewMem())))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_ = must(s.Add(hash(i)))
				i++
			}
			_ = s.Close()
		})
	}
}
