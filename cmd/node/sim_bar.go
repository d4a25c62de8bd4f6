package main

import (
	"fmt"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/scenario"
	"github.com/kdht/kdht/routing/sim"
	"github.com/schollz/progressbar/v3"
)

// simBar shows people how far a trial has come; to others it shows nothing.
type simBar struct {
	bar     *progressbar.ProgressBar // nil: nobody looks
	seed    string
	stage   scenario.Stage
	since   time.Time // of the stage
	shown   time.Time
	started bool
}

// simBar returns the bar of a study's i-th trial.
func (a *app) simBar(s *study, i int) *simBar {
	b := &simBar{}
	if !a.animated() {
		return b
	}
	if s.scenario.Seeds > 1 {
		b.seed = fmt.Sprintf("%d/%d ", i+1, s.scenario.Seeds)
	}
	b.bar = progressbar.NewOptions64(1000, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetWidth(10),
		progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
	return b
}

// progress is what a trial calls.
func (b *simBar) progress(stage scenario.Stage, p sim.Progress) {
	if b.bar == nil {
		return
	}
	now := time.Now()
	if !b.started || stage != b.stage {
		b.started, b.stage, b.since = true, stage, now
		b.bar.Reset()
	}
	if now.Sub(b.shown) < 200*time.Millisecond || now.Sub(b.since) < 200*time.Millisecond {
		return
	}
	b.shown = now
	b.bar.Describe(b.seed + b.text(p, now.Sub(b.since)))
	_ = b.bar.Set64(min(999, int64(1000*p.Virtual/max(1, p.End)))) // a bar that cannot be drawn is no loss
}

// text says how far a run has come, shortly, so that it fits beside the bar.
func (b *simBar) text(p sim.Progress, since time.Duration) string {
	what := fmt.Sprintf("%d/%d nodes", p.Up, p.Nodes)
	if p.Up >= p.Nodes {
		what = fmt.Sprintf("%d/%d lookups", p.Lookups, p.Of)
	}
	if b.stage != scenario.Itself {
		what = string(b.stage) + ": " + what
	}
	return fmt.Sprintf("%s, %v virtual, %.0fk events/s", what, p.Virtual.Round(time.Second), float64(p.Events)/since.Seconds()/1000)
}

// end takes the bar away.
func (b *simBar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
