package pebble

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store/keystore"
	"github.com/kdht/kdht/store/storetest"
)

func keysOn(t testing.TB, fs vfs.FS) *keystore.Keystore {
	t.Helper()
	s, err := keystore.Open(mustOpen(t, "/keys", Config{FS: fs, Cache: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeystore(t *testing.T) {
	var test string
	var fs vfs.FS
	storetest.Keystore(t, true, func(t testing.TB) *keystore.Keystore {
		if t.Name() != test {
			test, fs = t.Name(), vfs.NewMem()
		}
		return keysOn(t, fs)
	})
}

// known is what is known of a key.
type known struct {
	last int64
	due  bool
}

func hash(i int) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return append([]byte{0x12, 0x20}, sum[:]...)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What was synced survives a power cut at any moment, and the counts are those of what is
// there.
func TestKeystorePowerLoss(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	disk := vfs.NewCrashableMem()
	s := keysOn(t, disk)
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
				k = known{last: epochOfKeys + int64(rng.IntN(1000))}
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
		keysAfterPowerLoss(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}), synced, touched)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func keysAfterPowerLoss(t *testing.T, disk vfs.FS, synced map[int]known, touched map[int]bool) {
	t.Helper()
	s := keysOn(t, disk)
	got := make(map[int]known)
	_, last := keyspace.Key{}.Region(0)
	held, due := 0, 0
	err := s.Range(keyspace.Key{}, last, func(k keystore.Key) bool {
		for i := range 60 {
			if string(hash(i)) == string(k.Hash) {
				got[i] = known{due: k.Due}
				if !k.Last.IsZero() {
					got[i] = known{k.Last.Unix(), k.Due}
				}
			}
		}
		held++
		if k.Due {
			due++
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != held || s.DueLen() != due {
		t.Fatalf("%d keys counted, %d due; %d and %d are there", s.Len(), s.DueLen(), held, due)
	}
	for i := range 60 {
		if want, there := synced[i]; !touched[i] && (got[i] != want || there != (got[i] != known{})) {
			t.Fatalf("key %d is %+v after a power cut, synced was %+v (%v)", i, got[i], want, there)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

const epochOfKeys = 1_790_000_000
