package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/scenario"
	"github.com/kdht/kdht/routing/sim"
)

// study is the runs of one scenario, and what came of them so far.
type study struct {
	app      *app
	scenario *scenario.Scenario
	flags    *simFlags

	trials []scenario.Trial // complete ones, broken or not
	broken []uint64         // seeds of those that broke an invariant
	differ []uint64         // seeds of those whose second run was another
}

// begin says what is going to be run.
func (s *study) begin() error {
	if s.app.json {
		return nil
	}
	c := s.scenario
	seeds := fmt.Sprintf("seed %d", c.Config.Seed)
	if c.Seeds > 1 {
		seeds = fmt.Sprintf("%d seeds from %d on", c.Seeds, c.Config.Seed)
	}
	return s.app.result(nil, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n%s, %s, %s\n", c.Name, c.Summary, count(c.Config.Nodes, "node"), count(c.Config.Lookups, "lookup"), seeds)
	})
}

// trial makes the i-th run and writes what came of it. A broken invariant is no
// error here.
func (s *study) trial(ctx context.Context, i int) error {
	seed := s.scenario.Config.Seed + uint64(i)
	picture, err := s.picture(seed) // before a run that may take an hour
	if err != nil {
		return err
	}
	defer picture.Close()
	bar := s.app.simBar(s, i)
	t, err := s.scenario.Try(ctx, scenario.Options{Seed: seed, Check: s.flags.check, Memory: s.flags.memory}, bar.progress)
	bar.end()
	ended := errors.Is(err, context.Canceled)
	if err != nil && !ended && !errors.Is(err, sim.ErrInvariant) {
		return control.Errorf(control.Failed, "%v", err)
	}
	if !ended {
		s.take(&t, err)
	}
	if picture != nil {
		if err := errors.Join(t.Report.WriteSVG(picture), picture.Close()); err != nil {
			return control.Errorf(control.Failed, "cannot write the picture: %v", err)
		}
	}
	line := struct {
		Scenario string `json:"scenario"`
		scenario.Trial
		Interrupted bool `json:"interrupted,omitempty"`
	}{s.scenario.Name, t, ended}
	if err := s.app.result(line, func(w io.Writer) { s.write(w, &t, ended) }); err != nil || !ended {
		return err
	}
	return s.interrupted(i)
}

// take counts a complete run.
func (s *study) take(t *scenario.Trial, err error) {
	s.trials = append(s.trials, *t)
	if err != nil {
		s.broken = append(s.broken, t.Seed)
	}
	if t.Check != nil && !t.Check.Same {
		s.differ = append(s.differ, t.Seed)
	}
}

// picture creates the file for a run's picture; nil if there is to be none.
func (s *study) picture(seed uint64) (*os.File, error) {
	name := s.flags.svg
	if name == "" {
		return nil, nil
	}
	if s.scenario.Seeds > 1 {
		ending := filepath.Ext(name)
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ending), seed, ending)
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, control.Errorf(control.Usage, "cannot write the picture: %v; give another file with --svg", err)
	}
	return file, nil
}

// write writes one run for people: all of it, or a line of many. ended says that
// the user ended it early.
func (s *study) write(w io.Writer, t *scenario.Trial, ended bool) {
	if s.scenario.Seeds == 1 {
		fmt.Fprintln(w)
		_ = t.Report.WriteText(w)
		if t.Clean != nil {
			fmt.Fprintf(w, "\nthe same network without faults:\n")
			_ = t.Clean.WriteText(w)
		}
	} else {
		f := scenario.FiguresOf(t.Report)
		soFar := ""
		if ended {
			soFar = " so far"
		}
		fmt.Fprintf(w, "seed %d%s:", t.Seed, soFar)
		for _, name := range []string{"success", "near", "messages", "p50", "p95", "table_alive"} {
			fmt.Fprintf(w, " %s %s,", name, scenario.Show(name, rounded(f[name])))
		}
		fmt.Fprintf(w, " %d events in %v, trace %s\n", t.Report.Events, t.Report.Wall.Round(time.Millisecond), t.Report.Trace)
		for _, v := range t.Report.Violations {
			fmt.Fprintf(w, "  BROKEN %s\n", v)
		}
	}
	if c := t.Check; c != nil {
		verdict := "the same event for event"
		if !c.Same {
			verdict = "NOT THE SAME"
		}
		fmt.Fprintf(w, "made twice, with %s and with %d: %s (%s, %s)\n", count(c.Processors[0], "processor"), c.Processors[1], verdict, c.Traces[0], c.Traces[1])
	}
}

