package main

import (
	"context"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

const provideLong = `Announce that this node has some content, now and every 22 hours while it runs.

The content is named by a CID, or is a file whose CID is computed: version 1, raw,
SHA-256 of its bytes. The file stays where it is: others learn who has it and ask
that peer for it in their own way. The CID is printed.

With - each line of standard input is a CID or a path, and as many are announced at a
time as the node can take, those that lie near each other after each other. Each CID is
printed when it is through (with --json an object, failed ones too); --timeout is for
each of them.`

func (a *app) provide() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "provide CID | FILE | -",
		Short:   "Announce content, print its CID",
		Long:    provideLong,
		Example: "  kdht provide README.md\n  kdht provide bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku\n  find . -type f | kdht provide -",
		GroupID: groupUse,
		Args:    args(1, 1, "one CID or FILE, or - for a list of them on standard input"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if args[0] == input.Stdin {
			return a.provideMany(cmd.Context())
		}
		c, err := input.Content(args[0], a.stdin)
		if err != nil {
			return err
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			p, err := n.Provide(ctx, control.ProvideRequest{CID: c.String()}, w)
			if err != nil {
				return err
			}
			return a.provided(c, p)
		})
	}
	cmd.AddCommand(a.provideStatus())
	return a.anyNode(cmd)
}

// provided writes the outcome.
func (a *app) provided(c cid.Cid, p *control.Provided) error {
	a.note("announced to %s", count(len(p.Report.Holders), "peer"))
	a.report(p.Report)
	if len(a.session.bootstrap) > 0 {
		a.note("this client ends now, so nobody can fetch the content from it: a node that runs (`kdht run`) can be found and asked")
	}
	return a.result(struct {
		CID    string         `json:"cid"`
		Report control.Report `json:"report"`
	}{c.String(), p.Report}, func(w io.Writer) { fmt.Fprintln(w, c) })
}
