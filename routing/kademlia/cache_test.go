package kademlia

import (
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"pgregory.net/rapid"
)

func TestCacheExpiresAndIsBounded(t *testing.T) {
	c := newCache(&Timing{Cache: time.Minute})
	closest := []*Contact{testContact(1)}
	key := keyspace.KeyOf([]byte("k"))
	c.put(epoch, &key, closest, 0, len(closest))
	if got := c.begin(epoch.Add(59*time.Second), &key); len(got) != 1 {
		t.Error("not remembered for its minute")
	}
	if got := c.begin(epoch.Add(time.Minute), &key); got != nil || len(c.byKey) != 0 {
		t.Error("remembered beyond its minute")
	}
	if c.stats.Begun != 1 || c.stats.Misses != 1 {
		t.Errorf("%+v, want one of each", c.stats)
	}
	oldest := keyspace.KeyOf([]byte("0"))
	for i := range cacheSize {
		k := keyspace.KeyOf(fmt.Append(nil, i))
		c.put(epoch, &k, closest, 0, len(closest))
	}
	c.begin(epoch, &oldest) // used again: the next to go is another
	c.put(epoch, &key, closest, 0, len(closest))
	if len(c.byKey) != cacheSize || c.recent.Len() != cacheSize {
		t.Fatalf("%d keys remembered, bound is %d", len(c.byKey), cacheSize)
	}
	if c.begin(epoch, &oldest) == nil {
		t.Error("the one used last was forgotten first")
	}
}

// known is what the model of a cache knows of one key.
type known struct {
	ended, missing, stored time.Time
	closest                []*Contact
	changed                bool
}

// The cache under random inputs against a model: an answer is never older than Fresh, and
// none if a peer of it has failed since or a nearer one has come; a record is not missing
// for longer than Missing, nor if we have stored one since it was looked for.
func TestCacheAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timing := &Timing{Cache: 20 * time.Second, Fresh: 6 * time.Second, Missing: 3 * time.Second}
		c := newCache(timing)
		model := map[string]*known{"a": {}, "b": {}, "c": {}}
		now := epoch
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			key, m := keyspace.KeyOf([]byte(name)), model[name]
			peer := testContact(rapid.Uint64Range(0, 15).Draw(t, "peer"))
			switch rapid.IntRange(0, 5).Draw(t, "do") {
			case 0:
				*m = known{ended: now, missing: m.missing, stored: m.stored, closest: walkedLookup(key, []*Contact{peer, testContact(16)}).appendAnswered(nil, 2)}
				c.put(now, &key, m.closest, 0, 2)
			case 1:
				begun := now.Add(-time.Duration(rapid.IntRange(0, 4000).Draw(t, "before")) * time.Millisecond)
				if c.miss(now, begun, &key, ofValues); m.stored.Before(begun) {
					m.missing = begun
				}
			case 2:
				c.stores(now, &key, ofValues)
				m.stored, m.missing = now, time.Time{}
			case 3:
				c.lost(&peer.Key)
				for _, m := range model {
					m.changed = m.changed || among(m.closest, peer) >= 0
				}
			case 4:
				c.came(now, peer)
				for name, m := range model {
					target := keyspace.KeyOf([]byte(name))
					if n := len(m.closest); n > 0 && among(m.closest, peer) < 0 && keyspace.CompareDistance(&target, &peer.Key, &m.closest[n-1].Key) < 0 {
						m.changed = true
					}
				}
			default:
				if now.Sub(m.ended) >= timing.Cache {
					m.closest = nil
				}
				for _, o := range c.begin(now, &key) {
					if among(m.closest, o) < 0 {
						t.Fatal("a lookup begins where none has ended")
					}
				}
			}
			checkCache(t, &c, now, model)
		}
	})
}

func checkCache(t *rapid.T, c *cache, now time.Time, model map[string]*known) {
	size := 0
	for name, m := range model {
		key := keyspace.KeyOf([]byte(name))
		answers := len(m.closest) > 0 && !m.changed && now.Sub(m.ended) < c.timing.Fresh
		if got := c.answer(now, &key); (got != nil) != answers {
			t.Fatalf("%s after %v: answered %v, want %v", name, now.Sub(m.ended), got != nil, answers)
		}
		missing := !m.missing.IsZero() && now.Sub(m.missing) < c.timing.Missing
		if got := c.lacks(now, &key, ofValues); got && !missing || c.lacks(now, &key, ofProviders) {
			t.Fatalf("%s after %v: missing %v, want %v", name, now.Sub(m.missing), got, missing)
		}
		if e := c.byKey[key]; e != nil {
			size += e.Value.(*ending).size
		}
	}
	if c.stats.Bytes != size || size == 0 && len(c.byKey) > 3 {
		t.Fatalf("%d bytes remembered of %d keys, %d are counted", size, len(c.byKey), c.stats.Bytes)
	}
}

// However many addresses the peers of a key have, there is a bound on all of them.
func TestCacheIsBoundedInBytes(t *testing.T) {
	c := newCache(&Timing{Cache: time.Minute})
	var long [][]byte
	for i := range 16 {
		long = append(long, append([]byte{54, 120}, fmt.Appendf(nil, "%0120d", i)...))
	}
	var closest []*Contact
	for i := range uint64(20) {
		closest = append(closest, NewContact(testID(i), long))
	}
	if closest[0].size() < 2000 {
		t.Fatalf("a contact with %d addresses is taken for %d bytes", len(closest[0].Peer.Addrs), closest[0].size())
	}
	for i := range cacheSize {
		k := keyspace.KeyOf(fmt.Append(nil, i))
		c.put(epoch, &k, closest, 0, len(closest))
		if c.stats.Bytes > cacheBytes {
			t.Fatalf("%d bytes of %d keys", c.stats.Bytes, len(c.byKey))
		}
	}
	if len(c.byKey) < 2 || len(c.byKey) == cacheSize {
		t.Errorf("%d keys remembered", len(c.byKey))
	}
}
