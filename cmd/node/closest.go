package main

import (
	"context"
	"fmt"
	"io"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

func (a *app) closest() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "closest KEY | CID | PEERID",
		Short:             "Find the peers nearest to a key",
		Long:              "Find the live peers nearest to a key: an id a line, nearest first. The key is that of a\nvalue, a CID, a peer's id, or any text; what counts is its SHA-256.",
		Example:           "  kdht closest /imm/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		GroupID:           groupUse,
		Args:              args(1, 1, "one KEY, CID or PEERID"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := input.Target(args[0])
		if err != nil {
			return err
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			c, err := n.Closest(ctx, control.ClosestRequest{Key: key}, w)
			if err != nil {
				return err
			}
			a.report(c.Report)
			return a.result(c, func(w io.Writer) {
				for _, p := range c.Peers {
					fmt.Fprintln(w, p.ID)
				}
			})
		})
	}
	return a.anyNode(cmd)
}
