package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

var attacked = flag.Int("attacked", 50, "how many honest nodes TestAttacks simulates")

// attacks are the adversaries, one kind and strength each, and what a node must
// stand up to today. Where reliability.md promises more, the case says so and
// holds today's figure, so that it cannot become worse unseen:
//
//	go test ./routing/sim -run Attacks -v -attacked 1000 -timeout 1h
var attacks = []struct {
	name  string
	cfg   Config
	holds func(r *Report, s *Spoils) bool
}{
	// P11: Sybils are the nearest by all rules, so that a lookup finds them; that
	// records survive is the work of storing in regions.
	{"eclipse, 20 Sybils", eclipse(20, false), besiegedOnly},
	{"eclipse, 45 Sybils", eclipse(45, false), besiegedOnly},
	{"eclipse, 100 Sybils", eclipse(100, false), besiegedOnly},
	{"eclipse, 100 active", eclipse(100, true), besiegedOnly},
	{"eclipse, 10 active", eclipse(10, true), func(_ *Report, s *Spoils) bool {
		return s.Attacked.Recall >= 0.45 && s.Attacked.Eclipsed == 0 && s.Lies > 0 && s.Others.Recall > 0.6
	}},
	// P11: 0.99 of what was put next to passive Sybils is to be read, 0.95 next to a
	// hundred active ones (TestPromiseOfRegions). Among few nodes, eight Sybils to each,
	// it is some 0.7.
	{"records, 10 Sybils", records(10, false), recorded(0.9)},
	{"records, 20 Sybils", records(20, false), recorded(0.6)},
	{"records, 100 Sybils", records(100, false), recorded(0.7)},
	{"records, 100 active", records(100, true), recorded(0.7)},
	// T3, T4, P12: at most 60 dials in vain a lookup are promised, and 3 for each
	// answer; disjoint paths and a dial budget are to come.
	{"misdirect 10 %", misdirect(Misdirect{Share: 0.1}), func(r *Report, s *Spoils) bool {
		return r.Recall > 0.8 && s.Others.MostAstray > 0 && s.Others.MostAstray <= 240
	}},
	{"misdirect 10 %, oversized", misdirect(Misdirect{Share: 0.1, Peers: 300, Addrs: 40}), func(r *Report, s *Spoils) bool {
		return r.Recall > 0.8 && s.Others.MostAstray > 0 && s.Others.MostAstray <= 240
	}},
	{"misdirect 10 %, true names", misdirect(Misdirect{Share: 0.1, Addresses: true}), func(r *Report, s *Spoils) bool {
		return r.Recall > 0.8 && s.Others.Astray < 5 && s.Lies > 0
	}},
	{"misdirect 5 %, colluders", misdirect(Misdirect{Share: 0.05, Live: 1}), func(_ *Report, s *Spoils) bool {
		return s.Others.Messages <= 256 && s.Others.Hostile > 0.5
	}},
	// P10: from forty /16s at most 0.5 of the answers of a node 10 s old and 0.4 of a
	// settled one. From one /16 at most 0.1 are promised, which takes bounds on
	// subnets that are yet to come. A node of one second is promised nothing.
	{"poison, 1 subnet, settled", poison(Poison{Sybils: 200, Subnets: 1}), pushedBack(0.4)},
	{"poison, 40 subnets, settled", poison(Poison{Sybils: 200}), pushedBack(0.4)},
	{"poison, 40 subnets, 10 s old", poison(Poison{Sybils: 200, Age: 10 * time.Second}), pushedBack(0.5)},
	{"poison, 40 subnets, 1 s old", poison(Poison{Sybils: 200, Age: time.Second}), pushedBack(0.9)},
	{"poison, mined, 10 s old", poison(Poison{Sybils: 200, Age: 10 * time.Second, Mined: true}), pushedBack(0.5)},
	// P1: a flooder gets at most 500 a second, after a burst of 1,000.
	{"flood, no limits", flood(Limits{}), func(_ *Report, s *Spoils) bool { return s.Flood.PerSecond > 400 && s.Flood.Refused == 0 }},
	{"flood, limits", flood(Limits{On: true, Subnets: true}), func(r *Report, s *Spoils) bool {
		return s.Flood.PerSecond < 300 && s.Flood.Bystanders == 0 && s.Flood.Refused > 0 && r.Near > 0.95
	}},
	{"records, 100 who always lie", alwaysLie(records(100, true)), recorded(0.7)},
	{"records, 100 and no regions", noRegions(records(100, true)), func(r *Report, _ *Spoils) bool { return keptShare(r) < 0.6 }},
}

