package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"pgregory.net/rapid"
)

// Of those who wait for a place in a far bucket the faster of the two seen last has it, if
// it is known; elsewhere the one seen last. Whoever waits is given out once, and how fast
// somebody is outlives being seen again.
func TestFasterOfTwoTakesThePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const k = 5
		table := newTable(keyspace.KeyOf([]byte("self")), k, 0)
		var order [keyspace.Bits][]uint64 // who waits, seen last at the end
		paces := map[uint64]pace{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			n := rapid.Uint64Range(0, 40).Draw(t, "peer")
			c := testContact(n)
			p := table.prefix(&c.Key)
			at := -1
			for i, o := range order[p] {
				if o == n {
					at = i
				}
			}
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				table.bucket(&c.Key).addReplacement(c, k, rapid.Bool().Draw(t, "first hand"))
				if at >= 0 {
					order[p] = append(order[p][:at], order[p][at+1:]...)
				} else {
					delete(paces, n)
				}
				if order[p] = append(order[p], n); len(order[p]) > k {
					order[p] = order[p][1:]
				}
			case 1:
				took := rapid.IntRange(1, 5000).Draw(t, "ms")
				if table.timed(&c.Key, time.Duration(took)*time.Millisecond); at >= 0 && p < farBuckets {
					p := paces[n]
					p.note(time.Duration(took) * time.Millisecond)
					paces[n] = p
				}
			default:
				if p >= len(table.buckets) {
					continue
				}
				want := len(order[p]) - 1
				if want >= 1 && p < farBuckets {
					if last, other := paces[order[p][want]], paces[order[p][want-1]]; other > 0 && (last == 0 || other < last) {
						want--
					}
				}
				got := table.next(p)
				if want < 0 {
					if got != nil {
						t.Fatal("who does not wait is given a place")
					}
					continue
				}
				if got == nil || got.ID != testID(order[p][want]) {
					t.Fatalf("bucket %d: a place is not given to p%d", p, order[p][want])
				}
				delete(paces, order[p][want])
				order[p] = append(order[p][:want], order[p][want+1:]...)
			}
		}
	})
}
