package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// providersSample draws 5 of 40 many times: each provider comes equally often,
// and equally often at every position.
func providersSample(t *testing.T, open OpenProviders) {
	const n, sample, draws = 40, 5, 20_000
	s := open(t, store.ProvidersConfig{Seed: 1})
	defer s.Close() //nolint:errcheck // memory of a test
	for i := range n {
		add(t, s, epoch, 1, provider(i, 0))
	}
	var seen [sample][n]int
	for range draws {
		for at, i := range providersOf(t, s, epoch, 1, sample) {
			seen[at][i]++
		}
	}
	// Each cell is binomial with p = 1/40: mean 500, deviation 22.
	const mean, six = draws / n, 133
	for at := range seen {
		for i, got := range seen[at] {
			if got < mean-six || got > mean+six {
				t.Errorf("seed 1: provider %d came %d times at position %d, want %d±%d", i, got, at, mean, six)
			}
		}
	}
}

// providersSampleMany draws 32 of 2,000 many times: every provider comes, none
// much more often than others, and each answer names 32 different ones.
func providersSampleMany(t *testing.T, open OpenProviders) {
	const n, sample, draws = 2000, 32, 40_000
	s := open(t, store.ProvidersConfig{Seed: 1, MaxPerKey: n})
	defer s.Close() //nolint:errcheck // memory of a test
	for i := range n {
		add(t, s, epoch, 1, provider(i, 0))
	}
	var seen [n]int
	var dst []protocol.Peer
	for range draws {
		var err error
		if dst, err = s.Append(epoch, multihash(1), dst[:0], sample); err != nil || len(dst) != sample {
			t.Fatalf("%d of %d: %v", len(dst), sample, err)
		}
		different := make(map[*byte]bool, sample)
		for _, p := range dst {
			different[&p.ID[0]] = true
			seen[number()[string(p.ID)]]++
		}
		if len(different) != sample {
			t.Fatalf("%d different ones of %d", len(different), sample)
		}
	}
	// On average 640. If answers share what they draw from, each comes in turns.
	for i, got := range seen {
		if got == 0 || got > 3*draws*sample/n {
			t.Errorf("seed 1: provider %d came %d times", i, got)
		}
	}
}

// providersFullKey floods a key that has its cap of honest providers (reliability.md
// P8): most of them stay, and a newcomer can still get in.
func providersFullKey(t *testing.T, open OpenProviders) {
	const limit = 100
	s := open(t, store.ProvidersConfig{Seed: 1, MaxPerKey: limit})
	defer s.Close() //nolint:errcheck // memory of a test
	for i := range limit {
		add(t, s, epoch, 1, provider(i, 4001))
	}
	now := epoch.Add(time.Hour)
	for i := range 400 {
		add(t, s, now.Add(time.Duration(i)*time.Second), 1, provider(1000+i, 4001))
	}
	now = now.Add(time.Hour)
	if got := providersOf(t, s, now, 1, everyone); len(got) != limit || standing(got) < 2*limit/3 {
		t.Errorf("seed 1: %d providers, %d of the first %d, after 400 newcomers", len(got), standing(got), limit)
	}
	add(t, s, now, 1, provider(5000, 4001))
	if got := providersOf(t, s, now, 1, everyone); !slices.Contains(got, 5000) || len(got) != limit {
		t.Error("the newest provider is not listed")
	}
}

