package main

import (
	"context"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

const findProvidersLong = `Find who has announced some content: a line for each peer, as it is found, with its
id and its addresses. A provider whose addresses are only learned later is written
once more. With --json each is {"provider":…}, and the last line is the summary.`

func (a *app) findProviders() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use:     "find-providers CID | FILE",
		Short:   "Find who has announced some content",
		Long:    findProvidersLong,
		Example: "  kdht find-providers README.md\n  kdht find-providers --count 1 --trace bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
		GroupID: groupUse,
		Args:    args(1, 1, "one CID, or a FILE to compute it from"),
	}
	cmd.Flags().IntVarP(&most, "count", "n", 20, "end when so many are found (0: all there are)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := input.Content(args[0], a.stdin)
		if err != nil {
			return err
		}
		if most < 0 {
			return control.Errorf(control.Usage, "--count %d: give 0 for all, or how many are enough", most)
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			found, err := n.FindProviders(ctx, control.ProvidersRequest{CID: c.String(), Count: most}, a.provider(w))
			if err != nil {
				return err
			}
			a.report(found.Report)
			if !a.json {
				return nil
			}
			return a.written(writeJSON(a.stdout, struct {
				CID string `json:"cid"`
				*control.Providers
			}{c.String(), found}))
		})
	}
	return a.anyNode(cmd)
}

// provider returns a Watch that writes providers and passes the rest on.
func (a *app) provider(rest control.Watch) control.Watch {
	return func(e control.Event) {
		switch {
		case e.Provider == nil && rest != nil:
			rest(e)
		case e.Provider == nil:
		case a.json:
			_ = writeJSON(a.stdout, e)
		default:
			between := " "
			if isTerminal(a.stdout) {
				between = "\n  " // a line would be a wall of text there
			}
			line := strings.Join(append([]string{e.Provider.ID}, full(*e.Provider)...), between)
			_, _ = a.stdout.Write([]byte(line + "\n"))
		}
	}
}
