package sim

import (
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// A third of the network restarts within minutes. Those that have saved their
// tables know their neighbours again 20 s later, before any would turn to an anchor;
// so do those that have not, of whom an anchor tells them.
func TestPromiseOfSavedTables(t *testing.T) {
	for _, saved := range []bool{true, false} {
		cfg := Config{
			Seed: 70, Nodes: *size, Lookups: 60, Rate: 0.2, Measure: Measure{From: 200 * time.Second},
			Churn: Churn{Comeback: Comeback{Saved: saved, Share: 0.33, After: 10 * time.Second, Within: 2 * time.Minute, Down: 20 * time.Second}},
		}
		r, report, err := simulated(t.Context(), cfg, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := report.Back
		t.Logf("saved %v: %+v, %d requests, %d dials; near %.4f", saved, b, report.Requests, report.Dials, report.Near)
		if b == nil || b.Back < *size/5 || b.Known < 0.97 || b.Size < 40 || report.Fired[Restarted.String()] != uint64(b.Back) {
			t.Errorf("saved %v: %+v came back, fired %v", saved, b, report.Fired)
		}
		if report.Success < 1 || report.Near < 0.95 || len(r.comebacks.saved) > 0 {
			t.Errorf("saved %v: success %.4f, near %.4f; %d tables are still kept", saved, report.Success, report.Near, len(r.comebacks.saved))
		}
	}
}

// Who has saved nothing turns to an anchor, and so does who finds none of the
// peers it has saved.
func TestWhoFindsNobodyTurnsToAnAnchor(t *testing.T) {
	cfg := Config{
		Seed: 71, Nodes: 40, Churn: Churn{Comeback: Comeback{Saved: true}},
		Node: kademlia.Config{Timing: kademlia.Timing{Refresh: -1, Probe: -1}}, // so that nobody else finds it
	}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	if err := r.loop(t.Context(), nil); err != nil || r.upNow() != 40 {
		t.Fatalf("%v with %d members", err, r.upNow())
	}
	if r.resumes(20) {
		t.Error("a member resumes that has saved nothing")
	}
	dead := r.members[30].contact
	r.goesDown(30, BlackHole)
	r.goesDown(20, Refuse)
	r.comebacks.saved[20] = []*kademlia.Contact{dead}
	r.joins(20)
	if r.members[20].node.View().Len() > 0 || r.comebacks.saved[20] != nil {
		t.Error("it knows somebody before it has asked")
	}
	r.last = r.now + int64(time.Minute)
	if err := r.loop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if v := r.members[20].node.View(); v.Len() < 20 || v.Contains(dead.ID) {
		t.Errorf("a minute later it knows %d", v.Len())
	}
}

// Half the network is cut off for 40 minutes and then restarts, with tables that
// hold its own side only. The two are one network again (P20): through one anchor of
// the other side that each who restarts knows, and without it too, through those of
// the side that stayed who remember whom they lost.
func TestPromiseOfRestartedSide(t *testing.T) {
	for seed := range *seeds {
		side := func(anchor bool) (*run, Report) {
			cfg := Config{
				Seed: 700 + seed, Nodes: *size, Lookups: 552, Rate: 0.2, Measure: Measure{From: 41*time.Minute + 10*time.Second},
				Churn:  Churn{Comeback: Comeback{Saved: true, Anchor: anchor}},
				Faults: Faults{Partition: 0.5, CutFor: 40 * time.Minute, Restart: 40*time.Minute + time.Second},
			}
			r, report, err := simulated(t.Context(), cfg, func(r *run) {
				for i := range Anchors {
					r.members[i].far = false
				}
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("anchor %v: near %.4f, recall %.4f of %d lookups; back %+v; tables %+v", anchor, report.Near, report.Recall, report.Ended, report.Back, report.Table)
			return r, report
		}
		for _, anchor := range []bool{false, true} {
			if _, r := side(anchor); r.Near < 0.99 || r.Table.Known < 0.95 {
				t.Errorf("anchor %v: near %.4f, %.4f of the neighbours known", anchor, r.Near, r.Table.Known)
			}
		}
	}
}
