package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"
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
	r := simulate(t, Config{Seed: 1, Nodes: 300, JoinRate: 100, Lookups: 200, MinExact: 0.99, Measure: Measure{Memory: true}})
	if r.Success < 1 || r.Ended != 200 {
		t.Errorf("%d lookups ended, %.4f of them well", r.Ended, r.Success)
	}
	if r.Table.Alive < 1 || r.Table.Known < 0.99 || r.BytesPerNode <= 0 {
		t.Errorf("tables %+v, %d bytes per node", r.Table, r.BytesPerNode)
	}
	if r.P50 <= 0 || r.P50 > r.P90 || r.P90 > r.P99 || r.Hops < 1 || r.Messages < 8 {
		t.Errorf("these figures cannot be: %+v", r.Lookups)
	}
}

// A quarter of the network dies, in three ways, packets are lost, clocks are
// wrong, some cannot be dialled, and some do not serve.
func TestEveryFaultAtOnce(t *testing.T) {
	r := simulate(t, Config{
		Seed: 2, Nodes: 200, Lookups: 200,
		Link:   Link{Loss: 0.01, TCP: 0.3},
		Faults: Faults{Refuse: 0.1, BlackHole: 0.1, Hung: 0.05, NATed: 0.05, Clients: 0.1, Skew: time.Minute},
	})
	if r.Success < 1 || r.Near < 0.85 || r.Recall < 0.93 || r.FailedEach == 0 {
		t.Errorf("success %.4f, near %.4f, %.2f failures each", r.Success, r.Near, r.FailedEach)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	cfg := Config{
		Seed: 6, Nodes: 100, Lookups: 60, Rate: 1,
		Link: Link{Loss: 0.02}, Faults: Faults{BlackHole: 0.1, Tarpit: 0.1}, Churn: Churn{On: true, Scale: 0.005},
	}
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	one := simulate(t, cfg)
	runtime.GOMAXPROCS(2)
	two := simulate(t, cfg)
	if one.Trace != two.Trace || one.Events != two.Events || one.Lookups.Messages != two.Lookups.Messages {
		t.Errorf("trace %s after %d events, then %s after %d", one.Trace, one.Events, two.Trace, two.Events)
	}
	cfg.Seed++
	if other := simulate(t, cfg); other.Trace == one.Trace {
		t.Error("another seed gave the same run")
	}
}

// Beside the walk of most deployed peers, in one run and over the same tables:
// where a fifth is dead or hung, ours is quicker, asks less in vain and finds more.
func TestBesideTheBaseline(t *testing.T) {
	r := simulate(t, Config{Seed: 10, Nodes: 200, Lookups: 400, Compare: true, Faults: Faults{BlackHole: 0.1, Hung: 0.1}})
	b := r.Baseline
	if b == nil || r.Ended+b.Ended != 400 || b.Ended < 190 {
		t.Fatalf("%d lookups of ours, baseline %+v", r.Ended, b)
	}
	if r.P50 > b.P50 || r.Recall < b.Recall {
		t.Errorf("p50 %v and %v of the baseline, recall %.4f and %.4f", r.P50, b.P50, r.Recall, b.Recall)
	}
}

func TestReportIsJSON(t *testing.T) {
	r := simulate(t, Config{Seed: 7, Nodes: 20, Lookups: 5})
	var text bytes.Buffer
	if err := r.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || back.Trace != r.Trace || !reflect.DeepEqual(back, r) {
		t.Errorf("%v: %s", err, &text)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	r, err := Run(ctx, Config{Seed: 8, Nodes: 400, Lookups: 10}, func(p Progress) {
		if told++; told == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || r.Events == 0 || r.Ended != 0 {
		t.Errorf("%v after %d events, %d lookups", err, r.Events, r.Ended)
	}
}

func TestMeaninglessConfigs(t *testing.T) {
	for _, cfg := range []Config{
		{Nodes: 1},
		{Nodes: -1},
		{Nodes: 1 << 30},
		{Lookups: -1},
		{Rate: -1},
		{JoinRate: -1},
		{Faults: Faults{Refuse: 0.6, Tarpit: 0.6}},
		{Faults: Faults{Hung: -0.1}},
		{Link: Link{Loss: 1}},
		{Churn: Churn{On: true, Scale: -1}},
	} {
		if _, err := Run(t.Context(), cfg, nil); err == nil || errors.Is(err, ErrInvariant) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
