package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/spf13/cobra"
)

func (a *app) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show who a node is and how it is",
		Example:           "  kdht status\n  kdht status --name node-2 --json",
		GroupID:           groupLook,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.operate(cmd, func(ctx context.Context, n control.Node, _ control.Watch) error {
			s, err := n.Status(ctx)
			if err != nil {
				return err
			}
			return a.result(s, func(w io.Writer) { writeStatus(w, s) })
		})
	}
	return a.anyNode(cmd)
}

// lookups says how many lookups there were and how many of them had something of others.
func lookups(l *control.Lookups) string {
	all := l.Answered + l.Missing + l.Joined + l.Begun + l.Anew
	if all == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d: %d answered from memory, %d of them with nothing; %d joined another; %d began where one had ended",
		all, l.Answered+l.Missing, l.Missing, l.Joined, l.Begun)
}

func writeStatus(w io.Writer, s *control.Status) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(tw, name+"\t"+format+"\n", args...) }
	row("id", "%s", s.ID)
	for i, addr := range full(s.Peer) {
		row([]string{"addresses", ""}[min(i, 1)], "%s", addr)
	}
	row("mode", "%s (%s)", s.Mode, s.ModeReason)
	row("network", "%s", s.Network)
	row("profile", "%s", s.Profile)
	row("protocol", "%s", s.Protocol)
	row("keys", "/%s/…", strings.Join(s.Namespaces, "/…, /"))
	row("knows", "%s, %s open", count(s.Peers, "peer"), count(s.Connections, "connection"))
	if s.Lonely != "" {
		row("", "%s", s.Lonely)
	}
	row("holds", "%s, %s", count(s.Values, "value"), count(s.Providers, "provider record"))
	if l := s.LAN; l != nil {
		row("beside", "%s, %s: %s, holds %s, %s", l.Protocol, l.Mode, count(l.Peers, "peer"), count(l.Values, "value"), count(l.Providers, "provider record"))
		if l.Lonely != "" {
			row("", "%s", l.Lonely)
		}
	}
	row("announces", "%s", count(s.Providing, "key"))
	row("lookups", "%s", lookups(&s.Lookups))
	row("up", "%s", time.Duration(s.Uptime*float64(time.Second)).Round(time.Second))
	tw.Flush()
}
