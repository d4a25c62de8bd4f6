package main

import (
	"context"
	"fmt"
	"io"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

func (a *app) findPeer() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "find-peer PEERID",
		Short:             "Find the addresses of a peer",
		Long:              "Find the addresses of a peer: a full multiaddr a line.",
		Example:           "  kdht find-peer 12D3KooW…",
		GroupID:           groupUse,
		Args:              args(1, 1, "one PEERID"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := input.Peer(args[0])
		if err != nil {
			return err
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			found, err := n.FindPeer(ctx, control.PeerRequest{ID: p.ID.String()}, w)
			if err != nil {
				return err
			}
			a.report(found.Report)
			return a.result(found, func(w io.Writer) {
				for _, addr := range full(found.Peer) {
					fmt.Fprintln(w, addr)
				}
			})
		})
	}
	return a.anyNode(cmd)
}
