package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manual is the command docs with its own command: those who pack the program use it.
func (a *app) manual() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "docs",
		Short:  "Write the program's manual",
		Hidden: true,
		Args:   args(0, 0, "man"),
		RunE:   func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	man := &cobra.Command{
		Use:     "man DIR",
		Short:   "Write a manual page for each command",
		Example: "  kdht docs man /usr/local/share/man/man1",
		Args:    args(1, 1, "one DIR"),
	}
	man.RunE = func(cmd *cobra.Command, given []string) error {
		if err := os.MkdirAll(given[0], 0o755); err != nil {
			return control.Errorf(control.Usage, "cannot make the directory: %v", err)
		}
		pages := 0
		for _, c := range commands(cmd.Root()) {
			var page strings.Builder
			writePage(&page, c)
			if err := os.WriteFile(filepath.Join(given[0], pageName(c)+".1"), []byte(page.String()), 0o644); err != nil {
				return control.Errorf(control.Failed, "cannot write a page: %v", err)
			}
			pages++
		}
		return a.result(map[string]any{"pages": pages, "dir": given[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s in %s\n", count(pages, "page"), given[0]) })
	}
	cmd.AddCommand(man)
	return cmd
}

// commands returns a command and all below it that people are told of.
func commands(top *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{top}
	for _, c := range top.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			all = append(all, commands(c)...)
		}
	}
	return all
}

// pageName is what the page of a command is called: kdht-config-show.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

var roffer = strings.NewReplacer(`\`, `\e`, "-", `\-`)

// roff writes text so that nothing in it is a command of the typesetter.
func roff(text string) string {
	lines := strings.Split(roffer.Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// writePage writes the page of one command.
func writePage(w io.Writer, c *cobra.Command) {
	name := pageName(c)
	fmt.Fprintf(w, ".TH %q 1 \"\" kdht \"kdht manual\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), roff(name), roff(c.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(long))
	c.InheritedFlags() // which joins those of the commands above
	writeFlags(w, "OPTIONS", c.LocalNonPersistentFlags())
	writeFlags(w, "OPTIONS OF EVERY COMMAND", c.Root().PersistentFlags())
	if c.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	fmt.Fprint(w, ".SH EXIT STATUS\n0 ok, 1 failed, 2 wrong usage, 3 not found, 4 no peers, 5 timeout, 130 interrupted.\n")
	var also []string
	if c.HasParent() {
		also = append(also, pageName(c.Parent()))
	}
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() && below.Name() != "help" {
			also = append(also, pageName(below))
		}
	}
	if len(also) > 0 {
		fmt.Fprintf(w, ".SH SEE ALSO\n.BR %s (1)\n", roff(strings.Join(also, " (1), ")))
	}
}

func writeFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "false", "[]", "0", "0s":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		fmt.Fprintf(w, ".TP\n\\fB%s\\fR %s\n%s\n", roff(names), roff(value), roff(usage))
	})
}
