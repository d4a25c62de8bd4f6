package store_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// anything takes every value and prefers the new one.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// multihash returns the i-th of a sequence of sha2-256 multihashes.
func multihash(i uint64) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, i))
	return append([]byte{0x12, 0x20}, sum[:]...)
}

// contact returns the i-th of a sequence of peers, with the given number of TCP
// addresses.
func contact(i uint64, addrs int) protocol.Peer {
	id := append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, multihash(i)[2:]...)
	p := protocol.Peer{ID: id}
	for a := range addrs {
		p.Addrs = append(p.Addrs, []byte{4, 10, byte(i >> 16), byte(i >> 8), byte(i), 6, 0x10, byte(a)})
	}
	return p
}

func BenchmarkProvidersAdd(b *testing.B) {
	for _, bc := range []struct {
		name  string
		peers uint64
	}{{"5000peers", 5000}, {"newpeers", 1 << 40}} {
		b.Run(bc.name, func(b *testing.B) {
			s := store.NewProviders(store.ProvidersConfig{Seed: 1, MaxRecords: 1 << 22, MaxPerProvider: 1 << 30})
			peers := make([]protocol.Peer, min(bc.peers, uint64(b.N)))
			for i := range peers {
				peers[i] = contact(uint64(i), 4)
			}
			keys := make([][]byte, b.N/2+1)
			for i := range keys {
				keys[i] = multihash(uint64(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := s.Add(epoch, keys[i/2], peers[i%len(peers)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkProvidersGet(b *testing.B) {
	for _, n := range []int{1, 20, 100, 100_000} {
		s := store.NewProviders(store.ProvidersConfig{Seed: 1, MaxPerKey: n, MaxRecords: 1<<20 + 200*n, MaxPerProvider: 1 << 30})
		for k := range uint64(1000) {
			if n > 100 && k > 0 {
				break
			}
			for p := range uint64(n) {
				if err := s.Add(epoch, multihash(k), contact(p, 4)); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprintf("hit/%dproviders", n), func(b *testing.B) { getProviders(b, s, multihash(0)) })
		b.Run(fmt.Sprintf("miss/%dproviders", n), func(b *testing.B) { getProviders(b, s, multihash(1<<40)) })
	}
}

func getProviders(b *testing.B, s *store.ProviderStore, key []byte) {
	dst := make([]protocol.Peer, 0, protocol.MaxAnswerProviders)
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = s.Append(epoch, key, dst[:0], protocol.MaxAnswerProviders); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProvidersGetParallel(b *testing.B) {
	s := store.NewProviders(store.ProvidersConfig{Seed: 1})
	var keys [][]byte
	for k := range uint64(100) {
		keys = append(keys, multihash(k))
		for p := range uint64(2) {
			if err := s.Add(epoch, keys[k], contact(p, 4)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		dst := make([]protocol.Peer, 0, protocol.MaxAnswerProviders)
		for i := 0; pb.Next(); i++ {
			dst, _ = s.Append(epoch, keys[i%len(keys)], dst[:0], protocol.MaxAnswerProviders)
		}
	})
}

// BenchmarkProvidersSweep forgets a million records at once; a step is what one
// call of Advance takes.
func BenchmarkProvidersSweep(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := fullProviders(b, 1_000_000)
		later := epoch.Add(72 * time.Hour)
		b.StartTimer()
		var longest time.Duration
		for s.Len() > 0 {
			start := time.Now()
			s.Advance(later)
			longest = max(longest, time.Since(start))
		}
		b.ReportMetric(float64(longest.Milliseconds()), "ms/longest-step")
	}
}

func fullProviders(tb testing.TB, n int) *store.ProviderStore {
	s := store.NewProviders(store.ProvidersConfig{Seed: 1, MaxRecords: 2 * n, MaxPerProvider: 1 << 30})
	peers := make([]protocol.Peer, 5000)
	for i := range peers {
		peers[i] = contact(uint64(i), 4)
	}
	for i := range n {
		if err := s.Add(epoch, multihash(uint64(i/2)), peers[i%len(peers)]); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func BenchmarkValues(b *testing.B) {
	const n = 100_000
	s := store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{MaxBytes: 1 << 30})
	recs := make([]protocol.Record, n)
	for i := range recs {
		recs[i] = protocol.Record{Key: append([]byte("/v/"), multihash(uint64(i))...), Value: make([]byte, 200)}
	}
	i := 0
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Put(epoch, recs[i%n]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	for _, rec := range recs {
		if err := s.Put(epoch, rec); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := s.Get(epoch, recs[i%n].Key); !found || err != nil {
				b.Fatal(found, err)
			}
			i++
		}
	})
	b.Run("absent", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := s.Get(epoch, []byte("/v/absent")); found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
}

func BenchmarkMutValidate(b *testing.B) {
	priv := key(b, 1)
	k, sealed, err := store.SealMut(priv, "name", 1, epoch.Add(time.Hour), make([]byte, 200))
	if err != nil {
		b.Fatal(err)
	}
	v := store.Mut{Now: func() time.Time { return epoch }}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(k, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
