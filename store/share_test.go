package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// shares is a store in which peers put things, and which is over half of its
// budget from the 50th on.
type shares struct {
	put  func(now time.Time, peer string, i int) error
	drop func(now time.Time) // lets everything expire
}

func valueShares(cfg store.ValuesConfig) shares {
	cfg.MaxRecords, cfg.MaxAge = 100, 24*time.Hour
	s := store.NewValues(store.NewMemory(), anything{}, cfg)
	return shares{func(now time.Time, peer string, i int) error {
		rec := protocol.Record{Key: fmt.Appendf(nil, "/v/%s/%d", peer, i), Value: []byte("v")}
		if peer == "me" {
			return s.Put(now, rec)
		}
		return s.PutFrom(now, []byte(peer), rec)
	}, s.Advance}
}

func providerShares(cfg store.ProvidersConfig) shares {
	cfg.MaxRecords, cfg.Validity = 100, 24*time.Hour
	s := store.NewProviders(cfg)
	return shares{func(now time.Time, peer string, i int) error {
		return s.Add(now, fmt.Appendf(nil, "%s/%d", peer, i), protocol.Peer{ID: []byte(peer)})
	}, s.Advance}
}

// TestHourlyShares: while a store is over half of a budget, a peer gets so many new
// records an hour, whatever others do; what it has it keeps up.
func TestHourlyShares(t *testing.T) {
	for name, s := range map[string]shares{
		"values":    valueShares(store.ValuesConfig{MaxPerHour: 20}),
		"providers": providerShares(store.ProvidersConfig{MaxPerHour: 20}),
	} {
		put := func(now time.Time, peer string, i int, taken bool) {
			t.Helper()
			if err := s.put(now, peer, i); (err == nil) != taken || err != nil && !errors.Is(err, store.ErrFull) {
				t.Errorf("%s: number %d of %s: %v, want it taken: %v", name, i, peer, err, taken)
			}
		}
		now := epoch
		for i := range 50 { // as long as there is room for everybody, nobody is held to a share
			put(now, "greedy", i, true)
		}
		put(now, "greedy", 50, false) // it has had it
		put(now, "greedy", 3, true)   // that it holds
		for i := range 10 {
			put(now, "modest", i, true)
		}
		put(now, "modest", 10, false)
		put(now.Add(6*time.Minute), "modest", 11, true) // a tenth of an hour
		put(now.Add(6*time.Minute), "modest", 12, false)
		put(now.Add(6*time.Minute), "greedy", 51, true)
		now = now.Add(2 * time.Hour)
		for i := range 10 { // half of what an hour allows
			put(now, "modest", 20+i, true)
		}
		put(now, "modest", 30, false)
		now = now.Add(25 * time.Hour)
		s.drop(now)
		for i := range 50 {
			put(now, "greedy", 100+i, true)
		}
	}
}

// TestOwnValuesHaveNoShare: what this peer itself stores counts for nobody.
func TestOwnValuesHaveNoShare(t *testing.T) {
	s := valueShares(store.ValuesConfig{MaxPerHour: 1, MaxBytesPerPeer: 1})
	for i := range 100 {
		if err := s.put(epoch, "me", i); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
	}
}

// TestByteShares: while a store is over half of a budget, the new values of a peer
// take no more than its share in the time that they are kept.
func TestByteShares(t *testing.T) {
	s := store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{MaxRecords: 100, MaxBytesPerPeer: 80_000, MaxAge: time.Hour})
	put := func(now time.Time, peer, key string, size int, taken bool) {
		t.Helper()
		err := s.PutFrom(now, []byte(peer), protocol.Record{Key: []byte("/v/" + key), Value: make([]byte, size)})
		if (err == nil) != taken || err != nil && !errors.Is(err, store.ErrFull) {
			t.Errorf("%s by %s: %v, want it taken: %v", key, peer, err, taken)
		}
	}
	for i := range 60 {
		put(epoch, fmt.Sprint(i), fmt.Sprint(i), 10, true)
	}
	for i := range 3 {
		put(epoch, "greedy", fmt.Sprint("big", i), 10_000, true)
	}
	before := s.Bytes()
	put(epoch, "greedy", "big3", 20_000, false)
	put(epoch, "greedy", "big1", 25_000, false) // grows by too much
	if s.Bytes() != before {
		t.Errorf("what was refused is charged: %d bytes, %d before", s.Bytes(), before)
	}
	put(epoch, "greedy", "big1", 10_000, true) // kept up
	put(epoch, "greedy", "big2", 15_000, true) // grows by what is left
	put(epoch, "modest", "big4", 20_000, true)
	half := epoch.Add(30 * time.Minute)
	for i := range 60 {
		put(half, fmt.Sprint(i), fmt.Sprint(i), 10, true) // the pressure stays
	}
	put(half, "greedy", "big5", 15_000, true)
	put(half, "greedy", "big6", 15_000, false)
}

// TestManySenders: so many peers that not all can be told apart cost bounded memory
// and are served.
func TestManySenders(t *testing.T) {
	const n = 20_000
	s := store.NewValues(store.NewMemory(), anything{}, store.ValuesConfig{MaxRecords: 2})
	used := heap(func() any {
		for i := range uint64(n) {
			rec := protocol.Record{Key: []byte("/v/same"), Value: make([]byte, i%100)}
			if err := s.PutFrom(epoch, multihash(i), rec); err != nil {
				t.Fatal(err)
			}
		}
		return s
	})
	if used > 1<<20 {
		t.Errorf("%d bytes for what %d senders have had", used, n)
	}
}

// TestHourlyNeverGivesMore: whoever asks all the time gets in no hour more than it
// may, and after the first one half of that, to the last one.
func TestHourlyNeverGivesMore(t *testing.T) {
	const perHour = 700 // which does not divide an hour
	s := store.NewProviders(store.ProvidersConfig{MaxRecords: 20, MaxPerHour: perHour, MaxPerProvider: 1 << 20})
	for i := range 10 { // half of the budget
		if err := s.Add(epoch, fmt.Appendf(nil, "other %d", i), protocol.Peer{ID: fmt.Appendf(nil, "p%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	given, i := 0, 0
	var inSecond [3 * 3600]int
	for second := range 3 * 3600 {
		now := epoch.Add(time.Duration(second) * time.Second)
		for range 800 {
			key := fmt.Appendf(nil, "greedy %d", i)
			if s.Add(now, key, protocol.Peer{ID: []byte("greedy")}) != nil {
				break
			}
			i++
			given++
			inSecond[second]++
			s.Remove(fmt.Appendf(nil, "greedy %d", i-3), []byte("greedy")) // it keeps a few, or it would be forgotten
		}
	}
	if want := perHour/2 + 3*perHour/2; given > want || given < want-1 {
		t.Errorf("%d in three hours, want %d", given, want)
	}
	inHour := 0
	for second, n := range inSecond {
		if inHour += n; second >= 3600 {
			inHour -= inSecond[second-3600]
		}
		if inHour > perHour {
			t.Fatalf("%d in the hour before second %d", inHour, second)
		}
	}
}
