package hostile_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/kdht/kdht/test/hostile/measure"
)

// TestSoak loads a node for KDHT_SOAK, 60m as promised (P23), and prints how its
// memory and goroutines went. It fails if honest requests fail, or goroutines remain
// after 10 s or more; the slope of the memory, after a quarter of the time, is judged
// from half an hour on. Without the variable it takes two seconds.
func TestSoak(t *testing.T) {
	long, settings := 2*time.Second, measure.Settings{Members: 8, Patience: 30 * time.Second}
	if text := os.Getenv("KDHT_SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil || long < 10*time.Second {
			t.Fatalf("KDHT_SOAK=%s: give a duration of 10s or more, such as 60m", text)
		}
		settings = measure.Settings{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), long+2*time.Minute)
	defer cancel()
	b, err := measure.NewBench(ctx, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := b.RunSoak(ctx, long)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Points {
		t.Logf("%8v  RSS %6.1f MB, without garbage %6.1f MB, of it heap %5.1f MB  %d goroutines",
			p.At.Round(time.Second), float64(p.RSS)/1e6, float64(p.Lasting)/1e6, float64(p.Heap)/1e6, p.Goroutines)
	}
	t.Logf("counts: %v", s.Counts)
	t.Logf("RSS without garbage grows by %.2f MB/h, with it by %.2f, the heap by %.2f, after the warm-up", s.Slope/1e6, s.RawSlope/1e6, s.HeapSlope/1e6)
	t.Logf("goroutines %d before, %d after; %d of %d honest requests failed", s.Base, s.Left, s.Failed, s.Requests)
	if len(s.Points) == 0 || s.Requests == 0 || s.Counts["answers"] == 0 {
		t.Errorf("%d looks, %d honest requests: %v", len(s.Points), s.Requests, s.Counts)
	}
	if long >= 10*time.Second && s.Left > s.Base+10 {
		t.Errorf("%d goroutines remain of %d", s.Left, s.Base)
	}
	if s.Failed > 0 {
		t.Errorf("%d honest requests failed", s.Failed)
	}
	if long >= 30*time.Minute && s.Slope > 1e6 {
		t.Errorf("the resident set grows by %.2f MB an hour, at most 1", s.Slope/1e6)
	}
}
