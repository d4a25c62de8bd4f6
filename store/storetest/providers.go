package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// OpenProviders makes an empty Providers for one test, which closes it.
type OpenProviders func(tb testing.TB, cfg store.ProvidersConfig) store.Providers

// Providers runs the suite for Providers implementations.
func Providers(t *testing.T, open OpenProviders) {
	for name, test := range map[string]func(*testing.T, OpenProviders){
		"ListsWhatWasAnnounced": providersList,
		"OwnCopies":             providersCopies,
		"AddressesLast24Hours":  providersAddrs,
		"RecordsLast48Hours":    providersValidity,
		"ForgetsByAge":          providersForget,
		"OlderAndNewer":         providersOlderAndNewer,
		"RefusesByReason":       providersRefusals,
		"SamplesEvenly":         providersSample,
		"FullKeyKeepsStanding":  providersFullKey,
		"FullKeyMixesSubnets":   providersFullKeySubnets,
		"SamplesAllOfMany":      providersSampleMany,
		"ManyOfOneKey":          providersMany,
		"KeepsTheNearest":       providersKeepNearest,
		"TooOldGoesFirst":       providersExpiredFirst,
		"SharesUnderPressure":   providersShare,
		"ClockSetBackOrForward": providersClock,
		"ManyAtOnce":            providersManyAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
	t.Run("Model", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) { providersModel(t, rt, open) })
	})
}

// everyone is more providers than a test has.
const everyone = 1 << 20

// providerID returns the i-th of a sequence of ids as Ed25519 peers have them.
func providerID(i int) []byte {
	sum := place(i)
	return append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, sum[:]...)
}

// provider returns the i-th provider with one TCP address of this port, none if 0.
func provider(i, port int) protocol.Peer {
	p := protocol.Peer{ID: providerID(i)}
	if port != 0 {
		p.Addrs = [][]byte{{4, 127, 0, 0, 1, 6, byte(port >> 8), byte(port)}}
	}
	return p
}

func providersList(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	for i := range 30 {
		add(t, s, epoch, 1, provider(i, 4001))
		add(t, s, epoch, 1, provider(i, 4002)) // again, from elsewhere
		add(t, s, epoch, 2+i, provider(i, 0))  // keeps the address known
	}
	if s.Len() != 60 {
		t.Errorf("%d records, want 60", s.Len())
	}
	dst := []protocol.Peer{{ID: []byte("before")}}
	dst, err := s.Append(epoch, multihash(1), dst, everyone)
	if err != nil || len(dst) != 31 || string(dst[0].ID) != "before" {
		t.Fatalf("%d entries, %v", len(dst), err)
	}
	for i := range 30 {
		at := slices.IndexFunc(dst, func(p protocol.Peer) bool { return bytes.Equal(p.ID, providerID(i)) })
		if at < 0 || len(dst[at].Addrs) != 1 || !bytes.Equal(dst[at].Addrs[0], provider(i, 4002).Addrs[0]) {
			t.Errorf("provider %d at %d of %v", i, at, dst)
		}
	}
	for _, n := range []int{-1, 0, 1, 29, 30, 31} {
		if got := providersOf(t, s, epoch, 1, n); len(got) != min(max(n, 0), 30) {
			t.Errorf("asked for %d: %d", n, len(got))
		}
	}
	s.Remove(multihash(1), providerID(7))
	s.Remove(multihash(1), providerID(7))
	s.Remove(multihash(99), providerID(7))
	s.Remove(multihash(1), []byte("nobody"))
	if got := providersOf(t, s, epoch, 1, everyone); len(got) != 29 || slices.Contains(got, 7) {
		t.Errorf("after Remove(7): %v", got)
	}
}

func providersCopies(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	key, p := multihash(1), provider(1, 4001)
	if err := s.Add(epoch, key, p); err != nil {
		t.Fatal(err)
	}
	clear(key)
	clear(p.ID)
	clear(p.Addrs[0])
	clear(p.Addrs)
	got, err := s.Append(epoch, multihash(1), nil, 1)
	if err != nil || len(got) != 1 || !bytes.Equal(got[0].ID, providerID(1)) ||
		len(got[0].Addrs) != 1 || !bytes.Equal(got[0].Addrs[0], provider(1, 4001).Addrs[0]) {
		t.Errorf("after the caller reused its buffers: %v, %v", got, err)
	}
}

func providersAddrs(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	add(t, s, epoch, 1, provider(1, 4001))
	for _, c := range []struct {
		after time.Duration
		addrs int
	}{{24 * time.Hour, 1}, {24*time.Hour + 2*time.Second, 0}, {48 * time.Hour, 0}} {
		for _, sweep := range []bool{false, true} {
			now := epoch.Add(c.after)
			if sweep {
				s.Advance(now)
			}
			got, err := s.Append(now, multihash(1), nil, 1)
			if err != nil || len(got) != 1 || len(got[0].Addrs) != c.addrs || !bytes.Equal(got[0].ID, providerID(1)) {
				t.Errorf("after %v, swept %t: %v, %v; want %d addresses", c.after, sweep, got, err, c.addrs)
			}
		}
	}
	now := epoch.Add(48 * time.Hour)
	add(t, s, now, 2, provider(1, 4002))
	if got, _ := s.Append(now, multihash(1), nil, 1); len(got) != 1 || len(got[0].Addrs) != 1 {
		t.Errorf("a new announcement does not bring the addresses back: %v", got)
	}
	many := protocol.Peer{ID: providerID(2)}
	for i := range 100 {
		many.Addrs = append(many.Addrs, []byte{4, 10, 0, 0, byte(i), 6, 1, 1})
	}
	add(t, s, now, 3, many)
	if got, _ := s.Append(now, multihash(3), nil, 1); len(got) != 1 || len(got[0].Addrs) != protocol.MaxAddrs {
		t.Errorf("%d of 100 addresses kept, want %d", len(got[0].Addrs), protocol.MaxAddrs)
	}
}

