package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

const (
	modelValidity = 2 * time.Hour
	modelAddrTTL  = time.Hour
)

// providersMachine compares random announcements, questions and passing time with
// maps.
type providersMachine struct {
	s   store.Providers
	now time.Time

	added     map[announcement]time.Time
	announced map[int]time.Time // when a provider last told its addresses
	removed   map[int]bool      // a record was removed since: addresses may be forgotten
}

type announcement struct{ key, who int }

func providersModel(tb testing.TB, t *rapid.T, open OpenProviders) {
	m := &providersMachine{
		s: open(tb, store.ProvidersConfig{
			Validity: modelValidity, AddrTTL: modelAddrTTL, MaxPerKey: 200, Seed: rapid.Uint64().Draw(t, "seed"),
		}),
		now:       epoch,
		added:     make(map[announcement]time.Time),
		announced: make(map[int]time.Time),
		removed:   make(map[int]bool),
	}
	defer m.s.Close() //nolint:errcheck // memory of a test
	t.Repeat(map[string]func(*rapid.T){
		"add":     m.add,
		"remove":  m.remove,
		"ask":     m.ask,
		"advance": func(*rapid.T) { m.s.Advance(m.now) },
		"time": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
		},
	})
}

func anyAnnouncement(t *rapid.T) announcement {
	return announcement{rapid.IntRange(0, 4).Draw(t, "key"), rapid.IntRange(0, 150).Draw(t, "who")}
}

func (m *providersMachine) add(t *rapid.T) {
	for range rapid.IntRange(1, 60).Draw(t, "n") {
		a := anyAnnouncement(t)
		p := provider(a.who, 0)
		if rapid.Bool().Draw(t, "addrs") {
			p.Addrs = stamp(m.now)
			m.announced[a.who], m.removed[a.who] = m.now, false
		}
		if err := m.s.Add(m.now, multihash(a.key), p); err != nil {
			t.Fatal(err)
		}
		m.added[a] = m.now
	}
}

func (m *providersMachine) remove(t *rapid.T) {
	a := anyAnnouncement(t)
	m.s.Remove(multihash(a.key), providerID(a.who))
	delete(m.added, a)
	m.removed[a.who] = true
}

// ask checks an answer: as many as there are, no more than asked for, valid, each
// once.
func (m *providersMachine) ask(t *rapid.T) {
	key, n := rapid.IntRange(0, 4).Draw(t, "key"), rapid.IntRange(0, 160).Draw(t, "max")
	valid := 0
	for a, at := range m.added {
		if a.key == key && m.now.Sub(at) <= modelValidity {
			valid++
		}
	}
	got, err := m.s.Append(m.now, multihash(key), nil, n)
	if err != nil || len(got) != min(valid, n) {
		t.Fatalf("%d of %d valid providers when asked for %d: %v", len(got), valid, n, err)
	}
	for i, p := range got {
		who := number()[string(p.ID)]
		if at, ok := m.added[announcement{key, who}]; !ok || m.now.Sub(at) > modelValidity {
			t.Fatalf("provider %d of key %d: %v, %t", who, key, at, ok)
		}
		if slices.ContainsFunc(got[:i], func(o protocol.Peer) bool { return bytes.Equal(o.ID, p.ID) }) {
			t.Fatalf("provider %d is named twice", who)
		}
		m.checkAddrs(t, who, p.Addrs)
	}
}

// checkAddrs expects the addresses last announced, unless they are too old.
func (m *providersMachine) checkAddrs(t *rapid.T, who int, addrs [][]byte) {
	at, ok := m.announced[who]
	fresh := ok && m.now.Sub(at) <= modelAddrTTL
	switch {
	case len(addrs) > 0 && !fresh:
		t.Fatalf("provider %d is told with addresses %x, announced %v", who, addrs, at)
	case len(addrs) > 0 && !bytes.Equal(addrs[0], stamp(at)[0]):
		t.Fatalf("provider %d is told with addresses %x, want those of %v", who, addrs, at)
	case len(addrs) == 0 && fresh && !m.removed[who]:
		t.Fatalf("provider %d is told without addresses, announced %v", who, at)
	}
}
