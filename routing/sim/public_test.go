package sim

import (
	"testing"
	"time"
)

// What a public network holds against those who would fill its tables and have it
// dial for them (reliability.md P10, P12); without its bounds one /16 gets a quarter
// of the answers, and a lie is followed by a dozen dials.
func TestPublicBounds(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		holds func(s *Spoils) bool
	}{
		"200 Sybils in one /16": {poison(Poison{Sybils: 200, Subnets: 1}), func(s *Spoils) bool {
			return s.Victims.Up == 1 && s.Victims.Answers <= 0.1 && s.Victims.Honest > 10
		}},
		"200 Sybils in 40 /16s, a node 10 s old": {poison(Poison{Sybils: 200, Age: 10 * time.Second}), func(s *Spoils) bool {
			return s.Victims.Up == 1 && s.Victims.Answers <= 0.5 && s.Victims.Honest > 10
		}},
		"lies": {misdirect(Misdirect{Share: 0.1, Peers: 300, Addrs: 40}), func(s *Spoils) bool {
			return s.Lies > 0 && s.AstrayPerLie <= 3 && s.Others.MostAstray <= 60 && s.Others.Recall > 0.8
		}},
	} {
		c.cfg.Seed, c.cfg.Nodes, c.cfg.Link.Public = 713, 50, true
		r, err := Run(t.Context(), c.cfg, nil)
		if err != nil || r.Success < 1 || !c.holds(r.Spoils) {
			t.Errorf("%s: %v, success %.4f, %+v", name, err, r.Success, r.Spoils)
		}
	}
}