func providersValidity(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	for i := range 10 {
		add(t, s, epoch, 1, provider(i, 4001))
	}
	later := epoch.Add(22 * time.Hour)
	add(t, s, later, 1, provider(3, 4001))
	for _, c := range []struct {
		now  time.Time
		want int
	}{
		{epoch.Add(48 * time.Hour), 10},
		{epoch.Add(48*time.Hour + 2*time.Second), 1},
		{later.Add(48 * time.Hour), 1},
		{later.Add(48*time.Hour + 2*time.Second), 0},
	} {
		if got := providersOf(t, s, c.now, 1, everyone); len(got) != c.want {
			t.Errorf("after %v: %v, want %d", c.now.Sub(epoch), got, c.want)
		}
	}
	if s.Len() != 0 {
		t.Errorf("%d records held after the last was read as too old", s.Len())
	}
}

func providersForget(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	if !s.NextDeadline().IsZero() {
		t.Error("an empty store waits for something")
	}
	add(t, s, epoch, 0, provider(0, 4001))
	if next := s.NextDeadline(); next.IsZero() || next.After(epoch.Add(49*time.Hour)) {
		t.Errorf("with one record it waits for %v", next)
	}
	now := epoch
	for i := range 300 {
		now = epoch.Add(time.Duration(i) * 10 * time.Minute) // over two days
		add(t, s, now, i%7, provider(i, 4001))
	}
	last := now
	for steps := 0; s.Len() > 0; steps++ {
		s.Advance(last)
		next := s.NextDeadline()
		if next.IsZero() {
			break
		}
		if steps > 1000 {
			t.Fatalf("step %d: deadline %v after %v with %d records held", steps, next, last, s.Len())
		}
		if next.After(last) {
			last = next
		}
	}
	if late := last.Sub(now.Add(48 * time.Hour)); s.Len() != 0 || late < 0 || late > time.Hour {
		t.Errorf("%d records left; the last was forgotten %v after it became too old", s.Len(), late)
	}
	s.Advance(last.Add(48 * time.Hour))
	if !s.NextDeadline().IsZero() {
		t.Errorf("an emptied store waits for %v", s.NextDeadline())
	}
}

// providersOlderAndNewer gives one key an older and a newer provider: each goes in
// its time.
func providersOlderAndNewer(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	add(t, s, epoch, 1, provider(1, 0))
	add(t, s, epoch.Add(24*time.Hour), 1, provider(2, 0))
	for i, hours := range []time.Duration{49, 73} {
		s.Advance(epoch.Add(hours * time.Hour))
		if want := 1 - i; s.Len() != want {
			t.Errorf("%d records left after %d hours, want %d", s.Len(), hours, want)
		}
	}
}

func providersRefusals(t *testing.T, open OpenProviders) {
	s := open(t, store.ProvidersConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	if err := s.Add(epoch, bytes.Repeat([]byte{1}, 80), provider(1, 1)); err != nil {
		t.Errorf("a key of 80 bytes: %v", err)
	}
	for name, c := range map[string]struct {
		key  []byte
		p    protocol.Peer
		want error
	}{
		"no key":   {nil, provider(1, 1), store.ErrInvalid},
		"long key": {make([]byte, 81), provider(1, 1), store.ErrTooLarge},
		"no id":    {multihash(1), protocol.Peer{}, store.ErrInvalid},
		"long id":  {multihash(1), protocol.Peer{ID: make([]byte, 4096)}, store.ErrTooLarge},
	} {
		if err := s.Add(epoch, c.key, c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(epoch, multihash(1), nil, 1)
	if !errors.Is(err, store.ErrClosed) || !errors.Is(s.Add(epoch, multihash(1), provider(1, 1)), store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if s.Len() != 0 || !s.NextDeadline().IsZero() {
		t.Errorf("after Close: %d records, deadline %v", s.Len(), s.NextDeadline())
	}
}

// add announces p for key i, which must succeed.
func add(t *testing.T, s store.Providers, now time.Time, i int, p protocol.Peer) {
	t.Helper()
	if err := s.Add(now, multihash(i), p); err != nil {
		t.Fatal(err)
	}
}

// number maps the ids of the providers of the tests back to their numbers.
var number = sync.OnceValue(func() map[string]int {
	m := make(map[string]int)
	for i := range 20_000 {
		m[string(providerID(i))] = i
	}
	return m
})

// providersOf returns the numbers of up to n providers of key i as they are told.
func providersOf(t testing.TB, s store.Providers, now time.Time, i, n int) (got []int) {
	t.Helper()
	peers, err := s.Append(now, multihash(i), nil, n)
	if err != nil {
		t.Error(err)
	}
	for _, p := range peers {
		at, known := number()[string(p.ID)]
		if !known || slices.Contains(got, at) {
			t.Errorf("provider %x is unknown or named twice", p.ID)
		}
		got = append(got, at)
	}
	return got
}

// stamp is used as an address that tells when it was announced.
func stamp(now time.Time) [][]byte {
	return [][]byte{binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))}
}
