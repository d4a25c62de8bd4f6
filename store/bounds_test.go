package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// nearAndFar returns the numbers of 40 keys of which half lie in self's half of
// the keyspace, and a radius between the two halves.
func nearAndFar(self keyspace.Key, keyOf func(i int) []byte) (near, far []int, between keyspace.Distance) {
	for i := 0; len(near) < 40 || len(far) < 40; i++ {
		k := keyspace.KeyOf(keyOf(i))
		if keyspace.CommonPrefixLen(&self, &k) > 0 {
			near = append(near, i)
		} else {
			far = append(far, i)
		}
	}
	between[0] = 0x80
	return near[:40], far[:40], between
}

// TestValuesRadius: over half of a budget, new keys beyond the radius are refused,
// known ones are still updated.
func TestValuesRadius(t *testing.T) {
	self := keyspace.KeyOf([]byte("self"))
	keyOf := func(i int) []byte { return fmt.Appendf(nil, "/v/%d", i) }
	near, far, between := nearAndFar(self, keyOf)
	s := store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{Self: self, MaxRecords: 40})
	put := func(i int) error { return s.Put(epoch, protocol.Record{Key: keyOf(i), Value: []byte("v")}) }
	s.SetRadius(between)
	for n, i := range far {
		if err := put(i); errors.Is(err, store.ErrFull) != (n >= 20) {
			t.Fatalf("far record %d: %v", n, err)
		}
	}
	for n, i := range near[:20] {
		if err := put(i); err != nil {
			t.Fatalf("near record %d: %v", n, err)
		}
	}
	if err := put(far[0]); err != nil {
		t.Errorf("a far record held is not refreshed: %v", err)
	}
	s.SetRadius(keyspace.Distance{31: 1}) // as near as can be, not unknown
	if err := put(near[30]); !errors.Is(err, store.ErrFull) {
		t.Errorf("beyond a tiny radius: %v", err)
	}
	s.SetRadius(keyspace.Distance{})
	if err := put(near[30]); err != nil {
		t.Errorf("a near record with the radius unknown: %v", err)
	}
	if s.Len() != 40 {
		t.Errorf("%d records", s.Len())
	}
}

// TestProvidersRadius is the same for provider records.
func TestProvidersRadius(t *testing.T) {
	self := keyspace.KeyOf([]byte("self"))
	keyOf := func(i int) []byte { return multihash(uint64(i)) }
	near, far, between := nearAndFar(self, keyOf)
	s := store.NewProviders(store.ProvidersConfig{Self: self, MaxKeys: 40})
	s.SetRadius(between)
	for n, i := range far {
		if err := s.Add(epoch, keyOf(i), contact(1, 1)); errors.Is(err, store.ErrFull) != (n >= 20) {
			t.Fatalf("far key %d: %v", n, err)
		}
	}
	for n, i := range near[:20] {
		if err := s.Add(epoch, keyOf(i), contact(1, 1)); err != nil {
			t.Fatalf("near key %d: %v", n, err)
		}
	}
	if err := s.Add(epoch, keyOf(far[0]), contact(2, 1)); err != nil {
		t.Errorf("a far key held takes no other provider: %v", err)
	}
	if s.Keys() != 40 || s.Len() != 41 {
		t.Errorf("%d records of %d keys", s.Len(), s.Keys())
	}
}

// TestAdvanceIsBounded: when everything is due at once, one call of Advance does
// a part of it and says that there is more.
func TestAdvanceIsBounded(t *testing.T) {
	const n = 30_000
	values := store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{})
	providers := store.NewProviders(store.ProvidersConfig{})
	for i := range uint64(n) {
		if err := values.Put(epoch, protocol.Record{Key: multihash(i)}); err != nil {
			t.Fatal(err)
		}
		if err := providers.Add(epoch, multihash(i), contact(i%100, 0)); err != nil {
			t.Fatal(err)
		}
	}
	now := epoch.Add(72 * time.Hour)
	for name, s := range map[string]interface {
		Len() int
		Advance(time.Time)
		NextDeadline() time.Time
	}{"values": values, "providers": providers} {
		for held := n; held > 0; held = s.Len() {
			if next := s.NextDeadline(); next.IsZero() || next.After(now) {
				t.Fatalf("%s: %d records are due, but it waits for %v", name, held, next)
			}
			s.Advance(now)
			if gone := held - s.Len(); gone == 0 || gone > 11_000 {
				t.Fatalf("%s: one call forgot %d of %d", name, gone, held)
			}
		}
		if !s.NextDeadline().IsZero() {
			t.Errorf("%s: waits for %v", name, s.NextDeadline())
		}
	}
}
