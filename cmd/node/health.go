package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/health"
	"github.com/spf13/cobra"
)

const healthLong = `Say how a running node is, in plain words, and what to do where it is not well. The status
is 0 if it works, also where something could be better, and 1 if it does not.`

func (a *app) health() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:               "health",
		Short:             "Say how a node is, and what to do about it",
		Long:              healthLong,
		Example:           "  kdht health\n  kdht health --quiet || systemctl restart kdht\n  kdht health --strict --json",
		GroupID:           groupLook,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.whichNode(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "end with 1 too where something could be better")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.onNode(cmd, 10*time.Second, func(ctx context.Context, n *control.Client) error {
			s, err := n.Status(ctx)
			if err != nil {
				return err
			}
			t, err := n.Throttle(ctx, control.ThrottleRequest{Count: 1000})
			if err != nil {
				return err
			}
			r, err := n.Records(ctx)
			if err != nil {
				return err
			}
			return a.judged(health.Judge(s, t, r), strict)
		})
	}
	return cmd
}

// judged writes what was found, and fails if that is bad.
func (a *app) judged(all []health.Finding, strict bool) error {
	worst := health.Worst(all)
	if !a.quiet {
		err := a.result(map[string]any{"health": worst, "findings": all}, func(w io.Writer) {
			tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, f := range all {
				fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Level, f.About, f.What)
				if f.Hint != "" {
					fmt.Fprintf(tw, "\t\t→ %s\n", f.Hint)
				}
			}
			tw.Flush()
		})
		if err != nil {
			return err
		}
	}
	if worst == health.Bad || strict && worst != health.OK {
		for _, f := range all {
			if f.Level == worst {
				return control.Errorf(control.Failed, "%s: %s; %s", f.About, f.What, f.Hint)
			}
		}
	}
	return nil
}
