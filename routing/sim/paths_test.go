package sim

import (
	"fmt"
	"testing"
	"time"
)

// misled are the misdirectors that lookups on one path and on several are held against.
var misled = []struct {
	name string
	m    Misdirect
}{
	{"none", Misdirect{}},
	{"10 %, nobody there", Misdirect{Share: 0.1}},
	{"10 %, true names", Misdirect{Share: 0.1, Addresses: true}},
	{"10 %, name each other", Misdirect{Share: 0.1, Mutual: true}},
	{"20 %, name each other", Misdirect{Share: 0.2, Mutual: true}},
	{"40 %, name each other", Misdirect{Share: 0.4, Mutual: true}},
	{"1 %, colluders", Misdirect{Share: 0.01, Live: 1}},
	{"5 %, colluders", Misdirect{Share: 0.05, Live: 1}},
	{"20 %, colluders", Misdirect{Share: 0.2, Live: 1}},
}

// What disjoint paths do against misdirectors, and what they cost:
//
//	go test ./routing/sim -run PathsAgainst -v -attacked 1000 -timeout 1h
func TestPathsAgainstMisdirectors(t *testing.T) {
	for i, c := range misled {
		t.Run(c.name, func(t *testing.T) {
			for _, paths := range []int{1, 4, 8} {
				cfg := misdirect(c.m)
				cfg.Seed, cfg.Nodes, cfg.Node.Paths = uint64(900+i), *attacked, paths
				cfg.Records = Records{Values: 10, For: 30 * time.Second, Reads: 2}
				r := simulate(t, cfg)
				met, h := "–", &Harm{Recall: r.Recall, Messages: r.Messages}
				if r.Spoils != nil {
					h = &r.Spoils.Others
					met = fmt.Sprintf("%.3f / %.3f", h.Met, h.Unmet)
				}
				t.Logf("ROW %-18s | %d | %.3f | %s | %.3f | %.2f | %.1f | %.1f / %d | %v | %v", c.name, paths, h.Recall, met, h.Hostile, keptShare(&r),
					h.Messages, h.Astray, h.MostAstray, r.P50.Round(10*time.Millisecond), r.P95.Round(10*time.Millisecond))
			}
		})
	}
}
