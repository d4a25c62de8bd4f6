package sim

import (
	"testing"
	"time"
)

// Lookups before From are made and not reported.
func TestReportFrom(t *testing.T) {
	cfg := Config{Seed: 11, Nodes: 30, Lookups: 40, Rate: 1}
	all := simulate(t, cfg)
	cfg.Measure.From = 30 * time.Second
	late := simulate(t, cfg)
	if all.Ended != 40 || late.Ended != 10 || late.Trace != all.Trace {
		t.Errorf("%d lookups in all, %d after 30 s; trace %s and %s", all.Ended, late.Ended, all.Trace, late.Trace)
	}
}

// The far side starts anew while it is cut off, finds its own, and after the cut
// everybody.
func TestFarSideRestarts(t *testing.T) {
	cfg := Config{
		Seed: 12, Nodes: 60, Lookups: 60, Rate: 0.2, Measure: Measure{From: 4 * time.Minute},
		Faults: Faults{Partition: 0.5, CutAfter: 10 * time.Second, CutFor: 2 * time.Minute, Restart: time.Minute},
	}
	r, report, err := simulated(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var far, again int
	for i := Anchors; i < cfg.Nodes; i++ {
		m := &r.members[i]
		if m.far {
			far++
		}
		if m.far == (m.life == 2) && m.up {
			again++
		}
	}
	if far < 10 || again != cfg.Nodes-Anchors || report.Fired[Restarted.String()] != uint64(far) {
		t.Errorf("%d members on the far side, %d as they should be; fired %v", far, again, report.Fired)
	}
	if report.Ended != 12 || report.Success < 1 || report.Near < 0.9 {
		t.Errorf("%d lookups after the cut: success %.4f, near %.4f", report.Ended, report.Success, report.Near)
	}
}

func TestFaultNames(t *testing.T) {
	names := FaultNames()
	if len(names) != int(numFaults)-1 || names[0] != Refuse.String() || names[len(names)-1] != (numFaults-1).String() {
		t.Errorf("%q", names)
	}
	for _, name := range names {
		if name == "" {
			t.Errorf("a fault without a name: %q", names)
		}
	}
}
