package storetest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/keystore"
)

func whole() (last keyspace.Key) {
	for i := range last {
		last[i] = 0xff
	}
	return last
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// announced is what is known of a key.
type announced struct {
	last int64
	due  bool
}

// keystoreHolds compares all that can be read with what is announced.
func keystoreHolds(t *testing.T, s *keystore.Keystore, want map[int]announced) {
	t.Helper()
	byPlace := make(map[keyspace.Key]int)
	due := 0
	for i, k := range want {
		byPlace[keyspace.KeyOf(multihash(i))] = i
		due += one(k.due)
	}
	if s.Len() != len(want) || s.DueLen() != due {
		t.Fatalf("%d keys, %d due; want %d and %d", s.Len(), s.DueLen(), len(want), due)
	}
	var before keyspace.Key
	seen, seenDue := 0, 0
	look := func(k keystore.Key) bool {
		i, there := byPlace[k.Place]
		if !there || string(k.Hash) != string(multihash(i)) {
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
	if err := s.Range(keyspace.Key{}, whole(), func(k keystore.Key) bool { seen++; return look(k) }); err != nil || seen != len(want) {
		t.Fatalf("%d keys read of %d: %v", seen, len(want), err)
	}
	before = keyspace.Key{}
	if err := s.Due(keyspace.Key{}, whole(), func(k keystore.Key) bool { seenDue++; return look(k) && k.Due }); err != nil || seenDue != due {
		t.Fatalf("%d due keys read of %d: %v", seenDue, due, err)
	}
	for _, bits := range []int{0, 1, 3, 16, 18} {
		place := keyspace.KeyOf(multihash(1))
		keys, due := 0, 0
		for i, w := range want {
			if at := keyspace.KeyOf(multihash(i)); keyspace.CommonPrefixLen(&at, &place) >= bits {
				keys++
				due += one(w.due)
			}
		}
		if gotKeys, gotDue, err := s.Count(place, bits); err != nil || gotKeys != keys || gotDue != due {
			t.Fatalf("%d bits: %d keys, %d due, %v; want %d and %d", bits, gotKeys, gotDue, err, keys, due)
		}
	}
}

// Keystore checks a keystore.Keystore over some store.KV: whatever is done in whatever order,
// what can be read is what a map would hold, and a Replace that is interrupted loses
// nothing. open opens it: what was there when it was closed, if it is durable.
func Keystore(t *testing.T, durable bool, open func(t testing.TB) *keystore.Keystore) {
	t.Run("model", func(t *testing.T) { keystoreModel(t, durable, open) })
	t.Run("replace interrupted", func(t *testing.T) { keystoreReplace(t, durable, open) })
}

func keystoreModel(t *testing.T, durable bool, open func(t testing.TB) *keystore.Keystore) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := open(t)
	want := make(map[int]announced)
	for step := range 60 {
		var some []int
		var keys [][]byte
		for range 1 + rng.IntN(30) {
			i := rng.IntN(200)
			some, keys = append(some, i), append(keys, multihash(i))
		}
		operate(t, s, rng, some, keys, want)
		if durable && step%10 == 9 {
			st := keystore.State{Began: epoch.Add(time.Duration(step) * time.Hour).Truncate(time.Second), Next: keyspace.KeyOf(keys[0])}
			if err := errors.Join(s.SetState(st), s.Close()); err != nil {
				t.Fatal(err)
			}
			s = open(t)
			if got := s.State(); !got.Began.Equal(st.Began) || got.Next != st.Next {
				t.Fatalf("state %+v, want %+v", got, st)
			}
		}
		keystoreHolds(t, s, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(multihash(0)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func keystoreReplace(t *testing.T, durable bool, open func(t testing.TB) *keystore.Keystore) {
	s := open(t)
	keys := func(numbers ...int) (all [][]byte) {
		for _, i := range numbers {
			all = append(all, multihash(i))
		}
		return all
	}
	if _, _, err := s.Replace(slices.Values(keys(1, 2, 3)), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Announced(epoch, keys(1, 2, 3)...); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = s.Replace(func(yield func([]byte) bool) {
			yield(multihash(3))
			yield(multihash(4))
			panic("the end of the program")
		}, nil)
	}()
	if durable {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t)
	}
	old := announced{last: epoch.Unix()}
	keystoreHolds(t, s, map[int]announced{1: old, 2: old, 3: old, 4: {due: true}})
	var gone []string
	added, removed, err := s.Replace(slices.Values(keys(3, 5)), func(key []byte) { gone = append(gone, string(key)) })
	if added != 1 || removed != 3 || err != nil {
		t.Fatalf("%d added, %d removed, %v", added, removed, err)
	}
	for _, key := range keys(1, 2, 4) {
		if len(gone) != 3 || !slices.Contains(gone, string(key)) {
			t.Errorf("gone are said to be %x", gone)
		}
	}
	keystoreHolds(t, s, map[int]announced{3: old, 5: {due: true}})
	t.Run("two at once", func(t *testing.T) { keystoreReplaceTwice(t, s) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// keystoreReplaceTwice begins a Replace in the middle of another, and expects the keys of the
// second and no other.
func keystoreReplaceTwice(t *testing.T, s *keystore.Keystore) {
	ended := make(chan error, 1)
	_, _, err := s.Replace(func(yield func([]byte) bool) {
		yield(multihash(6))
		go func() {
			_, _, err := s.Replace(slices.Values([][]byte{multihash(8), multihash(9)}), nil)
			ended <- err
		}()
		for range 10_000 { // time enough, if it does not wait
			runtime.Gosched()
		}
		yield(multihash(7))
	}, nil)
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	keystoreHolds(t, s, map[int]announced{8: {due: true}, 9: {due: true}})
}

// operate does something at random, and the same in the model.
func operate(t *testing.T, s *keystore.Keystore, rng *rand.Rand, some []int, keys [][]byte, want map[int]announced) {
	t.Helper()
	before := maps.Clone(want)
	var err error
	switch op := rng.IntN(6); op {
	case 0, 1:
		for _, i := range some {
			if _, there := want[i]; !there {
				want[i] = announced{due: true}
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
				want[i] = announced{last: at.Unix()}
			}
		}
		if err = s.Announced(at, keys...); op == 4 && err == nil {
			err = s.Failed(keys...)
			for _, i := range some {
				if k, there := want[i]; there {
					want[i] = announced{last: k.last, due: true}
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
		_, _, err = s.Replace(slices.Values(keys), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}
