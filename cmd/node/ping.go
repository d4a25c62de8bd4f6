package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

func (a *app) ping() *cobra.Command {
	var times int
	var pause time.Duration
	cmd := &cobra.Command{
		Use:               "ping PEERID | MULTIADDR",
		Short:             "Ask one peer for a sign of life",
		Long:              "Ask one peer for a sign of life by the DHT's own PING, and print the time it took. A peer\nthat is given by its id alone is looked up first.",
		Example:           "  kdht ping /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…\n  kdht ping --count 5 12D3KooW…",
		GroupID:           groupUse,
		Args:              args(1, 1, "one PEERID or MULTIADDR"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVarP(&times, "count", "n", 1, "how many times")
	cmd.Flags().DurationVar(&pause, "pause", time.Second, "between two")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := input.Peer(args[0])
		if err != nil {
			return err
		}
		if times < 1 || pause < 0 {
			return control.Errorf(control.Usage, "--count is at least 1 and --pause not negative")
		}
		target := control.Peer{ID: p.ID.String(), Addrs: []string{}}
		for _, addr := range p.Addrs {
			target.Addrs = append(target.Addrs, addr.String())
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			return a.pings(ctx, n, target, times, pause)
		})
	}
	return a.anyNode(cmd)
}

// pings asks so many times.
func (a *app) pings(ctx context.Context, n control.Node, target control.Peer, times int, pause time.Duration) error {
	for i := range times {
		if i > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		pong, err := n.Ping(ctx, control.PingRequest{Peer: target}, nil)
		if err != nil {
			return err
		}
		err = a.result(struct {
			ID string `json:"id"`
			*control.Pong
		}{target.ID, pong}, func(w io.Writer) { fmt.Fprintf(w, "%s %s\n", target.ID, millis(pong.Millis)) })
		if err != nil {
			return err
		}
	}
	return nil
}
