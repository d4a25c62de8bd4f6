package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/cmd/node/internal/screen"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const traceLong = `Draw a lookup while it runs: who is asked, who told of that peer, how many leading bits
its key shares with the one looked for (the more, the nearer), and what became of it. A
peer that has not answered within a second is late; its answer counts all the same.

On a terminal the picture changes as answers come; elsewhere each step is a line. With
--json each step is {"hop":…}, and the last line is the summary.`

func (a *app) trace() *cobra.Command {
	what := "nearest"
	cmd := &cobra.Command{
		Use:               "trace KEY | CID | PEERID",
		Short:             "Draw a lookup while it runs",
		Long:              traceLong,
		Example:           "  kdht trace hello\n  kdht trace --for value /imm/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n  kdht trace --for providers bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
		GroupID:           groupUse,
		Args:              args(1, 1, "one KEY, CID or PEERID"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.anyNode(cmd)
	cmd.Flags().StringVar(&what, "for", what, "what to look for: nearest (peers), value, providers or peer")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"nearest", "value", "providers", "peer"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, op, err := traced(what, args[0])
		if err != nil {
			return err
		}
		a.session.trace = false // the picture says more
		return a.operate(cmd, func(ctx context.Context, n control.Node, _ control.Watch) error {
			t := a.tracer(key)
			report, err := t.watch(func(w control.Watch) (control.Report, error) { return op(ctx, n, w) })
			if err != nil {
				return err
			}
			if a.json {
				return a.written(writeJSON(a.stdout, map[string]any{"key": key.String(), "report": report}))
			}
			_, err = fmt.Fprintf(a.stdout, "%s, %d answered%s, %d late; %s; %s; nearest shares %d bits\n", count(report.Asked, "request"), report.Answered,
				failures(report.Failed), t.late, count(report.Hops, "hop"), millis(report.Millis), t.nearest)
			return a.written(err)
		})
	}
	return cmd
}

// lookup is an operation that is one lookup.
type lookup func(context.Context, control.Node, control.Watch) (control.Report, error)

// traced returns where a lookup goes, and the lookup.
func traced(what, text string) (key keyspace.Key, op lookup, err error) {
	target, err := input.Target(text)
	switch what {
	case "nearest":
		op = func(ctx context.Context, n control.Node, w control.Watch) (control.Report, error) {
			c, err := n.Closest(ctx, control.ClosestRequest{Key: target}, w)
			return reportOf(c, func() control.Report { return c.Report }), err
		}
	case "value":
		target, err = input.Key(text)
		op = func(ctx context.Context, n control.Node, w control.Watch) (control.Report, error) {
			v, err := n.Get(ctx, control.GetRequest{Key: target}, w)
			return reportOf(v, func() control.Report { return v.Report }), err
		}
	case "providers":
		var c cid.Cid
		if c, err = input.CID(text); err == nil {
			target = c.Hash()
		}
		op = func(ctx context.Context, n control.Node, w control.Watch) (control.Report, error) {
			p, err := n.FindProviders(ctx, control.ProvidersRequest{CID: c.String()}, w)
			return reportOf(p, func() control.Report { return p.Report }), err
		}
	case "peer":
		var p peer.AddrInfo
		if p, err = input.Peer(text); err == nil {
			target = multihash.Multihash(p.ID)
		}
		op = func(ctx context.Context, n control.Node, w control.Watch) (control.Report, error) {
			f, err := n.FindPeer(ctx, control.PeerRequest{ID: p.ID.String()}, w)
			return reportOf(f, func() control.Report { return f.Report }), err
		}
	default:
		err = control.Errorf(control.Usage, "--for %.20q: use nearest, value, providers or peer", what)
	}
	return keyspace.KeyOf(target), op, err
}

func reportOf[T any](result *T, report func() control.Report) control.Report {
	if result == nil {
		return control.Report{}
	}
	return report()
}

const (
	// lateAfter is when a peer that has not answered is shown as late.
	lateAfter = time.Second
	// redraw is how often the picture changes if nothing happens.
	redraw = 200 * time.Millisecond
	// maxTraced bounds the peers of one picture.
	maxTraced = 2000
)

// tracer is the picture of one lookup.
type tracer struct {
	app  *app
	key  keyspace.Key
	show *screen.Screen // nil: lines

	mu      sync.Mutex
	rows    []*tracedPeer
	known   map[string]*tracedPeer
	late    int
	nearest int
}

// tracedPeer is one peer of a lookup.
type tracedPeer struct {
	id, from string // from is who named it first; empty: the node knew it
	shared   int    // bits with the key
	hop      int
	asked    float64 // ms since the beginning, below zero: not yet
	took     float64
	state    string
	closer   int
}

func (a *app) tracer(key keyspace.Key) *tracer {
	t := &tracer{app: a, key: key, known: make(map[string]*tracedPeer)}
	if file, ok := a.stdout.(*os.File); ok && a.animated() && isTerminal(a.stdout) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err == nil && width > 20 && height > 4 {
			t.show = &screen.Screen{W: a.stdout, Width: width, Height: height}
		}
	}
	return t
}

// watch runs a lookup and draws it.
func (t *tracer) watch(op func(control.Watch) (control.Report, error)) (control.Report, error) {
	began, done := time.Now(), make(chan struct{})
	var drawing sync.WaitGroup
	if t.show != nil {
		drawing.Go(func() {
			ticks := time.NewTicker(redraw)
			defer ticks.Stop()
			for {
				select {
				case <-ticks.C:
					t.draw(control.Millis(time.Since(began)))
				case <-done:
					return
				}
			}
		})
	}
	report, err := op(func(e control.Event) {
		if e.Hop != nil {
			t.step(e.Hop)
		}
	})
	close(done)
	drawing.Wait()
	if t.show != nil {
		t.draw(control.Millis(time.Since(began)))
	}
	return report, err
}

// peer returns a peer of the picture, new if it is not in it.
func (t *tracer) peer(id string) *tracedPeer {
	p := t.known[id]
	if p == nil {
		p = &tracedPeer{id: id, asked: -1}
		if decoded, err := peer.Decode(id); err == nil {
			at := keyspace.KeyOfString(string(decoded))
			p.shared = keyspace.CommonPrefixLen(&t.key, &at)
		}
		if len(t.known) < maxTraced {
			t.known[id] = p
		}
	}
	return p
}

// step takes one step of the lookup.
func (t *tracer) step(h *control.Hop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peer(h.Peer)
	switch h.Step {
	case "asking":
		if p.asked < 0 && len(t.rows) < maxTraced {
			t.rows = append(t.rows, p)
		}
		p.asked, p.hop, p.state = h.Millis, h.Hop, "asked"
	case "answered", "failed":
		p.took, p.state = h.Millis-p.asked, h.Step
		if h.Step == "failed" {
			p.state = "failed: " + control.Clean(h.Cause)
		}
		if p.took > control.Millis(lateAfter) {
			t.late++
			p.state += " late"
		}
		if h.Step == "answered" {
			t.nearest = max(t.nearest, p.shared)
		}
		p.closer = len(h.Closer)
		for _, id := range h.Closer {
			if named := t.peer(id); named.from == "" && named.asked < 0 && named != p {
				named.from = h.Peer
			}
		}
	case "value", "provider":
		p.state = "has it"
	}
	if t.show == nil {
		t.line(h, p)
	}
}

// line writes a step where there is no picture.
func (t *tracer) line(h *control.Hop, p *tracedPeer) {
	if t.app.json {
		_ = writeJSON(t.app.stdout, map[string]any{"hop": h, "shared_bits": p.shared, "told_by": p.from})
		return
	}
	what := hopText(h)
	if h.Step == "asking" {
		what += fmt.Sprintf(", which shares %d bits, %s", p.shared, p.origin())
	}
	_, _ = fmt.Fprintf(t.app.stdout, "%9.1f ms  %s\n", h.Millis, what)
}

func (p *tracedPeer) origin() string {
	if p.from == "" {
		return "from the node's own table"
	}
	return "told by " + short(p.from)
}

// draw draws the picture as it is now, so many milliseconds after the beginning.
func (t *tracer) draw(now float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.show.Draw(t.lines(now))
}

// lines is the picture.
func (t *tracer) lines(now float64) []string {
	out := []string{"  asked at  hop  peer        shares  told by        what became of it"}
	for _, p := range t.rows {
		from := "own table"
		if p.from != "" {
			from = short(p.from)
		}
		state, color := p.state, "32"
		switch {
		case p.state == "asked" && now-p.asked > control.Millis(lateAfter):
			state, color = fmt.Sprintf("late, for %s", millis(now-p.asked)), "33"
		case p.state == "asked":
			state, color = "…", ""
		case p.took > 0 && p.state[0] == 'f':
			color = "31"
		case p.took > 0:
			state = fmt.Sprintf("%s after %s, %s", p.state, millis(p.took), count(p.closer, "new peer"))
		}
		if color != "" && t.app.colored() {
			state = "\x1b[" + color + "m" + state + "\x1b[0m"
		}
		out = append(out, fmt.Sprintf("%7.0f ms  %3d  %-10s  %3d bit  %-13s  %s", p.asked, p.hop, short(p.id), p.shared, from, state))
	}
	return out
}
