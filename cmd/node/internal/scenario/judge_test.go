package scenario

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/routing/sim"
)

// lessen makes of a scenario one of a tenth of a second, in which whoever is meant
// to fail still does.
func lessen(t *testing.T, s *Scenario) {
	t.Helper()
	if err := s.Scale(60, 30); err != nil {
		t.Fatal(err)
	}
	e := &s.Config.Adversaries.Eclipse
	e.Sybils, e.Keys = min(e.Sybils, 10), min(e.Keys, 1)
	r := &s.Config.Records
	r.Values, r.Providers = min(r.Values, 10), min(r.Providers, 10)
	if r.For > time.Hour {
		times := r.For / time.Hour
		for _, d := range []*time.Duration{&r.For, &r.Every, &r.MaxAge, &r.AddrTTL} {
			*d /= times
		}
	}
}

// Every file that is shipped can be read and run, and meets the faults it asks for:
// a run that does not is one that broke a rule.
func TestShipped(t *testing.T) {
	names := Names()
	if len(names) < 12 {
		t.Errorf("only %d scenarios: %q", len(names), names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Find(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != name || s.Why == "" || len(s.Expect) == 0 || s.Config.Nodes < 1000 {
				t.Errorf("%+v", s)
			}
			lessen(t, s)
			trial, err := s.Try(t.Context(), Options{Seed: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			rep := trial.Report
			if rep.Success < 0.8 || rep.Broken != 0 {
				t.Errorf("%+v", rep)
			}
			harmless := slices.Contains([]string{"clean", "growth", "clients"}, name)
			if harmless != (len(rep.Fired) == 0) {
				t.Errorf("faults that happened: %v", rep.Fired)
			}
			for _, v := range s.Judge([]Trial{trial}) {
				t.Logf("%+v", v)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	for name, says := range map[string]string{
		"tarpit": "did you mean tarpits?", "wholly-unknown": "there are baseline-compare, ", "../scenario": "there are ", "\x1b": "no scenario",
	} {
		s, err := Find(name)
		if s != nil || err == nil || !strings.Contains(err.Error(), says) || strings.ContainsFunc(err.Error(), unprintable) {
			t.Errorf("%q: %v, want %q", name, err, says)
		}
	}
}

// The clean run, the one made again, and the progress of all three.
func TestTry(t *testing.T) {
	s, err := Parse("x.toml", []byte("summary = 'a'\nnodes = 150\nlookups = 100\n[faults]\nblack_hole = 0.2\n[expect]\np95 = '> 1 x clean'"))
	if err != nil {
		t.Fatal(err)
	}
	stages := map[Stage]int{}
	trial, err := s.Try(t.Context(), Options{Seed: 5, Check: true, Memory: true}, func(at Stage, p sim.Progress) { stages[at]++ })
	if err != nil {
		t.Fatal(err)
	}
	rep := trial.Report
	if trial.Seed != 5 || rep.Seed != 5 || rep.Fired["black hole"] == 0 || rep.BytesPerNode == 0 {
		t.Errorf("%+v", rep)
	}
	if trial.Clean == nil || len(trial.Clean.Fired) != 0 || trial.Clean.Seed != 5 {
		t.Errorf("clean: %+v", trial.Clean)
	}
	if c := trial.Check; c == nil || !c.Same || c.Processors[0] == c.Processors[1] || c.Traces[0] != rep.Trace || c.Traces[1] != rep.Trace {
		t.Errorf("check: %+v", trial.Check)
	}
	if stages[Itself] == 0 || stages[Again] == 0 || stages[Clean] == 0 {
		t.Errorf("progress of %v", stages)
	}
	if v := s.Judge([]Trial{trial}); len(v) != 1 || !v[0].Kept || v[0].Limit != float64(trial.Clean.P95) || v[0].Value != float64(rep.P95) {
		t.Errorf("%+v", v)
	}
	other := *rep
	other.Events++
	if compare([2]int{1, 2}, rep, &other).Same {
		t.Error("runs of different lengths are the same")
	}
	other = *rep
	other.Trace = "other"
	if compare([2]int{1, 2}, rep, &other).Same {
		t.Error("runs of different traces are the same")
	}
}

func TestTryEndsWithItsContext(t *testing.T) {
	s, err := Find("clean")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	trial, err := s.Try(ctx, Options{}, func(Stage, sim.Progress) { cancel() })
	if !errors.Is(err, context.Canceled) || trial.Report == nil || trial.Report.Events == 0 || trial.Report.Nodes == 0 {
		t.Errorf("%v: %+v", err, trial)
	}
}

func TestJudge(t *testing.T) {
	report := func(near float64, p95, base time.Duration) *sim.Report {
		r := &sim.Report{Baseline: &sim.Lookups{P95: base}}
		r.Fired = map[string]uint64{"black hole": 3}
		r.Near, r.P95, r.Table.Alive = near, p95, 1
		return r
	}
	trials := []Trial{
		{Report: report(1, time.Second, 4*time.Second), Clean: report(1, time.Second, 0)},
		{Report: report(0.5, 3*time.Second, 2*time.Second), Clean: report(1, time.Second, 0)},
	}
	s := &Scenario{}
	for _, c := range []struct {
		figure, text string
		kept         bool
		show         string
	}{
		{"near", ">= 0.75", true, "near >= 0.75"},
		{"near", " >=0.751", false, "near >= 0.751"},
		{"near", "= 0.75", true, "near = 0.75"},
		{"near", "> 0.75", false, "near > 0.75"},
		{"near", "< 1", true, "near < 1"},
		{"p95", "<= 2s", true, "p95 <= 2s"},
		{"p95", "<= 1999ms", false, "p95 <= 1.999s"},
		{"p95", "<= 2 x clean", true, "p95 <= 2 x clean"},
		{"p95", "<= 1.99 × clean", false, "p95 <= 1.99 x clean"},
		{"p95", "< baseline", true, "p95 < baseline"},
		{"p95", "< 0.5*baseline", false, "p95 < 0.5 x baseline"},
		{"baseline_p95", "= 3s", true, "baseline_p95 = 3s"},
		{"table_alive", "= 1", true, "table_alive = 1"},
		{"fired_black_hole", ">= 3", true, "fired_black_hole >= 3"},
		{"fired_hung", ">= 1", false, "fired_hung >= 1"},
	} {
		b, err := parseBound(c.figure, c.text)
		if err != nil {
			t.Errorf("%s %s: %v", c.figure, c.text, err)
			continue
		}
		s.Expect = []Bound{b}
		if v := s.Judge(trials)[0]; v.Kept != c.kept || v.Bound != c.show {
			t.Errorf("%s %s: %+v, want %v and %q", c.figure, c.text, v, c.kept, c.show)
		}
	}
	s.Expect = []Bound{{Figure: "near", Op: "<=", Limit: 2}}
	if v := s.Judge(trials)[0]; v.Least != 0.5 || v.Most != 1 || v.Value != 0.75 {
		t.Errorf("%+v", v)
	}
	if v := s.Judge(nil)[0]; v.Kept {
		t.Errorf("kept without a run: %+v", v)
	}
	trials[0].Report.Near = math.NaN()
	if v := s.Judge(trials)[0]; v.Kept {
		t.Errorf("kept by what is no number: %+v", v)
	}
}

// What misses a bound never looks as if it kept it.
func TestShow(t *testing.T) {
	for _, c := range []struct {
		figure string
		v      float64
		want   string
	}{
		{"near", 0.9999999, "0.999999"},
		{"near", 1, "1"},
		{"messages", 23.4, "23.4"},
		{"p95", 1.0119e9, "1.011s"},
		{"requests", 123456789, "123456789"},
	} {
		if got := Show(c.figure, c.v); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.figure, c.v, got, c.want)
		}
	}
}

// All numbers of a report are figures, those of other places under longer names.
func TestFigures(t *testing.T) {
	rep := sim.Report{Nodes: 3, Baseline: &sim.Lookups{P50: time.Second}}
	rep.Fired = map[string]uint64{"hung": 4}
	rep.Messages, rep.Requests, rep.Table.Known, rep.BytesPerNode = 5, 6, 7, 8
	f := FiguresOf(&rep)
	for name, want := range map[string]float64{
		"nodes": 3, "fired_hung": 4, "fired_tarpit": 0, "baseline_p50": 1e9, "messages": 5, "requests": 6, "table_known": 7, "bytes_per_node": 8,
	} {
		if got, is := f[name]; !is || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, is, want)
		}
	}
	for _, name := range []string{"p95", "baseline_p95", "wall", "virtual"} {
		if !figureKinds[name] {
			t.Errorf("%s is no duration", name)
		}
	}
	if figureKinds["near"] || figureKinds["p95_"] {
		t.Errorf("%v", figureKinds)
	}
}

func TestScale(t *testing.T) {
	s := &Scenario{Config: sim.Config{Nodes: 100, Lookups: 60, Rate: 0.5, JoinRate: 10}}
	if err := s.Scale(1000, 600); err != nil {
		t.Fatal(err)
	}
	if c := s.Config; c.Nodes != 1000 || c.Lookups != 600 || c.Rate != 5 || c.JoinRate != 100 {
		t.Errorf("%+v", c)
	}
	if err := s.Scale(0, 0); err != nil || s.Config.Nodes != 1000 {
		t.Errorf("%v: %+v", err, s.Config)
	}
	if err := s.Scale(mostNodes+1, 0); err == nil || s.Config.Nodes != 1000 {
		t.Errorf("%v: %+v", err, s.Config)
	}
	big, err := fill(sim.Config{Nodes: 100_000, Lookups: 1})
	if err != nil || big.JoinRate != 500 {
		t.Errorf("%v: %+v", err, big)
	}
}
