package store_test

import (
	"testing"
	"time"

	"github.com/kdht/kdht/store"
)

// Of a full key those who were there first stay, also where all have come within a
// minute: a crowd that arrives two seconds later takes each other's places.
func TestSeniorsStay(t *testing.T) {
	for _, later := range []time.Duration{2 * time.Second, time.Hour} {
		s := store.NewProviders(store.ProvidersConfig{MaxPerKey: 100, Seed: 7})
		began := time.Date(2026, 11, 23, 6, 0, 1, 0, time.UTC)
		key := []byte("twenty were here before four hundred others")
		for i := range 420 {
			now := began
			if i >= 20 {
				now = began.Add(later)
			}
			if err := s.Add(now, key, contact(uint64(i), 1)); err != nil {
				t.Fatal(err)
			}
		}
		held := make(map[string]bool)
		for range 200 {
			got, err := s.Append(began.Add(later), key, nil, 32)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				held[string(got[i].ID)] = true
			}
		}
		first := 0
		for i := range 20 {
			if held[string(contact(uint64(i), 1).ID)] {
				first++
			}
		}
		if len(held) != 100 || first < 18 {
			t.Errorf("%v later: of 20 who were first %d are left, of %d in all", later, first, len(held))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
