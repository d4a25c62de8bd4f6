package store_test

import (
	"runtime"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// heap returns the bytes in use after build, less those before, with what it
// built still alive.
func heap(build func() any) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestValueMemory: what values are charged for covers what they take, so that the
// byte budget bounds memory.
func TestValueMemory(t *testing.T) {
	for _, size := range []int{0, 40, 200, 2000} {
		const n = 10_000
		var s *store.ValueStore
		used := heap(func() any {
			s = store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{})
			for i := range uint64(n) {
				rec := protocol.Record{Key: append([]byte("/v/"), multihash(i)...), Value: make([]byte, size)}
				if err := s.Put(epoch, rec); err != nil {
					t.Fatal(err)
				}
			}
			return s
		})
		t.Logf("values of %d bytes: %d bytes of heap each, charged %d", size, used/n, s.Bytes()/n)
		if used > s.Bytes() {
			t.Errorf("%d values of %d bytes take %d bytes of heap, charged %d", n, size, used, s.Bytes())
		}
	}
}

// TestProviderMemory: records of honest peers take little, and those of
// hostile ones, each from another peer with as many addresses as are kept, are
// bounded.
func TestProviderMemory(t *testing.T) {
	const n = 20_000
	for _, c := range []struct {
		name       string
		peers      uint64
		keys       uint64
		addrs, len int
		most       int64 // bytes a record
	}{
		{"100 peers, 2 a key", 100, n / 2, 4, 8, 200},
		{"new peers, 1 a key", n, n, 4, 8, 800},
		{"hostile", n, n, 100, 200, 1500},
	} {
		var s *store.ProviderStore
		used := heap(func() any {
			s = store.NewProviders(store.ProvidersConfig{MaxAddrBytes: n * 640})
			for i := range uint64(n) {
				p := contact(i%c.peers, 0)
				for a := range c.addrs {
					addr := make([]byte, c.len)
					addr[0] = byte(a)
					p.Addrs = append(p.Addrs, addr)
				}
				if err := s.Add(epoch, multihash(i%c.keys), p); err != nil {
					t.Fatal(err)
				}
			}
			return s
		})
		t.Logf("%s: %d bytes of heap a record", c.name, used/n)
		if used > c.most*n {
			t.Errorf("%s: %d records take %d bytes, %d each", c.name, n, used, used/n)
		}
	}
}

// TestIdleMemory: a store nobody uses costs next to nothing, so that a simulation
// can have a hundred thousand of them.
func TestIdleMemory(t *testing.T) {
	const n = 1000
	used := heap(func() any {
		all := make([]any, 0, 2*n)
		for i := range uint64(n) {
			all = append(all,
				store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{Self: keyspace.KeyOf(multihash(i))}),
				store.NewProviders(store.ProvidersConfig{MaxRecords: 10_000}))
		}
		return all
	})
	t.Logf("%d bytes for an idle pair of stores", used/n)
	if used > n*3000 {
		t.Errorf("an idle pair of stores takes %d bytes", used/n)
	}
}
