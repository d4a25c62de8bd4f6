package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// OpenKV makes an empty KV for one test, which closes it.
type OpenKV func(tb testing.TB) store.KV

// KV runs the suite for KV implementations.
func KV(t *testing.T, open OpenKV) {
	for name, test := range map[string]func(*testing.T, store.KV){
		"PutGetDelete":      kvPutGetDelete,
		"RangeIsOrdered":    kvRangeIsOrdered,
		"RangeStops":        kvRangeStops,
		"RangeAndChanges":   kvRangeAndChanges,
		"ManyAtOnce":        kvManyAtOnce,
		"ClosedKVSaysSo":    kvClosed,
		"EmptyValueIsFound": kvEmptyValue,
	} {
		t.Run(name, func(t *testing.T) {
			kv := open(t)
			defer kv.Close() //nolint:errcheck // a second Close of a closed KV
			test(t, kv)
		})
	}
	t.Run("Model", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) { kvModel(t, rt, open) })
	})
}

func kvPutGetDelete(t *testing.T, kv store.KV) {
	wantPair(t, kv, 1, "", false)
	put(t, kv, 1, "one")
	put(t, kv, 2, "two")
	wantPair(t, kv, 1, "one", true)
	put(t, kv, 1, "another")
	wantPair(t, kv, 1, "another", true)
	if kv.Len() != 2 || kv.Bytes() != int64(len("another")+len("two")) {
		t.Errorf("Len %d, Bytes %d after two pairs of 7 and 3 bytes", kv.Len(), kv.Bytes())
	}
	for range 2 {
		if err := kv.Delete(place(1)); err != nil {
			t.Fatal(err)
		}
		wantPair(t, kv, 1, "", false)
	}
	if err := kv.Sync(); err != nil {
		t.Fatal(err)
	}
	wantPair(t, kv, 2, "two", true)
	if kv.Len() != 1 || kv.Bytes() != 3 {
		t.Errorf("Len %d, Bytes %d after a delete", kv.Len(), kv.Bytes())
	}
}

func kvEmptyValue(t *testing.T, kv store.KV) {
	put(t, kv, 1, "")
	wantPair(t, kv, 1, "", true)
	if kv.Len() != 1 || kv.Bytes() != 0 {
		t.Errorf("Len %d, Bytes %d with one empty value", kv.Len(), kv.Bytes())
	}
}

func kvRangeIsOrdered(t *testing.T, kv store.KV) {
	const n = 3000
	var all []keyspace.Key
	for i := range n {
		put(t, kv, i, fmt.Sprint(i))
		all = append(all, place(i))
	}
	slices.SortFunc(all, func(a, b keyspace.Key) int { return a.Compare(&b) })
	for _, bits := range []int{0, 1, 3, 8, 11, 256} {
		first, last := place(7).Region(bits)
		var want []keyspace.Key
		for _, k := range all {
			if p := place(7); keyspace.CommonPrefixLen(&p, &k) >= bits {
				want = append(want, k)
			}
		}
		if got := keysIn(t, kv, first, last); !slices.Equal(got, want) {
			t.Errorf("region of %d bits: %d keys in order %t, want %d", bits, len(got),
				slices.IsSortedFunc(got, func(a, b keyspace.Key) int { return a.Compare(&b) }), len(want))
		}
	}
	if got := keysIn(t, kv, all[10], all[4]); len(got) != 0 {
		t.Errorf("a range whose first is after its last holds %d keys", len(got))
	}
}

func kvRangeStops(t *testing.T, kv store.KV) {
	for i := range 500 {
		put(t, kv, i, "v")
	}
	first, last := keyspace.Key{}.Region(0)
	seen := 0
	err := kv.Range(first, last, func(keyspace.Key, []byte) bool { seen++; return seen < 123 })
	if err != nil || seen != 123 {
		t.Errorf("stopped after %d of 123 pairs: %v", seen, err)
	}
}

