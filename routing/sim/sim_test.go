package sim

import (
	"bytes"
	"testing"
)

// simulate runs cfg and fails the test if an invariant does not hold.
func simulate(t testing.TB, cfg Config) Report {
	t.Helper()
	report, err := Run(t.Context(), cfg, nil)
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &text)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestCalmNetwork(t *testing.T) {
	r := simulate(t, Config{Seed: 1, Nodes: 500, Lookups: 300, MinExact: 0.99, Memory: true})
	if r.Success < 1 || r.Ended != 300 {
		t.Errorf("%d lookups ended, %.4f of them well", r.Ended, r.Success)
	}
}
