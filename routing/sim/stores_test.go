package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

var (
	storeNodes = flag.Int("storenodes", 150, "how many nodes TestStores simulates")
	storeWait  = flag.Duration("storesettle", 5*time.Minute, "how long they are left alone before")
	storeOps   = flag.Int("storeops", 400, "how many announcements are made, half of them by the baseline")
)

// Announcements beside the baseline's, all alive and with a quarter silent or hung: half of
// the copies are there in a third of the time that the baseline's lookup takes (the goal is
// 0.18), in not twice as much where a quarter has died, and all of the nearest get theirs.
//
//	go test ./routing/sim -run TestStores -v -storenodes 10000 -storesettle 15m -storeops 2000 -timeout 1h
func TestStores(t *testing.T) {
	alive := time.Duration(0)
	for _, c := range []struct {
		name  string
		f     Faults
		ratio float64
	}{{"alive", Faults{}, 0.33}, {"silent", Faults{BlackHole: 0.25}, 0.1}, {"hung", Faults{Hung: 0.25}, 0.1}} {
		t.Run(c.name, func(t *testing.T) {
			r := simulate(t, Config{Seed: 7, Nodes: *storeNodes, Settle: *storeWait, Lookups: *storeOps, Compare: true, Measure: Measure{Stores: true}, Faults: c.f})
			s, b := r.Stored, r.BaselineStored
			ratio := s.HalfP50.Seconds() / b.HalfP50.Seconds()
			t.Logf("half of the copies in %.2f, all in %.2f of the time of the baseline's lookup", ratio, s.WholeP50.Seconds()/b.HalfP50.Seconds())
			if s.Ended < *storeOps/2 || b.Ended < *storeOps/2 || s.Right < 0.98 || s.Holders < 19.5 || s.Holders > 21 || s.Twice > 0 {
				t.Errorf("%+v, baseline %+v", s, b)
			}
			if alive == 0 {
				alive = s.HalfP50
			}
			if ratio > c.ratio || s.HalfP50 > 2*alive || s.WholeP50 < s.HalfP50 {
				t.Errorf("%.2f of the baseline's, %v instead of %v", ratio, s.HalfP50, alive)
			}
		})
	}
}

// Whoever gives a record to one member twice is seen.
func TestRecordGivenTwiceIsSeen(t *testing.T) {
	cfg := Config{Seed: 1, Nodes: 20, Measure: Measure{Stores: true}}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	req := &protocol.Message{Type: protocol.AddProvider, Key: []byte("key")}
	r.hands(3, req)
	if r.checks.broken != 0 {
		t.Fatal(r.checks.violations)
	}
	r.hands(3, req)
	if r.checks.broken != 1 {
		t.Error("nobody minds that a record was given twice")
	}
}
