package main

import (
	"cmp"
	"os"
	"os/signal"
	"syscall"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/settings"
	"github.com/spf13/pflag"
)

// hangups returns where each SIGHUP is told, and how to end that. A program of a terminal
// hears of none: to it a hangup is the end (untilSignal).
func (a *app) hangups() (<-chan os.Signal, func()) {
	hangups := make(chan os.Signal, 1)
	if attached(a.stdin, a.stderr) {
		return hangups, func() {}
	}
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups, func() { signal.Stop(hangups) }
}

// attached reports whether a program of these ends when its terminal does: one that was
// started to outlive it ignores SIGHUP.
func attached(stdin, stderr any) bool {
	return (isTerminal(stdin) || isTerminal(stderr)) && !ignoresHangup
}

// ignoresHangup is as it was when the program began, before anything listened.
var ignoresHangup = signal.Ignored(syscall.SIGHUP)

// wouldStart checks that a node could be started with a file, the variables, and the flags
// that this one was started with.
func (o *operator) wouldStart(now *settings.File) error {
	a := o.app
	b := &app{stdin: a.stdin, stdout: a.stdout, stderr: a.stderr, getenv: a.getenv}
	f := &runFlags{}
	root, run := b.root(), b.runWith(f)
	root.AddCommand(run)
	run.InheritedFlags() // which joins those of the root to its own
	b.configFile, b.file = a.configFile, now
	var failed error
	o.cmd.Flags().VisitAll(func(given *pflag.Flag) {
		if failed != nil || a.from[given.Name] != fromFlag {
			return
		}
		values := []string{given.Value.String()}
		if list, ok := given.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		failed = setAll(run, run.Flags().Lookup(given.Name), values)
	})
	if failed != nil {
		return control.AsError(failed)
	}
	if err := b.settleFlags(run); err != nil {
		return err
	}
	_, err := b.nodeConfig(f)
	return err
}

// keepBursts adds to limits that change the bursts of the rates among them that do not
// change: a new rate alone would get the burst that suits it.
func (o *operator) keepBursts(now *settings.File, limits map[string]string) {
	given := now.Table(settings.Limits)
	for rate, burst := range map[string]string{"peer-rate": "peer-burst", "total": "total-burst"} {
		if _, changes := limits[rate]; !changes || limits[burst] != "" {
			continue
		}
		if holds := cmp.Or(o.own[burst], given[burst]); holds != "" {
			limits[burst] = holds
		}
	}
}
