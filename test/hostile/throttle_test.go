package hostile_test

import (
	"context"
	"testing"
	"time"

	"github.com/kdht/kdht/test/hostile/measure"
)

// TestFloodsAreHeld has one peer and then 32 flood a node (reliability.md P1, P2).
// At any speed of the machine, honest peers lose nothing and every flooder is held
// to its rate; what honest peers wait is printed beside what an unattacked twin
// makes them wait at the same moments.
func TestFloodsAreHeld(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, err := measure.NewBench(ctx, measure.Settings{Members: 8, Patience: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, flood := range []struct {
		attack string
		peers  int64
	}{{"flood", 1}, {"sybil-flood", 32}} {
		tr, err := b.Try(ctx, flood.attack, measure.Times{Attack: 2 * time.Second}, false)
		if err != nil || tr.Died != "" {
			t.Fatalf("%s: %v; the target died: %q", flood.attack, err, tr.Died)
		}
		d, counts := tr.During, tr.Result.Counts
		t.Logf("%s: %d requests written, %d answered in %v; honest p50 %v, p99 %v; of the twin p50 %v, p99 %v", flood.attack,
			counts["requests written"], counts["answers"], d.Took, d.Target.P50, d.Target.P99, d.Twin.P50, d.Twin.P99)
		if d.Target.Failed+d.Target.Rejected > 0 || d.Target.Requests == 0 {
			t.Errorf("%s: %d of %d honest requests and %d newcomers failed: %s", flood.attack, d.Target.Failed, d.Target.Requests, d.Target.Rejected, d.Target.Reason)
		}
		// The burst, the rate, and as much as a burst for what was under way.
		if most := flood.peers * (1000 + int64(500*d.Took.Seconds()) + 1000); counts["answers"] > most || counts["answers"] == 0 {
			t.Errorf("%s: %d answers, at most %d", flood.attack, counts["answers"], most)
		}
	}
}
