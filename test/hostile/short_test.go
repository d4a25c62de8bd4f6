package hostile_test

import (
	"context"
	"testing"
	"time"

	"github.com/kdht/kdht/test/hostile/measure"
)

// short are the attacks of the short round: those that need few peers.
var short = []string{
	"flood", "mute-streams", "slow-loris", "claimed-length", "slow-reader", "malformed", "fuzz", "provoke", "amplification", "spoof", "value-bulk", "lies",
}

// TestShortRound attacks one node in a dozen ways, a moment each, and asserts what
// does not depend on the machine's speed.
func TestShortRound(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	b, err := measure.NewBench(ctx, measure.Settings{Members: 8, Patience: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, attack := range short {
		tr, err := b.Try(ctx, attack, measure.Times{Attack: 300 * time.Millisecond}, false)
		if err == nil && tr.Died == "" && nothing(tr) { // on a machine so busy that the moment was over before it began
			tr, err = b.Try(ctx, attack, measure.Times{Attack: 5 * time.Second}, false)
		}
		if err != nil {
			t.Fatalf("%s: %v", attack, err)
		}
		if tr.Died != "" {
			t.Fatalf("%s: the target died: %s", attack, tr.Died)
		}
		check(t, tr)
	}
}

// does is what each of these attacks counts when it has done anything.
var does = map[string]string{
	"flood": "answers", "amplification": "answers", "malformed": "pieces ended", "provoke": "requests written", "spoof": "spoofed",
}

// nothing reports whether an attack that counts has done nothing.
func nothing(tr *measure.Trial) bool {
	what := does[tr.Attack]
	return what != "" && tr.Result.Counts[what] == 0
}

// check asserts the bounds that hold at any speed.
func check(t *testing.T, tr *measure.Trial) {
	t.Helper()
	d, counts := tr.During, tr.Result.Counts
	if d.Target.Failed+d.Target.Rejected > 0 {
		t.Errorf("%s: %d honest requests and %d newcomers failed: %s", tr.Attack, d.Target.Failed, d.Target.Rejected, d.Target.Reason)
	}
	if n := measure.Panics(d.Finish); n > 0 {
		t.Errorf("%s: %d handlers panicked", tr.Attack, n)
	}
	if d.StreamsOfOne > 128 || d.Streams > 4096 {
		t.Errorf("%s: %d inbound streams, %d of one peer", tr.Attack, d.Streams, d.StreamsOfOne)
	}
	if grown := (d.RSSMost - d.Begin.RSS) / 1e6; grown > 160*shadow {
		t.Errorf("%s: %d MB more than before", tr.Attack, grown)
	}
	allowed := 1500 + int64(600*d.Took.Seconds()) // burst and rate, and what may be under way
	switch tr.Attack {
	case "flood", "amplification":
		if counts["answers"] > allowed || counts["answers"] == 0 {
			t.Errorf("%s: %d answers, at most %d", tr.Attack, counts["answers"], allowed)
		}
	case "malformed":
		if counts["pieces not ended"] > 0 || counts["pieces ended"] == 0 {
			t.Errorf("malformed: %v", counts)
		}
	case "provoke":
		if counts["streams not ended"] > 0 || counts["requests written"] == 0 {
			t.Errorf("provoke: %v", counts)
		}
	case "spoof":
		if counts["spoofed records told"] > 0 || counts["spoofed"] == 0 {
			t.Errorf("spoof: %v", counts)
		}
	}
	if n := counts["largest answer"]; tr.Attack == "amplification" && n > 64<<10 {
		t.Errorf("amplification: an answer of %d bytes", n)
	}
}
