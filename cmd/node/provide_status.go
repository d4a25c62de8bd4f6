package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/spf13/cobra"
)

const provideStatusLong = `Show how far a running node is with announcing its keys.

A node goes through the keyspace once every 22 hours and announces its keys by the
way; keys that are new, or that too few peers took, are announced out of their turn.
A key counts as taken when half of the peers nearest to it have it.`

// provideStatus is "provide status".
func (a *app) provideStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show how far a node is with announcing its keys",
		Long:              provideStatusLong,
		Example:           "  kdht provide status\n  kdht provide status --json",
		Args:              args(0, 0, "no arguments; a file of the name status is ./status"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.onNode(cmd, throttleTimeout, func(ctx context.Context, n *control.Client) error {
			s, err := n.Status(ctx)
			if err != nil {
				return err
			}
			return a.result(announcing{s.Providing, s.Announcing}, func(w io.Writer) { writeAnnouncing(w, s) })
		})
	}
	a.whichNode(cmd)
	return cmd
}

type announcing struct {
	Keys int `json:"keys"`
	control.Announcing
}

func writeAnnouncing(w io.Writer, s *control.Status) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	row := func(name, format string, args ...any) { fmt.Fprintf(tw, name+"\t"+format+"\n", args...) }
	a := &s.Announcing
	row("keys", "%d, %d to be announced out of their turn", s.Providing, a.Due)
	if a.Period <= 0 {
		row("", "this node announces nothing by itself")
		return
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)).Round(time.Second) }
	row("region", "%s…, %.1f %% of a cycle of %v", a.Region, 100*a.Done, seconds(a.Period))
	switch {
	case a.Behind > 60:
		row("schedule", "%v behind", seconds(a.Behind))
	case a.Behind < -60:
		row("schedule", "%v ahead", seconds(-a.Behind))
	default:
		row("schedule", "on time")
	}
	if a.Visiting > 0 {
		row("visiting", "%s, %s", count(a.Visiting, "key"), count(a.Peers, "peer"))
	}
	row("this cycle", "%s", cycle(&a.Now))
	if a.Before != nil {
		row("last cycle", "%s", cycle(a.Before))
	}
}

// cycle says what was done in a cycle.
func cycle(c *control.Cycle) string {
	if c.Keys == 0 {
		return "nothing announced"
	}
	return fmt.Sprintf("%s announced, %.2f %% taken; %d announcements and %d other requests, %s", count(c.Keys, "key"),
		100*float64(c.Taken)/float64(c.Keys), c.Sent, c.Asked, count(c.Visits, "visit"))
}
