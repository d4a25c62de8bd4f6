package kademlia

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Who stores many records in the order of their keys begins each lookup where the one before
// has ended: that takes fewer requests, and all are where they belong.
func TestLookupsBesideEachOther(t *testing.T) {
	const records = 120
	asked, right := map[bool]int{}, 0
	for _, beside := range []bool{false, true} {
		w := newWorld(t, 50)
		w.grow(400, func(c *Config) { c.K = 8 })
		m := w.order[7]
		var keys [][]byte
		for i := range records {
			keys = append(keys, fmt.Appendf(nil, "/v/%d", i))
		}
		slices.SortFunc(keys, func(a, b []byte) int {
			x, y := keyspace.KeyOf(a), keyspace.KeyOf(b)
			return bytes.Compare(x[:], y[:])
		})
		for _, key := range keys {
			r := w.await(m, func(done func(time.Time, Result)) {
				store := func() QueryID { return m.node.Store(w.now, protocol.Record{Key: key, Value: []byte("v")}, done) }
				if beside {
					m.node.Beside(store)
				} else {
					store()
				}
			})
			if holdAll(r.Report.Holders, w.closest(key, 8, m.contact.ID)) {
				right++
			}
			asked[beside] += r.Report.Asked - len(r.Report.Holders)
		}
	}
	if right < 2*records*95/100 {
		t.Errorf("%d of %d records are on all of the nearest", right, 2*records)
	}
	t.Logf("%.1f requests of a lookup that begins beside another, else %.1f", float64(asked[true])/records, float64(asked[false])/records)
	if asked[true] >= asked[false]*9/10 {
		t.Error("beginning beside another lookup spares nothing")
	}
}
