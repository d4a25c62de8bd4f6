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

func (a *app) table() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "table",
		Short:             "Show a node's routing table",
		Long:              "Show a node's routing table: its peers by the number of leading bits that their keys share\nwith the node's own, in each bucket those heard of longest ago first.",
		Example:           "  kdht table\n  kdht table --json | jq '.buckets[].prefix'",
		GroupID:           groupLook,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.operate(cmd, func(ctx context.Context, n control.Node, _ control.Watch) error {
			t, err := n.Table(ctx)
			if err != nil {
				return err
			}
			a.note("%s in %s of %s", count(t.Peers, "peer"), count(len(t.Buckets), "bucket"), t.ID)
			return a.result(t, func(w io.Writer) { writeTable(w, t, time.Now()) })
		})
	}
	return a.anyNode(cmd)
}

func writeTable(w io.Writer, t *control.Table, now time.Time) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PREFIX\tPEER\tSEEN\tCONNECTED\tADDRESS")
	for _, b := range t.Buckets {
		for _, e := range b.Peers {
			connected, addr := "no", "-"
			if e.Connected {
				connected = "yes"
			}
			if len(e.Addrs) > 0 {
				addr = control.Clean(e.Addrs[0])
			}
			fmt.Fprintf(tw, "%d\t%s\t%s ago\t%s\t%s\n", b.Prefix, e.ID, max(0, now.Sub(e.LastSeen)).Round(time.Second), connected, addr)
		}
		if b.Replacements > 0 {
			fmt.Fprintf(tw, "%d\t(%s waiting)\t\t\t\n", b.Prefix, count(b.Replacements, "replacement"))
		}
	}
	tw.Flush()
}