func eclipse(sybils int, active bool) Config {
	return Config{Lookups: 60, Settle: 2 * time.Minute, Adversaries: Adversaries{Eclipse: Eclipse{Sybils: sybils, Active: active}}}
}

// records has four records put and read next to Sybils.
func records(sybils int, active bool) Config {
	cfg := eclipse(sybils, active)
	cfg.Lookups = 10
	cfg.Records = Records{Values: 2, Providers: 2, For: 30 * time.Second, Reads: 2}
	cfg.Adversaries.Eclipse.Keys = 4
	return cfg
}

// keptShare is the share of all reads that found their record, -1 if there were none.
func keptShare(r *Report) float64 {
	if r.Kept == nil {
		return -1
	}
	var all Reads
	for _, u := range []*Upkeep{&r.Kept.Values, &r.Kept.Providers} {
		for _, s := range []Reads{u.Tended, u.Orphaned, u.LastTended, u.LastOrphaned} {
			all.Ended, all.Found = all.Ended+s.Ended, all.Found+s.Found
		}
	}
	if all.Ended == 0 {
		return -1
	}
	return all.Share()
}

func alwaysLie(cfg Config) Config {
	cfg.Adversaries.Eclipse.Always = true
	return cfg
}

func noRegions(cfg Config) Config {
	cfg.Node.Region = kademlia.RegionNever
	return cfg
}

// recorded: a share of the reads finds its record, at the cost of a few lookups.
func recorded(least float64) func(*Report, *Spoils) bool {
	return func(r *Report, _ *Spoils) bool {
		u := &r.Kept.Providers
		return keptShare(r) >= least && u.Puts > 0 && u.Read.Messages < 512 && r.Kept.Values.Read.Messages < 512
	}
}

func misdirect(m Misdirect) Config {
	return Config{Lookups: 60, Adversaries: Adversaries{Misdirect: m}}
}

func poison(p Poison) Config {
	p.For = time.Minute
	return Config{Lookups: 30, Settle: 2 * time.Minute, Adversaries: Adversaries{Poison: p}}
}

func flood(limits Limits) Config {
	return Config{Lookups: 30, Link: Link{Limits: limits}, Adversaries: Adversaries{Flood: Flood{Flooders: 2, Rate: 500, For: 10 * time.Second}}}
}

// besiegedOnly: all lookups of the attacked key end with its Sybils, quickly, and
// no others do.
func besiegedOnly(_ *Report, s *Spoils) bool {
	return s.Attacked.Hostile > 0.95 && s.Attacked.Messages < 64 && s.Others.Recall > 0.6
}

// pushedBack: of what victims answer, no more than a share names adversaries, and
// these have come into their tables at all.
func pushedBack(most float64) func(*Report, *Spoils) bool {
	return func(_ *Report, s *Spoils) bool {
		v := &s.Victims
		return v.Up == 1 && v.Answers <= most && v.Table > 0 && v.Honest > 10
	}
}

func TestAttacks(t *testing.T) {
	for i, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			cfg := a.cfg
			cfg.Seed, cfg.Nodes = uint64(700+i), *attacked
			r := simulate(t, cfg)
			t.Logf("%.2f of the reads found their record", keptShare(&r))
			if r.Success < 1 || !a.holds(&r, r.Spoils) {
				t.Errorf("success %.4f, %+v", r.Success, r.Spoils)
			}
			row(t, a.name, &r)
		})
	}
}

// row writes the figures of an attack in one line.
func row(t *testing.T, name string, r *Report) {
	s := r.Spoils
	h := &s.Others
	if s.Attacked.Ended > 0 {
		h = &s.Attacked
	}
	t.Logf("ROW %-28s | %.3f | %.3f | %.3f | %.1f | %.1f | %d | %.1f | %.3f | %.3f | %.3f | %.0f | %.2f | %v", name, h.Eclipsed, h.Recall, h.Hostile,
		h.Messages, h.Astray, h.MostAstray, s.AstrayPerLie, s.Tables, s.Victims.Table, s.Victims.Answers, s.Flood.PerSecond, keptShare(r), r.P95.Round(time.Millisecond))
}
