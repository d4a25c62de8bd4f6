package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/spf13/cobra"
)

const throttleLong = `Show how a running node bounds what it does for others, whom these bounds hold
back, and what became of requests.

Requests cost units: FIND_NODE, GET_VALUE and ADD_PROVIDER 1, GET_PROVIDERS 2,
PUT_VALUE 5, PING a fifth; their bytes and those of the answers, and signatures
that prove wrong, cost more. A peer in debt is paused until it is paid; one that
does not heed the pauses is refused.`

const setLong = `Change how a running node bounds what it does for others. What is not given stays
as it is; 0 means no limit. The change holds until the node ends.`

const releaseLong = `Let a peer or a subnet that a running node holds back begin anew, with a whole
burst. If it goes on as before, it will soon be held back again.`

// throttleTimeout bounds the talk with a node that runs here.
const throttleTimeout = 10 * time.Second

// throttle is the command with its own commands.
func (a *app) throttle() *cobra.Command {
	most := 20
	cmd := &cobra.Command{
		Use:               "throttle",
		Short:             "Show and change whom a node holds back",
		Long:              throttleLong,
		Example:           "  kdht throttle\n  kdht throttle --json --top 100\n  kdht throttle set --peer-rate 200 --total 5000\n  kdht throttle release 12D3KooW…",
		GroupID:           groupLook,
		Args:              args(0, 0, "no arguments but set and release"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVar(&most, "top", most, "list this many of those held back")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if most < 0 {
			return control.Errorf(control.Usage, "--top %d is below zero: write it like 20", most)
		}
		return a.throttled(cmd, func(ctx context.Context, n *control.Client) (*control.Throttle, error) {
			return n.Throttle(ctx, control.ThrottleRequest{Count: most})
		}, writeThrottle)
	}
	a.whichNode(cmd)
	cmd.AddCommand(a.setThrottle(), a.release())
	return cmd
}

// throttled runs one of the operations on the node that runs here.
func (a *app) throttled(cmd *cobra.Command, op func(context.Context, *control.Client) (*control.Throttle, error), write func(io.Writer, *control.Throttle)) error {
	return a.onNode(cmd, throttleTimeout, func(ctx context.Context, n *control.Client) error {
		t, err := op(ctx, n)
		if err != nil {
			return err
		}
		return a.result(t, func(w io.Writer) { write(w, t) })
	})
}

// setThrottle is `throttle set`.
func (a *app) setThrottle() *cobra.Command {
	var r control.SetThrottleRequest
	cmd := &cobra.Command{
		Use:               "set",
		Short:             "Change a node's limits while it runs",
		Long:              setLong,
		Example:           "  kdht throttle set --peer-rate 200\n  kdht throttle set --total 5000 --total-burst 20000\n  kdht throttle set --near 8 --far 32    # /24 and /16 get 8 and 32 times a peer's rate",
		Args:              args(0, 0, "no arguments but flags"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	figures := []struct {
		name, usage string
		into        **float64
	}{
		{"peer-rate", "`units` a second for each peer", &r.PeerRate},
		{"peer-burst", "`units` at once for each peer (default: ten seconds' worth of a new rate)", &r.PeerBurst},
		{"bursts", "`units` a second that all peers together may take of their bursts", &r.Bursts},
		{"total", "`units` a second for all peers together", &r.TotalRate},
		{"total-burst", "`units` at once for all peers together", &r.TotalBurst},
		{"near", "how many `times` a peer's rate a /24 (IPv6: /56) gets", &r.Near},
		{"far", "how many `times` a peer's rate a /16 (IPv6: /48) gets", &r.Far},
		{"egress", "`bytes` of answers a second for each peer", &r.Egress},
	}
	for _, f := range figures {
		cmd.Flags().Var(&figure{into: f.into}, f.name, f.usage)
	}
	workers := 0
	cmd.Flags().IntVar(&workers, "workers", 0, "requests handled at a time (0: as many as suit the machine)")
	a.whichNode(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("workers") {
			r.Workers = &workers
		}
		if r == (control.SetThrottleRequest{}) {
			return control.Errorf(control.Usage, "nothing to set: give at least one limit, such as --peer-rate 200 (see `kdht throttle set --help`)")
		}
		return a.throttled(cmd, func(ctx context.Context, n *control.Client) (*control.Throttle, error) {
			return n.SetThrottle(ctx, r)
		}, writeLimits)
	}
	return cmd
}

// release is `throttle release`.
func (a *app) release() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "release PEER|SUBNET",
		Short:             "Let one that is held back begin anew",
		Long:              releaseLong,
		Example:           "  kdht throttle release 12D3KooW…\n  kdht throttle release 192.0.2.0/24",
		Args:              args(1, 1, "one PEER or SUBNET"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.whichNode(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		return a.onNode(cmd, throttleTimeout, func(ctx context.Context, n *control.Client) error {
			released, err := n.Release(ctx, control.ReleaseRequest{Who: given[0]})
			if err != nil {
				return err
			}
			return a.result(released, func(w io.Writer) {
				if released.Held {
					fmt.Fprintf(w, "released %s\n", released.Who)
				} else {
					fmt.Fprintf(w, "nothing was held against %s\n", released.Who)
				}
			})
		})
	}
	return cmd
}

// figure is a flag for a limit: a number, zero or above.
type figure struct{ into **float64 }

// Set implements pflag.Value.
func (f *figure) Set(text string) error {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return fmt.Errorf("give a number, or 0 for no limit")
	}
	*f.into = &x
	return nil
}

// String implements pflag.Value.
func (f *figure) String() string {
	if f.into == nil || *f.into == nil {
		return ""
	}
	return strconv.FormatFloat(**f.into, 'g', -1, 64)
}

// Type implements pflag.Value.
func (f *figure) Type() string { return "number" }

// writeLimits writes the bounds.
func writeLimits(w io.Writer, t *control.Throttle) {
	tw := tabwriter.NewWriter(w, 11, 0, 2, ' ', 0)
	l := &t.Limits
	fmt.Fprintf(tw, "a peer\t%s, %s of answers\n", rate(l.PeerRate, l.PeerBurst), perSecond(l.Egress, "bytes"))
	fmt.Fprintf(tw, "bursts\tof all peers together %s\n", perSecond(l.Bursts, "units"))
	fmt.Fprintf(tw, "a subnet\t/24 or /56: %s; /16 or /48: %s\n", times(l.Near), times(l.Far))
	fmt.Fprintf(tw, "in total\t%s\n", rate(l.TotalRate, l.TotalBurst))
	fmt.Fprintf(tw, "workers\t%d, %d busy, %s waiting\n", t.Workers, t.Busy, count(t.Waiting, "request"))
	tw.Flush()
}

// writeThrottle writes all there is.
func writeThrottle(w io.Writer, t *control.Throttle) {
	writeLimits(w, t)
	tw := tabwriter.NewWriter(w, 11, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "requests\t%s\n", counts(t.Requests, "served", "paused", "refused_peer", "refused_egress", "refused_subnet", "refused_total", "refused_handler", "malformed", "unhandled", "failed"))
	fmt.Fprintf(tw, "queue\t%s\n", counts(t.Requests, "waited", "shed_own_queue", "shed_for_others", "shed_late"))
	fmt.Fprintf(tw, "streams\t%s\n", counts(t.Streams, "open", "accepted", "ended", "reset_handler", "reset_silent", "reset_full", "reset_gave_way", "reset_buffers", "reset_resources", "reset_violation"))
	tw.Flush()
	if len(t.Limited) == 0 {
		fmt.Fprintln(w, "held back  nobody")
		return
	}
	fmt.Fprintln(tw, "\nHELD BACK\tBY\tREFUSED\tPAUSED\tSINCE\tNOW")
	for i := range t.Limited {
		f := &t.Limited[i]
		since, now := "-", "served"
		if !f.Since.IsZero() {
			since = f.Since.Local().Format(time.TimeOnly)
		}
		if f.Wait > 0 {
			unit := "units"
			if f.Reason == "egress" {
				unit = "bytes"
			}
			now = fmt.Sprintf("%.0f %s in debt, %s", -f.Level, unit, millis(f.Wait))
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\t%s\n", who(f), f.Reason, f.Refused, f.Paused, since, now)
	}
	tw.Flush()
}

func who(f *control.Limited) string {
	switch {
	case f.Peer != "":
		return f.Peer
	case f.Subnet != "":
		return f.Subnet
	}
	return "everybody"
}

// counts lists counters that are not zero, and the first always.
func counts(all map[string]uint64, names ...string) string {
	var parts []string
	for i, name := range names {
		if all[name] > 0 || i == 0 {
			parts = append(parts, fmt.Sprintf("%d %s", all[name], strings.ReplaceAll(name, "_", " ")))
		}
	}
	return strings.Join(parts, ", ")
}

func rate(units, burst float64) string {
	if units == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%s, %s at once", perSecond(units, "units"), number(burst))
}

func perSecond(x float64, what string) string {
	if x == 0 {
		return "any number of " + what
	}
	return number(x) + " " + what + "/s"
}

func times(x float64) string {
	if x == 0 {
		return "no limit"
	}
	return number(x) + " peers' worth"
}

// number writes x without an exponent.
func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