// rounded is for figures that no bound is held against.
func rounded(v float64) float64 {
	if math.Abs(v) > 1e6 {
		return v // a time
	}
	return math.Round(v*1e4) / 1e4
}

// end holds what came of all runs against what is expected, and says why the
// command fails if it does.
func (s *study) end() error {
	verdicts := s.scenario.Judge(s.trials)
	var missed []scenario.Verdict
	for _, v := range verdicts {
		if !v.Kept {
			missed = append(missed, v)
		}
	}
	err := s.failure(verdicts, missed)
	sum := struct {
		Scenario string             `json:"scenario"`
		Seeds    int                `json:"seeds"`
		Expected []scenario.Verdict `json:"expected"`
		Broken   []uint64           `json:"broken_seeds,omitempty"`
		Differ   []uint64           `json:"differing_seeds,omitempty"`
		OK       bool               `json:"ok"`
	}{s.scenario.Name, len(s.trials), verdicts, s.broken, s.differ, err == nil}
	failed := s.app.result(sum, func(w io.Writer) {
		if len(verdicts) > 0 {
			fmt.Fprintln(w)
		}
		for _, v := range verdicts {
			s.verdict(w, &v)
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// verdict writes whether one bound was kept.
func (s *study) verdict(w io.Writer, v *scenario.Verdict) {
	word := "kept    "
	if !v.Kept {
		word = "NOT KEPT"
	}
	fmt.Fprintf(w, "%s  %s: %s", word, v.Bound, scenario.Show(v.Figure, v.Value))
	if strings.HasSuffix(v.Bound, "clean") || strings.HasSuffix(v.Bound, "baseline") {
		fmt.Fprintf(w, " against %s", scenario.Show(v.Figure, v.Limit))
	}
	if s.scenario.Seeds > 1 {
		fmt.Fprintf(w, " (%s to %s)", scenario.Show(v.Figure, v.Least), scenario.Show(v.Figure, v.Most))
	}
	fmt.Fprintln(w)
}

// failure says in one line what is wrong, or is nil.
func (s *study) failure(verdicts, missed []scenario.Verdict) error {
	again := func(seed uint64) string {
		line := fmt.Sprintf("see it again with --seed %d", seed)
		if s.scenario.Seeds > 1 {
			line += " --seeds 1"
		}
		return line
	}
	switch {
	case len(s.broken) > 0:
		return control.Errorf(control.Failed, "%s broke a rule that must always hold; %s", some(len(s.broken), s.scenario.Seeds, "run"), again(s.broken[0]))
	case len(s.differ) > 0:
		return control.Errorf(control.Failed, "%s gave another result when made again; %s --check", some(len(s.differ), s.scenario.Seeds, "run"), again(s.differ[0]))
	case len(missed) > 0:
		return control.Errorf(control.Failed, "%s does not do what is expected of it: %s, but it is %s (%s not kept)",
			s.scenario.Name, missed[0].Bound, scenario.Show(missed[0].Figure, missed[0].Value), some(len(missed), len(verdicts), "bound"))
	}
	return nil
}

// some is "2 of 20 runs".
func some(n, of int, what string) string { return fmt.Sprintf("%d of %s", n, count(of, what)) }

// interrupted ends the command when the user does; the run under way was the i-th.
func (s *study) interrupted(i int) error {
	if s.scenario.Seeds > 1 {
		return control.Errorf(control.Interrupted, "interrupted in run %d of %d: the figures above are what there is", i+1, s.scenario.Seeds)
	}
	return control.Errorf(control.Interrupted, "interrupted: the report above is what there is so far")
}
