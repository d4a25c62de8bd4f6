package sim

import (
	"fmt"
	"testing"
	"time"
)

// misled are the misdirectors that lookups on one path and on several are held against,
// those first that every test run meets.
var misled = []struct {
	name string
	m    Misdirect
}{
	{"none", Misdirect{}},
	{"10 %, nobody there", Misdirect{Share: 0.1}},
	{"20 %, name each other", Misdirect{Share: 0.2, Mutual: true}},
	{"5 %, colluders", Misdirect{Share: 0.05, Live: 1}},
	{"10 %, true names", Misdirect{Share: 0.1, Addresses: true}},
	{"10 %, name each other", Misdirect{Share: 0.1, Mutual: true}},
	{"40 %, name each other", Misdirect{Share: 0.4, Mutual: true}},
	{"1 %, colluders", Misdirect{Share: 0.01, Live: 1}},
	{"20 %, colluders", Misdirect{Share: 0.2, Live: 1}},
}

// What disjoint paths do against misdirectors, and what they cost: a network without these
// is searched as well as ever, and with them no fewer of those are met who could tell.
//
//	go test ./routing/sim -run PathsAgainst -v -attacked 1000 -timeout 1h
func TestPathsAgainstMisdirectors(t *testing.T) {
	some := misled[:4]
	if *attacked > 50 {
		some = misled
	}
	for i, c := range some {
		t.Run(c.name, func(t *testing.T) {
			alone := 0.0
			for _, paths := range []int{1, 4, 8} {
				cfg := misdirect(c.m)
				cfg.Seed, cfg.Nodes, cfg.Node.Paths, cfg.Node.Strict = uint64(900+i), *attacked, paths, true
				cfg.Records = Records{Values: 10, For: 30 * time.Second, Reads: 2}
				r := simulate(t, cfg)
				met, h := "–", &Harm{Recall: r.Recall, Messages: r.Messages}
				switch {
				case r.Success < 1 || r.Spoils == nil && r.Recall < 1:
					t.Errorf("%d paths: success %.4f, recall %.4f", paths, r.Success, r.Recall)
				case r.Spoils != nil:
					h = &r.Spoils.Others
					if alone = max(alone, h.Met); h.Met < alone-0.1 || h.Unmet > 0.1 {
						t.Errorf("%d paths: %.4f of the nearest met, with fewer %.4f; %.4f of the lookups have met none", paths, h.Met, alone, h.Unmet)
					}
					met = fmt.Sprintf("%.3f / %.3f", h.Met, h.Unmet)
				}
				t.Logf("ROW %-18s | %d | %.3f | %s | %.3f | %.2f | %.1f | %.1f / %d | %v | %v", c.name, paths, h.Recall, met, h.Hostile, keptShare(&r),
					h.Messages, h.Astray, h.MostAstray, r.P50.Round(10*time.Millisecond), r.P95.Round(10*time.Millisecond))
			}
		})
	}
}
