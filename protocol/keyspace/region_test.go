package keyspace

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRegion: a key lies between the two ends of a region if and only if it shares the
// leading bits with them.
func TestRegion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, n := drawKey(t, "k"), rapid.IntRange(0, Bits).Draw(t, "n")
		other := k
		for i := rapid.IntRange(0, Bits).Draw(t, "kept"); i < Bits; i++ { // which shares about so many bits
			if rapid.Bool().Draw(t, "flip") {
				other[i/8] ^= 0x80 >> (i % 8)
			}
		}
		first, last := k.Region(n)
		within := first.Compare(&other) <= 0 && other.Compare(&last) <= 0
		if shares := CommonPrefixLen(&k, &other) >= n; within != shares {
			t.Fatalf("%s is within %s..%s: %t, shares %d bits with %s: %t", other, first, last, within, n, k, shares)
		}
		if CommonPrefixLen(&first, &last) != n {
			t.Fatalf("%s and %s share %d bits, want %d", first, last, CommonPrefixLen(&first, &last), n)
		}
	})
}

// TestNext: nothing lies between a key and its next, and only the last has none.
func TestNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKey(t, "k")
		for i := len(k) - rapid.IntRange(0, len(k)).Draw(t, "carried"); i < len(k); i++ {
			k[i] = 0xff
		}
		next := k
		_, last := k.Region(0)
		if ok := next.Next(); ok != (k != last) {
			t.Fatalf("%s has a next: %t", k, ok)
		}
		n := CommonPrefixLen(&k, &next) // then 0 and ones in k, 1 and zeros in next
		if k == last {
			if next != (Key{}) {
				t.Fatalf("after the last comes %s", next)
			}
			return
		}
		_, end := k.Region(n + 1)
		start, _ := next.Region(n + 1)
		if k.Compare(&next) >= 0 || end != k || start != next {
			t.Fatalf("after %s comes %s", k, next)
		}
	})
}
