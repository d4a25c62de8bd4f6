package scenario

import (
	"context"
	"runtime"
	"slices"

	"github.com/kdht/kdht/routing/sim"
)

// Options are what a command line adds to a file.
type Options struct {
	Seed uint64
	// Check makes the run twice, with different numbers of processors.
	Check bool
	// Memory measures the heap per node.
	Memory bool
}

// Trial is one seed's run.
type Trial struct {
	Seed   uint64      `json:"seed"`
	Report *sim.Report `json:"report"`
	// Clean is the same network without faults; nil if no bound asks for it.
	Clean *sim.Report `json:"clean,omitempty"`
	Check *Check      `json:"check,omitempty"`
}

// Check is how a run went that was made twice.
type Check struct {
	Processors [2]int    `json:"processors"`
	Traces     [2]string `json:"traces"`
	Same       bool      `json:"same"`
}

// Stage says what a trial is doing: the run itself, or one of those beside it.
type Stage string

// The stages of a trial.
const (
	Itself Stage = ""
	Again  Stage = "again"
	Clean  Stage = "clean"
)

// Try makes the run of one seed, and those beside it that are asked for. It
// returns what there is together with an error: ctx's if that ended it, or one
// that wraps sim.ErrInvariant. progress may be nil.
func (s *Scenario) Try(ctx context.Context, o Options, progress func(Stage, sim.Progress)) (Trial, error) {
	c, err := fill(s.Config)
	if err != nil {
		return Trial{}, err
	}
	c.Seed = o.Seed
	c.Measure.Memory = c.Measure.Memory || o.Memory
	run := func(stage Stage, c sim.Config) (*sim.Report, error) {
		var told func(sim.Progress)
		if progress != nil {
			told = func(p sim.Progress) { progress(stage, p) }
		}
		rep, err := sim.Run(ctx, c, told)
		return &rep, err
	}
	t := Trial{Seed: o.Seed}
	if t.Report, err = run(Itself, c); err != nil {
		return t, err
	}
	if o.Check {
		before := runtime.GOMAXPROCS(0)
		after := 1
		if before == 1 {
			after = 2
		}
		runtime.GOMAXPROCS(after)
		again, err := run(Again, c)
		runtime.GOMAXPROCS(before)
		if err != nil {
			return t, err
		}
		t.Check = compare([2]int{before, after}, t.Report, again)
	}
	if slices.ContainsFunc(s.Expect, func(b Bound) bool { return b.Than == cleanRun }) {
		t.Clean, err = run(Clean, clean(c))
	}
	return t, err
}

// compare holds two runs of the same Config side by side.
func compare(processors [2]int, a, b *sim.Report) *Check {
	return &Check{Processors: processors, Traces: [2]string{a.Trace, b.Trace}, Same: a.Trace == b.Trace && a.Events == b.Events}
}

// Verdict says whether a bound was kept.
type Verdict struct {
	// Bound is as in the file, with its figure.
	Bound string `json:"bound"`
	Kept  bool   `json:"kept"`
	// Value is the figure's mean over all seeds, Least and Most its extremes, Limit
	// what it was held against.
	Value  float64 `json:"value"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
	Limit  float64 `json:"limit"`
	Figure string  `json:"figure"`
}

// Judge holds the means over all trials against what the scenario expects.
func (s *Scenario) Judge(trials []Trial) []Verdict {
	var own, beside []Figures
	for i := range trials {
		own = append(own, FiguresOf(trials[i].Report))
		if trials[i].Clean != nil {
			beside = append(beside, FiguresOf(trials[i].Clean))
		}
	}
	verdicts := make([]Verdict, 0, len(s.Expect))
	for _, b := range s.Expect {
		v := Verdict{Bound: b.String(), Figure: b.Figure, Limit: b.Limit}
		v.Value, v.Least, v.Most = spread(own, b.Figure)
		switch b.Than {
		case cleanRun:
			mean, _, _ := spread(beside, b.Figure)
			v.Limit *= mean
		case baselineRun:
			mean, _, _ := spread(own, baselinePrefix+b.Figure)
			v.Limit *= mean
		}
		v.Kept = len(trials) > 0 && b.holds(v.Value, v.Limit)
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// spread returns the mean and the extremes of a figure.
func spread(all []Figures, figure string) (mean, least, most float64) {
	for i, f := range all {
		v := f[figure]
		mean += v
		if i == 0 || v < least {
			least = v
		}
		if i == 0 || v > most {
			most = v
		}
	}
	return mean / float64(max(1, len(all))), least, most
}
