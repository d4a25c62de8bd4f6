package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/settings"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const configLong = `Show what a node is told, and where: a flag decides before a $KDHT_ variable, that before
the config file, and that before the default. The file is kdht/config.toml in the user's
config directory, or what --config or $KDHT_CONFIG names; its keys are the names of the
flags of ` + "`kdht run`" + `. Other commands take from it what they have variables for.

Limits and log levels can be changed while a node runs: change the file, and call
` + "`kdht config reload`" + `, or send the node SIGHUP, which ends one that was started in a terminal.`

// configTimeout bounds the talk with a node that runs here.
const configTimeout = 10 * time.Second

// configure is the command config with its own commands.
func (a *app) configure() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Show what a node is told and where, and have it told anew",
		Long:    configLong,
		Example: "  kdht config show --default > ~/.config/kdht/config.toml\n  kdht config show\n  kdht config show --running\n  kdht config reload",
		GroupID: groupNodes,
		Args:    args(0, 0, "show or reload"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.configShow(), a.configReload())
	return cmd
}

func (a *app) configShow() *cobra.Command {
	var running, sample bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show each setting and where it comes from",
		Long: "Show each setting and where it comes from: of a node that would be started now, or with\n" +
			"--running of the one that runs here, with its limits. --default prints a config file in\nwhich everything stands as a comment.",
		Example: "  kdht config show\n  kdht config show --running --json\n  kdht config show --default > config.toml",
		Args:    args(0, 0, "no arguments"),
	}
	a.whichNode(cmd)
	cmd.Flags().BoolVar(&running, "running", false, "ask the node that runs here")
	cmd.Flags().BoolVar(&sample, "default", false, "print a config file with every setting as a comment")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case sample:
			_, err := io.WriteString(a.stdout, sampleConfig(cmd.Root()))
			return a.written(err)
		case running:
			return a.onNode(cmd, configTimeout, func(ctx context.Context, n *control.Client) error {
				s, err := n.Settings(ctx)
				if err != nil {
					return err
				}
				return a.result(s, func(w io.Writer) { writeSettings(w, s) })
			})
		}
		s, err := a.wouldRun()
		if err != nil {
			return err
		}
		return a.result(s, func(w io.Writer) { writeSettings(w, s) })
	}
	return cmd
}

// wouldRun returns the settings of a node that is started without flags.
func (a *app) wouldRun() (*control.Settings, error) {
	b := &app{stdin: a.stdin, stdout: a.stdout, stderr: a.stderr, getenv: a.getenv, configFile: a.configFile}
	config := a.configFile
	root := b.root() // which makes all flags anew
	b.configFile = config
	run, _, err := root.Find([]string{runName})
	if err != nil {
		return nil, control.AsError(err)
	}
	run.InheritedFlags() // which joins those of the root to its own
	if err := b.settle(run); err != nil {
		return nil, err
	}
	s := b.settings(run, b.file)
	limits := b.file.Table(settings.Limits)
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		s.All = append(s.All, control.Setting{Key: settings.Limits + name, Value: limits[name], From: fromFile})
	}
	return s, nil
}

func writeSettings(w io.Writer, s *control.Settings) {
	if s.File != "" {
		fmt.Fprintf(w, "config file %s\n\n", control.Clean(s.File))
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tVALUE\tFROM")
	for _, one := range s.All {
		value := one.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", control.Clean(one.Key), control.Clean(value), one.From)
	}
	tw.Flush()
}

func (a *app) configReload() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "reload",
		Short:   "Have a node read its config file anew",
		Long:    "Have a node read its config file anew. Limits and log levels hold at once; what else has\nchanged holds from the node's next start on, which is said. A file that is wrong changes\nnothing.",
		Example: "  kdht config reload\n  kdht config reload --name node-2 --json",
		Args:    args(0, 0, "no arguments"),
	}
	a.whichNode(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.onNode(cmd, configTimeout, func(ctx context.Context, n *control.Client) error {
			done, err := n.Reload(ctx)
			if err != nil {
				return err
			}
			return a.result(done, func(w io.Writer) {
				if len(done.Changes) == 0 {
					fmt.Fprintf(w, "%s says what it said before\n", control.Clean(done.File))
				}
				for _, c := range done.Changes {
					fmt.Fprintln(w, changeText(&c))
				}
			})
		})
	}
	return cmd
}

// changeText says what became of a setting that is another now.
func changeText(c *control.Change) string {
	what := map[string]string{
		"applied": "holds now", "restart": "holds from the next start on", "overridden": "has no effect: a flag or a variable decides",
	}[c.State]
	return control.Clean(fmt.Sprintf("%s: %s → %s: %s", c.Key, c.Old, c.New, what))
}

const sampleHead = `# The settings of kdht's nodes here. A flag, and a $KDHT_ variable, decide before this file.
# Take away the # before what you change. After a change of limits or log levels,
# ` + "`kdht config reload`" + ` or SIGHUP has a running node take them.
`

const sampleTables = `
# How much is done for others, as ` + "`kdht throttle`" + ` shows it: cost units a second, 0 means no limit.
[limits]
`

const sampleLog = `
# What single parts of the program log, as ` + "`kdht log level`" + ` lists them.
[log]
# swarm2 = "debug"
`

// sampleConfig is a config file in which everything is a comment.
func sampleConfig(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(sampleHead)
	visitRun(root, func(f *pflag.Flag) {
		if configurable(f) {
			_, usage := pflag.UnquoteUsage(f)
			fmt.Fprintf(&b, "\n# %s\n# %s = %s\n", strings.ReplaceAll(usage, "\n", " "), f.Name, sampleValue(f))
		}
	})
	fmt.Fprintf(&b, "\n# how long an operation of another command may take ($KDHT_TIMEOUT)\n# timeout = \"1m0s\"\n")
	b.WriteString(sampleTables)
	for _, name := range limitNames {
		fmt.Fprintf(&b, "# %s = 0\n", name)
	}
	b.WriteString(sampleLog)
	return b.String()
}

func sampleValue(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool", "int", "float64":
		return f.DefValue
	case "stringArray", "stringSlice":
		return "[]"
	}
	return fmt.Sprintf("%q", f.DefValue)
}

const logLong = `Show and change what a running node logs to its standard error, by subsystem. Without a
SUBSYSTEM a level is that of all. It holds until the node ends, or its config file is
read anew with other levels.`

// log is the command with its own command.
func (a *app) log() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "log",
		Short:   "Show and change what a running node logs",
		Long:    logLong,
		Example: "  kdht log level\n  kdht log level debug\n  kdht log level swarm2 info",
		GroupID: groupLook,
		Args:    args(0, 0, "level"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	level := &cobra.Command{
		Use:       "level [SUBSYSTEM] [LEVEL]",
		Short:     "Show what is logged, or change it",
		Long:      logLong,
		Example:   cmd.Example,
		Args:      args(0, 2, "at most a SUBSYSTEM and a LEVEL"),
		ValidArgs: levels,
	}
	a.whichNode(level)
	level.RunE = func(cmd *cobra.Command, given []string) error {
		var r control.LogRequest
		switch len(given) {
		case 1:
			r.Level = given[0]
		case 2:
			r.Subsystem, r.Level = given[0], given[1]
		}
		return a.onNode(cmd, configTimeout, func(ctx context.Context, n *control.Client) error {
			l, err := n.Log(ctx, r)
			if err != nil {
				return err
			}
			return a.result(l, func(w io.Writer) {
				tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, name := range slices.Sorted(maps.Keys(l.Levels)) {
					fmt.Fprintf(tw, "%s\t%s\n", control.Clean(name), l.Levels[name])
				}
				tw.Flush()
			})
		})
	}
	cmd.AddCommand(level)
	return cmd
}
