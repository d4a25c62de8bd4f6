// Command kdht runs nodes of a Kademlia overlay and talks to them: build it with
// `go build -o kdht ./cmd/node`, then
//
//	kdht dev                            an overlay on this machine, to look at
//	kdht run                            a node; prints the line for the next one
//	kdht put FILE, kdht get KEY, …      use the node that runs here
//
// A command writes what was asked for to standard output and everything else to
// standard error. It ends with 0 if all went well, 1 if not, 2 if it was called
// wrongly, 3 if what was looked for is not there, 4 if no peer could be asked, 5
// if the time was over, 130 if it was interrupted.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/settings"
)

func main() {
	ctx := untilSignal(attached(os.Stdin, os.Stderr))
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(a.main(ctx, os.Args[1:]))
}

// errTerminated is the cause of a context that SIGTERM ended.
var errTerminated = errors.New("terminated")

// untilSignal returns a context that the first SIGINT or SIGTERM ends; a second
// one ends the program at once. A terminal that goes, of a program that is attached to
// one, ends it as SIGTERM does.
func untilSignal(attached bool) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if attached {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		if <-signals != os.Interrupt {
			cancel(errTerminated)
		}
		cancel(context.Canceled)
		signal.Stop(signals)
	}()
	return ctx
}

// app is one call of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	json     bool
	quiet    bool
	logLevel string

	configFile string // as it was given
	file       *settings.File
	from       map[string]string // by flag: who set it
	logged     map[string]string // by subsystem: its level
	session    sessionFlags
}

// main runs the command that args say and returns the program's exit code.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var e *control.Error
	if !errors.As(err, &e) {
		// What has no kind comes from reading the command line.
		e = control.Errorf(control.Usage, "%v (see `kdht --help`)", err)
	}
	a.fail(e)
	return exitCode(e.Kind)
}

// exitCode is what the program ends with after a failure.
func exitCode(k control.Kind) int {
	switch k {
	case control.Usage:
		return 2
	case control.NotFound:
		return 3
	case control.NoPeers:
		return 4
	case control.Timeout:
		return 5
	case control.Interrupted:
		return 130
	}
	return 1
}
