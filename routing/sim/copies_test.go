package sim

import (
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// copied is a run in which values are put once, never again and read only in the end,
// while all members go and others come.
func copied(t *testing.T, copies string) Report {
	// Members go fifty times as fast as in the public network, and are missed as much sooner.
	node := kademlia.Config{K: 5, Timing: kademlia.Timing{Probe: 30 * time.Second, Refresh: time.Minute}}
	return simulate(t, Config{
		Seed: 700, Nodes: 100, Node: node, Churn: Churn{On: true, Scale: 0.02, Gap: 30 * time.Second, Return: -1},
		Records: Records{Values: 60, Rate: 2, For: 40 * time.Minute, Reads: 1e-9, Every: 40 * time.Hour, Copies: copies, CopyEvery: 2 * time.Minute},
	})
}

// Values outlive all who were given them, by either design, and nobody gives copies
// in a storm. Without copies they do not.
func TestCopiesKeepValues(t *testing.T) {
	none, changed, hourly := copied(t, ""), copied(t, CopiesOnChange), copied(t, CopiesHourly)
	for name, r := range map[string]Report{"none": none, CopiesOnChange: changed, CopiesHourly: hourly} {
		t.Logf("%s: %.3f of %d found, %+v", name, r.Kept.Values.LastOrphaned.Share(), r.Kept.Values.LastOrphaned.Ended, r.Kept.Copies)
	}
	if share := none.Kept.Values.LastOrphaned.Share(); share > 0.95 {
		t.Errorf("without copies %.3f are found: this shows nothing", share)
	}
	for _, r := range []Report{changed, hourly} {
		if u := r.Kept.Values.LastOrphaned; u.Ended < 30 || u.Share() < 0.97 {
			t.Errorf("%.3f of %d are found", u.Share(), u.Ended)
		}
	}
	if changed.Kept.Copies.Requests > hourly.Kept.Copies.Requests/2 || changed.Kept.Copies.Handovers == 0 {
		t.Errorf("copies on change cost %+v, hourly ones %+v", changed.Kept.Copies, hourly.Kept.Copies)
	}
}