// kvRangeAndChanges deletes all even pairs and adds new ones from within Range:
// every odd pair is seen exactly once.
func kvRangeAndChanges(t *testing.T, kv store.KV) {
	const n = 1000
	number := make(map[keyspace.Key]int, n)
	for i := range n {
		put(t, kv, i, "v")
		number[place(i)] = i
	}
	seen := make(map[int]int)
	step := 0
	first, last := keyspace.Key{}.Region(0)
	err := kv.Range(first, last, func(key keyspace.Key, _ []byte) bool {
		if i, old := number[key]; old {
			seen[i]++
		}
		put(t, kv, n+step, "new")
		if err := kv.Delete(place(2 * step)); step < n/2 && err != nil {
			t.Error(err)
		}
		step++
		return step < 4*n
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < n; i += 2 {
		if seen[i] != 1 {
			t.Fatalf("pair %d was seen %d times", i, seen[i])
		}
	}
}

func kvManyAtOnce(t *testing.T, kv store.KV) {
	const workers, n = 4, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range n {
				put(t, kv, i*workers+w, fmt.Sprint(i))
				wantPair(t, kv, i*workers+w, fmt.Sprint(i), true)
				if i%3 == 0 {
					if err := kv.Delete(place(i*workers + w)); err != nil {
						t.Error(err)
					}
				}
				if i%100 == 0 {
					keysIn(t, kv, place(0), place(1))
				}
			}
			if err := kv.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if want := workers * n * 2 / 3; kv.Len() != want {
		t.Errorf("%d pairs left, want %d", kv.Len(), want)
	}
}

func kvClosed(t *testing.T, kv store.KV) {
	put(t, kv, 1, "one")
	for range 2 {
		if err := kv.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	_, _, errGet := kv.Get(place(1))
	first, last := keyspace.Key{}.Region(0)
	for _, err := range []error{
		errGet, kv.Put(place(2), nil), kv.Delete(place(1)),
		kv.Range(first, last, func(keyspace.Key, []byte) bool { return true }),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("a closed KV says %v", err)
		}
	}
}

// kvModel compares random operations with a map.
func kvModel(tb testing.TB, t *rapid.T, open OpenKV) {
	kv := open(tb)
	defer kv.Close() //nolint:errcheck // memory of a test
	model := make(map[keyspace.Key][]byte)
	anyKey := rapid.Custom(func(t *rapid.T) (k keyspace.Key) {
		// Few bits at both ends: keys collide, share prefixes and fill blocks.
		k[0] = rapid.Byte().Draw(t, "head")
		k[31] = rapid.ByteRange(0, 3).Draw(t, "tail")
		return k
	})
	check := func(t *rapid.T) {
		var bytes int64
		for _, v := range model {
			bytes += int64(len(v))
		}
		if kv.Len() != len(model) || kv.Bytes() != bytes {
			t.Fatalf("Len %d, Bytes %d, want %d, %d", kv.Len(), kv.Bytes(), len(model), bytes)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": check,
		"put": func(t *rapid.T) {
			for range rapid.IntRange(1, 40).Draw(t, "n") {
				k, v := anyKey.Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "value")
				model[k] = v
				if err := kv.Put(k, bytes.Clone(v)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"delete": func(t *rapid.T) {
			k := anyKey.Draw(t, "key")
			delete(model, k)
			if err := kv.Delete(k); err != nil {
				t.Fatal(err)
			}
		},
		"get": func(t *rapid.T) {
			k := anyKey.Draw(t, "key")
			v, found, err := kv.Get(k)
			if want, ok := model[k]; err != nil || found != ok || !bytes.Equal(v, want) {
				t.Fatalf("Get(%s) = %x, %t, %v; want %x, %t", k, v, found, err, want, ok)
			}
		},
		"range": func(t *rapid.T) { kvModelRange(t, kv, model, anyKey.Draw(t, "first"), anyKey.Draw(t, "last")) },
	})
}

func kvModelRange(t *rapid.T, kv store.KV, model map[keyspace.Key][]byte, first, last keyspace.Key) {
	var want []keyspace.Key
	for k := range model {
		if k.Compare(&first) >= 0 && k.Compare(&last) <= 0 {
			want = append(want, k)
		}
	}
	slices.SortFunc(want, func(a, b keyspace.Key) int { return a.Compare(&b) })
	var got []keyspace.Key
	err := kv.Range(first, last, func(k keyspace.Key, v []byte) bool {
		if !bytes.Equal(v, model[k]) {
			t.Fatalf("range gives %x for %s, want %x", v, k, model[k])
		}
		got = append(got, k)
		return true
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("range of %s..%s: %v, %v; want %v", first, last, got, err, want)
	}
}

func put(t *testing.T, kv store.KV, i int, value string) {
	t.Helper()
	if err := kv.Put(place(i), []byte(value)); err != nil {
		t.Errorf("put %d: %v", i, err)
	}
}

func wantPair(t *testing.T, kv store.KV, i int, value string, found bool) {
	t.Helper()
	v, ok, err := kv.Get(place(i))
	if err != nil || ok != found || string(v) != value {
		t.Errorf("pair %d is %q, %t, %v; want %q, %t", i, v, ok, err, value, found)
	}
}

func keysIn(t *testing.T, kv store.KV, first, last keyspace.Key) (keys []keyspace.Key) {
	t.Helper()
	err := kv.Range(first, last, func(key keyspace.Key, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil {
		t.Error(err)
	}
	return keys
}
