package pebble

import (
	"context"
	"sync/atomic"
	"testing"

	lsm "github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/kdht/kdht/protocol/keyspace"
)

// keeper is what the three stores that are compared have in common: a put is safe, as far as
// the store ever makes it, when it returns.
type keeper struct {
	put  func(i int) error
	get  func(i int) (bool, error)
	done func() error
}

// keepers are a map in memory, the database with a sync for each write, and ours.
var keepers = map[string]func(b *testing.B) keeper{
	"map": func(*testing.B) keeper {
		d, ctx := dssync.MutexWrap(ds.NewMapDatastore()), context.Background()
		name := func(k keyspace.Key) ds.Key { return ds.RawKey("/" + k.String()) }
		return keeper{
			put: func(i int) error { k, v := numbered(i); return d.Put(ctx, name(k), v) },
			get: func(i int) (bool, error) {
				k, _ := numbered(i)
				v, err := d.Get(ctx, name(k))
				return v != nil, err
			},
			done: d.Close,
		}
	},
	"sync-each": func(b *testing.B) keeper {
		db, err := lsm.Open(b.TempDir(), &lsm.Options{Logger: newGuard(nil, newHealth())})
		if err != nil {
			b.Fatal(err)
		}
		return keeper{
			put: func(i int) error { k, v := numbered(i); return db.Set(k[:], v, lsm.Sync) },
			get: func(i int) (bool, error) {
				k, _ := numbered(i)
				_, closer, err := db.Get(k[:])
				if err != nil {
					return false, err
				}
				return true, closer.Close()
			},
			done: db.Close,
		}
	},
	"kdht": func(b *testing.B) keeper {
		kv := mustOpen(b, b.TempDir(), Config{})
		return keeper{
			put: func(i int) error {
				k, v := numbered(i)
				if err := kv.PutAt(k, v, uint32(1+i/1000)); err != nil {
					return err
				}
				return kv.Sync()
			},
			get:  func(i int) (bool, error) { k, _ := numbered(i); _, found, err := kv.Get(k); return found, err },
			done: kv.Close,
		}
	},
}

// BenchmarkPut puts from one goroutine and from 64 of them.
func BenchmarkPut(b *testing.B) {
	for _, name := range []string{"map", "sync-each", "kdht"} {
		for writers, label := range map[int]string{0: "/1writer", 32: "/64writers"} {
			b.Run(name+label, func(b *testing.B) {
				k := keepers[name](b)
				b.ReportAllocs()
				b.ResetTimer()
				if writers == 0 {
					for i := range b.N {
						if err := k.put(i); err != nil {
							b.Fatal(err)
						}
					}
				} else {
					var next atomic.Int64
					b.SetParallelism(writers)
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := k.put(int(next.Add(1))); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				b.StopTimer()
				if err := k.done(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkGet reads pairs that are there, of a few thousand.
func BenchmarkGet(b *testing.B) {
	const n = 4000
	for _, name := range []string{"map", "sync-each", "kdht"} {
		b.Run(name, func(b *testing.B) {
			k := keepers[name](b)
			for i := range n {
				if err := k.put(i); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if found, err := k.get(i % n); err != nil || !found {
					b.Fatal(found, err)
				}
				i += 7
			}
			b.StopTimer()
			if err := k.done(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
