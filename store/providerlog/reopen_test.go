package providerlog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// listening returns the i-th of a sequence of peers, with n addresses.
func listening(i, n int) protocol.Peer {
	p := protocol.Peer{ID: provider(i).ID}
	for a := range n {
		p.Addrs = append(p.Addrs, []byte{4, 10, byte(i >> 16), byte(i >> 8), byte(i), 6, 0x10, byte(a)})
	}
	return p
}

func closed(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// told returns what is told of a key's providers, sorted, with their addresses.
func told(tb testing.TB, s store.Providers, now time.Time, key int) (all []string) {
	tb.Helper()
	peers, err := s.Append(now, multihash(key), nil, 1000)
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range peers {
		all = append(all, fmt.Sprintf("%x %x", p.ID, p.Addrs))
	}
	slices.Sort(all)
	return all
}

// TestReopens does random things to a store that is closed and opened again now
// and then, and to one in memory that is not: they tell the same.
func TestReopens(t *testing.T) {
	const keys = 5
	rapid.Check(t, func(rt *rapid.T) {
		cfg := store.ProvidersConfig{Validity: 2 * time.Hour, AddrTTL: 2 * time.Hour}
		d := newMemDisk()
		s, want := opened(t, d, Config{Providers: cfg}), store.NewProviders(cfg)
		now := epoch
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) {
				for key := range keys {
					if got, want := told(t, s, now, key), told(t, want, now, key); !slices.Equal(got, want) {
						rt.Fatalf("key %d at %v: %v, want %v", key, now.Sub(epoch), got, want)
					}
				}
			},
			"add": func(rt *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(rt, "n") {
					key, p := rapid.IntRange(0, keys-1).Draw(rt, "key"), listening(rapid.IntRange(0, 20).Draw(rt, "who"), rapid.IntRange(0, 2).Draw(rt, "addrs"))
					if err := s.Add(now, multihash(key), p); err != nil {
						rt.Fatal(err)
					}
					if err := want.Add(now, multihash(key), p); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"remove": func(rt *rapid.T) {
				key, who := multihash(rapid.IntRange(0, keys-1).Draw(rt, "key")), provider(rapid.IntRange(0, 20).Draw(rt, "who")).ID
				s.Remove(key, who)
				want.Remove(key, who)
			},
			"advance": func(*rapid.T) {
				s.Advance(now)
				want.Advance(now)
			},
			"reopen": func(*rapid.T) {
				closed(t, s)
				s = opened(t, d, Config{Providers: cfg})
				if st := s.Stats(); st.Loaded.Damaged+st.Loaded.Lost+st.Loaded.Torn != 0 {
					rt.Fatalf("opened as damaged: %+v", st.Loaded)
				}
			},
			"time": func(rt *rapid.T) {
				// The log is as fine as the clock only for announcements this far apart.
				now = now.Add(time.Duration(rapid.IntRange(30, 2000).Draw(rt, "seconds")) * time.Second)
			},
		})
		closed(t, s)
	})
}
