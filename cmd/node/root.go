package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/spf13/cobra"
)

const rootLong = `kdht runs nodes of a Kademlia overlay and talks to them.

  kdht dev                     an overlay of 20 nodes on this machine, to look at
  kdht sim                     a network of thousands in virtual time, and its promises
  kdht run                     a node; prints the line to paste for the next one
  kdht put FILE                store a small value, prints its key
  kdht get KEY                 find it again, from any node

put, get and the other operations use the node that runs here, through its
control socket, or with --bootstrap MULTIADDR a client that lives as long as the
command.

What was asked for goes to standard output, everything else to standard error.
Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 no peers, 5 timeout,
130 interrupted.`

// root returns the program's commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "kdht",
		Short:         "Run nodes of a Kademlia overlay, and talk to them",
		Long:          rootLong,
		Args:          noSuchCommand,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.settle(cmd); err != nil {
				return err
			}
			return a.startLogging()
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "write results as JSON, one object a line")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "write results and errors alone: no notes, no bars")
	flags.StringVar(&a.logLevel, "log-level", defaultLevel, "what to log to standard error: debug, info, warn or error")
	fromEnv(flags, "log-level", "KDHT_LOG")
	flags.StringVar(&a.configFile, "config", "", "config `FILE`, or none (default: kdht/config.toml in the user's config directory, if there is one; $KDHT_CONFIG)")
	root.AddGroup(&cobra.Group{ID: groupNodes, Title: "Nodes:"}, &cobra.Group{ID: groupUse, Title: "Using the overlay:"}, &cobra.Group{ID: groupLook, Title: "Looking at a node:"})
	root.AddCommand(a.run(), a.dev(), a.sim(), a.put(), a.get(), a.provide(), a.findProviders(), a.findPeer(), a.closest(), a.ping(), a.trace(), a.crawl(), a.rpc(), a.bench(), a.health(), a.key(), a.configure(), a.log(), a.manual(), a.table(), a.status(), a.records(), a.throttle(), a.id())
	return root
}

const (
	groupNodes = "nodes"
	groupUse   = "use"
	groupLook  = "look"
)

// released is the version of a release: the linker sets it (see deploy/release).
var released string

// version is what the build knows of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(released, info.Main.Version) + " " + info.GoVersion
	}
	return "unknown"
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(", did you mean %s?", strings.Join(near, " or "))
	}
	return control.Errorf(control.Usage, "there is no command %.40q%s (see `kdht --help`)", args[0], hint)
}

// args makes an argument check that says what the command wants.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) >= least && (most < 0 || len(given) <= most) {
			return nil
		}
		return control.Errorf(control.Usage, "%s takes %s, and got %s (see `kdht %s --help`)", cmd.Name(), what, count(len(given), "argument"), cmd.Name())
	}
}
