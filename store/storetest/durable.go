package storetest

import (
	"fmt"
	"testing"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// OpenDurable opens the KV kept in a directory, an empty one if there is none.
type OpenDurable func(tb testing.TB, dir string) store.KV

// Durable runs the suite for KVs that outlive the program: all of KV's, and that
// what was closed is there when it is opened again. What survives a crash is each
// implementation's own to test.
func Durable(t *testing.T, open OpenDurable) {
	KV(t, func(tb testing.TB) store.KV { return open(tb, tb.TempDir()) })
	t.Run("Reopens", func(t *testing.T) { durableReopens(t, open) })
}

func durableReopens(t *testing.T, open OpenDurable) {
	dir := t.TempDir()
	want := make(map[keyspace.Key]string)
	for run := range 4 {
		kv := open(t, dir)
		got := make(map[keyspace.Key]string)
		first, last := keyspace.Key{}.Region(0)
		err := kv.Range(first, last, func(key keyspace.Key, value []byte) bool {
			got[key] = string(value)
			return true
		})
		if err != nil || len(got) != len(want) || kv.Len() != len(want) {
			t.Fatalf("run %d: %d pairs, Len %d, want %d: %v", run, len(got), kv.Len(), len(want), err)
		}
		for key, value := range want {
			if v, ok := got[key]; !ok || v != value {
				t.Fatalf("run %d: %s is %q, %t, want %q", run, key, v, ok, value)
			}
		}
		for i := range 100 {
			i += run * 50
			value := fmt.Sprint(run, " ", i)
			put(t, kv, i, value)
			want[place(i)] = value
			if i%3 == 0 {
				if err := kv.Delete(place(i)); err != nil {
					t.Fatal(err)
				}
				delete(want, place(i))
			}
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