// providersFullKeySubnets lets peers of one /16 fill a key before the honest come, and
// again after: they take each other's places (reliability.md P8).
func providersFullKeySubnets(t *testing.T, open OpenProviders) {
	const limit, honest, sybils = 100, 40, 400
	for name, first := range map[string]bool{"early Sybils": true, "late Sybils": false} {
		s := open(t, store.ProvidersConfig{Seed: 1, MaxPerKey: limit})
		now := epoch
		flood := func() {
			for range sybils {
				now = now.Add(5 * time.Second)
				p := provider(1000+int(now.Sub(epoch)/time.Second), 4001)
				p.Addrs[0][1], p.Addrs[0][2] = 6, 66
				add(t, s, now, 1, p)
			}
		}
		if first {
			flood()
		}
		for i := range honest {
			now = now.Add(5 * time.Second)
			p := provider(i, 4001)
			p.Addrs[0][1], p.Addrs[0][2] = 10, byte(i)
			add(t, s, now, 1, p)
		}
		flood()
		got := providersOf(t, s, now, 1, everyone)
		if len(got) != limit || standing(got) < honest*9/10 {
			t.Errorf("%s, seed 1: %d of %d providers are honest, of %d", name, standing(got), len(got), honest)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// providersMany gives a key more providers than it asks for, and takes half of
// them away again.
func providersMany(t *testing.T, open OpenProviders) {
	const n = 300
	s := open(t, store.ProvidersConfig{MaxPerKey: n})
	defer s.Close() //nolint:errcheck // memory of a test
	for range 2 {
		for i := range n {
			add(t, s, epoch, 1, provider(i, 0))
		}
		if s.Len() != n {
			t.Fatalf("%d records, want %d", s.Len(), n)
		}
	}
	for i := 0; i < n; i += 2 {
		s.Remove(multihash(1), providerID(i*7%n)) // n and 7 share no factor
	}
	for i := 1; i < n; i += 2 {
		add(t, s, epoch, 1, provider(i, 0))
	}
	got := providersOf(t, s, epoch, 1, everyone)
	if s.Len() != n/2 || len(got) != n/2 || slices.ContainsFunc(got, func(i int) bool { return i%2 == 0 }) {
		t.Errorf("%d records, %v; want the odd ones of %d", s.Len(), got, n)
	}
}

func standing(got []int) (n int) {
	for _, i := range got {
		if i < 1000 {
			n++
		}
	}
	return n
}

// providersKeepNearest announces a thousand keys to a store of ten: the ten
// nearest stay, with their providers.
func providersKeepNearest(t *testing.T, open OpenProviders) {
	for _, cfg := range []store.ProvidersConfig{{MaxKeys: 10}, {MaxRecords: 20}} {
		cfg.Self = place(77)
		s := open(t, cfg)
		for i := range 1000 {
			for p := range 2 {
				if err := s.Add(epoch, multihash(i), provider(p, 4001)); err != nil && !errors.Is(err, store.ErrFull) {
					t.Fatal(err)
				}
			}
		}
		for rank, i := range byDistance(cfg.Self, 1000, multihash) {
			got := providersOf(t, s, epoch, i, everyone)
			if rank < 9 && len(got) != 2 || rank > 10 && len(got) != 0 {
				t.Errorf("%+v: the key of rank %d has %d providers", cfg, rank, len(got))
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// providersExpiredFirst fills a store with a near key that is too old and a far one
// that is not: the near one gives way.
func providersExpiredFirst(t *testing.T, open OpenProviders) {
	keys := byDistance(place(77), 3, multihash)
	s := open(t, store.ProvidersConfig{Self: place(77), MaxKeys: 2})
	defer s.Close() //nolint:errcheck // memory of a test
	add(t, s, epoch, keys[0], provider(1, 0))
	now := epoch.Add(72 * time.Hour)
	add(t, s, now, keys[2], provider(1, 0))
	add(t, s, now, keys[1], provider(1, 0))
	for rank, want := range []int{0, 1, 1} {
		if got := providersOf(t, s, now, keys[rank], everyone); len(got) != want {
			t.Errorf("the key of rank %d has %d providers, want %d", rank, len(got), want)
		}
	}
}

// providersShare lets one peer fill a store: beyond half of it, it gets no more
// than its share, others and this peer itself do.
func providersShare(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{Self: keyspace.KeyOf(providerID(2)), MaxRecords: 100, MaxPerProvider: 30})
	defer s.Close() //nolint:errcheck // memory of a test
	var refused error
	for i := range 100 {
		if err := s.Add(epoch, multihash(i), provider(0, 4001)); err != nil {
			refused = err
		}
	}
	if s.Len() != 50 || !errors.Is(refused, store.ErrFull) {
		t.Errorf("the greedy peer has %d records, then %v; want 50 of 100, then ErrFull", s.Len(), refused)
	}
	add(t, s, epoch, 0, provider(0, 4001)) // a refresh needs no room
	for i := range 40 {
		add(t, s, epoch, i, provider(2, 4001))
	}
	add(t, s, epoch, 0, provider(3, 4001))
	if s.Len() != 91 {
		t.Errorf("%d records, want 91", s.Len())
	}
}

// providersClock sets the clock back and forth and lets real time go on in steps
// (reliability.md P22).
func providersClock(t *testing.T, open OpenProviders) {
	const step, ttl = 10 * time.Minute, 48 * time.Hour
	for _, jump := range []time.Duration{
		time.Second, -time.Second, time.Minute, -time.Minute, 59 * time.Minute, -59 * time.Minute,
		-2 * time.Hour, 48 * time.Hour, -48 * time.Hour, 30 * 24 * time.Hour, -30 * 24 * time.Hour,
	} {
		s := open(t, store.ProvidersConfig{})
		add(t, s, epoch, 1, provider(1, 4001))
		var lived time.Duration
		for ; s.Len() > 0 && lived < 2*ttl; lived += step {
			now := epoch.Add(lived)
			if lived >= time.Hour {
				now = now.Add(jump)
			}
			s.Advance(now)
		}
		if lived > ttl+time.Hour {
			t.Errorf("a jump of %v: a record lived %v", jump, lived)
		}
		if jump < time.Hour && lived < ttl-time.Hour {
			t.Errorf("a jump of %v: a record was forgotten after %v", jump, lived)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func providersManyAtOnce(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{Seed: 1, MaxPerKey: 20, MaxRecords: 150, MaxAddrBytes: 1000})
	defer s.Close() //nolint:errcheck // memory of a test
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				now := epoch.Add(time.Duration(i) * 10 * time.Minute)
				err := s.Add(now, multihash((i+w)%13), provider(i%100, 4001+w))
				if err != nil && !errors.Is(err, store.ErrFull) {
					t.Error(err)
				}
				providersOf(t, s, now, i%13, 10)
				if i%10 == w {
					s.Advance(now)
					s.Remove(multihash(i%13), providerID(i%100))
				}
			}
		})
	}
	wg.Wait()
	s.Advance(epoch.Add(1000 * time.Hour))
	if s.Len() != 0 {
		t.Errorf("%d records left", s.Len())
	}
}
