package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"golang.org/x/term"
)

// writeJSON writes one object as a line.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// result writes the outcome of a command: v as JSON, or what text writes.
func (a *app) result(v any, text func(w io.Writer)) error {
	if a.json {
		return a.written(writeJSON(a.stdout, v))
	}
	var b strings.Builder
	text(&b)
	_, err := io.WriteString(a.stdout, b.String())
	return a.written(err)
}

// isTerminal reports whether people are at the other end of a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// animated reports whether people look at what goes on: bars and pictures that change are for them alone.
func (a *app) animated() bool {
	return !a.json && !a.quiet && isTerminal(a.stderr) && a.getenv("TERM") != "dumb"
}

// colored reports whether people want colors (https://no-color.org).
func (a *app) colored() bool { return a.getenv("NO_COLOR") == "" }

// written says that standard output is gone.
func (a *app) written(err error) error {
	if err != nil {
		return control.Errorf(control.Failed, "cannot write the result: %v", err)
	}
	return nil
}

// note writes a line for people; with --json and --quiet there are none.
func (a *app) note(format string, args ...any) {
	if !a.json && !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// fail writes why the command failed: one line.
func (a *app) fail(e *control.Error) {
	if a.json {
		_ = writeJSON(a.stderr, map[string]any{"error": e, "exit": exitCode(e.Kind)})
		return
	}
	if e.Report != nil && e.Report.Asked > 0 {
		a.report(*e.Report)
	}
	fmt.Fprintf(a.stderr, "kdht: %s\n", control.Clean(e.Message))
}

// report writes what an operation did.
func (a *app) report(r control.Report) {
	a.note("%s, %d answered%s; %s; %s", count(r.Asked, "request"), r.Answered, failures(r.Failed), count(r.Hops, "hop"), millis(r.Millis))
}

// failures lists causes in order.
func failures(failed map[string]int) string {
	if len(failed) == 0 {
		return ", 0 failed"
	}
	var parts []string
	for cause, n := range failed {
		parts = append(parts, fmt.Sprintf("%d %s", n, cause))
	}
	slices.Sort(parts)
	return ", failed: " + strings.Join(parts, ", ")
}

// millis writes a duration with as many digits as are of use.
func millis(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hop writes one step of a lookup.
func (a *app) hop(e control.Event) {
	h := e.Hop
	if h == nil {
		return
	}
	if a.json {
		_ = writeJSON(a.stdout, e)
		return
	}
	a.note("%7.1f ms  %s", h.Millis, hopText(h))
}

func hopText(h *control.Hop) string {
	who := short(h.Peer)
	switch h.Step {
	case "asking":
		return fmt.Sprintf("hop %d: asking %s", h.Hop, who)
	case "answered":
		return fmt.Sprintf("%s answered, %s", who, count(len(h.Closer), "new peer"))
	case "failed":
		return fmt.Sprintf("%s failed: %s", who, control.Clean(h.Cause))
	case "value":
		if h.Local {
			return "this node itself has the value"
		}
		return who + " has the value"
	case "provider":
		return who + " provides it"
	}
	return h.Step + " " + who
}

// short is how a peer is called where its whole id would not fit: the ids of
// Ed25519 keys all begin with 12D3KooW.
func short(id string) string {
	if len(id) > 20 {
		return "…" + id[len(id)-8:]
	}
	return id
}

// full returns a peer's addresses, each ending in its id.
func full(p control.Peer) []string {
	out := make([]string, len(p.Addrs))
	for i, a := range p.Addrs {
		out[i] = control.Clean(a + "/p2p/" + p.ID)
	}
	return out
}
