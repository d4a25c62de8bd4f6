package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/scenario"
	"github.com/spf13/cobra"
)

const simLong = `Simulate a network of many nodes in one process, in virtual time: the code is the one that
runs live, the network around it is made of a seed. Without an argument the scenario clean
is run; - reads a scenario from standard input. It ends with status 1 if a rule was broken
that must always hold, or if the report is not what the scenario expects.

The same scenario and seed give the same run on every machine, event for event; --check
makes each run twice, with different numbers of processors, and compares all their events.

Ctrl-C ends it with the report so far.`

const simExample = `  kdht sim --list
  kdht sim tarpits
  kdht sim churn --seeds 20
  kdht sim churn --nodes 10000
  kdht sim every-fault --check --json
  kdht sim --show churn > mine.toml        then change it, and
  kdht sim mine.toml`

// simFlags are sim's own.
type simFlags struct {
	seed                  uint64
	seeds, nodes, lookups int
	check, memory         bool
	list                  bool
	show, svg             string
}

func (a *app) sim() *cobra.Command {
	f := &simFlags{}
	cmd := &cobra.Command{
		Use:               "sim [NAME | FILE | -]",
		Short:             "Simulate a network of thousands, and hold it to its promises",
		Long:              simLong,
		Example:           simExample,
		GroupID:           groupNodes,
		Args:              args(0, 1, "at most one scenario"),
		ValidArgsFunction: completeScenario,
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "the first seed, in place of the scenario's")
	flags.IntVar(&f.seeds, "seeds", 0, "how many seeds, one after another, in place of the scenario's")
	flags.IntVarP(&f.nodes, "nodes", "n", 0, "how many nodes, in place of the scenario's")
	flags.IntVar(&f.lookups, "lookups", 0, "how many lookups over the same time, in place of the scenario's")
	flags.BoolVar(&f.check, "check", false, "make each run twice, with different numbers of processors, and compare")
	flags.BoolVar(&f.memory, "memory", false, "measure the memory that a node takes")
	flags.StringVar(&f.svg, "svg", "", "write a picture of the run to `FILE`; of several runs, one for each, the seed added to its name")
	flags.BoolVar(&f.list, "list", false, "list the scenarios there are, and run none")
	flags.StringVar(&f.show, "show", "", "print the file of the scenario `NAME`, and run none")
	_ = cmd.RegisterFlagCompletionFunc("show", completeScenario) // fails only for a flag that is not there
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case f.list:
			return a.listScenarios()
		case f.show != "":
			return a.showScenario(f.show)
		}
		return a.runSim(cmd, f, slices.Concat(args, []string{"clean"})[0])
	}
	cmd.MarkFlagsMutuallyExclusive("list", "show")
	return cmd
}

func completeScenario(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return scenario.Names(), cobra.ShellCompDirectiveDefault // or a file
}

// listScenarios writes the names and summaries of what is shipped.
func (a *app) listScenarios() error {
	type entry struct {
		Name    string `json:"name"`
		Summary string `json:"summary"`
		Why     string `json:"why"`
		Nodes   int    `json:"nodes"`
		Lookups int    `json:"lookups"`
	}
	var all []entry
	for _, name := range scenario.Names() {
		s, err := scenario.Find(name)
		if err != nil {
			return err
		}
		all = append(all, entry{s.Name, s.Summary, s.Why, s.Config.Nodes, s.Config.Lookups})
	}
	return a.result(map[string]any{"scenarios": all}, func(w io.Writer) {
		for _, e := range all {
			fmt.Fprintf(w, "%-18s %s\n", e.Name, e.Summary)
		}
	})
}

// showScenario writes a scenario's file.
func (a *app) showScenario(name string) error {
	text, err := scenario.Text(name)
	if err != nil {
		return control.Errorf(control.Usage, "%v", err)
	}
	return a.result(map[string]string{"name": name, "file": string(text)}, func(w io.Writer) { _, _ = w.Write(text) })
}

// openScenario reads the scenario that is shipped under a name, or a file.
func (a *app) openScenario(name string) (*scenario.Scenario, error) {
	var s *scenario.Scenario
	var err error
	switch {
	case slices.Contains(scenario.Names(), name):
		s, err = scenario.Find(name)
	case name == "-":
		s, err = readScenario("standard input", a.stdin)
	case strings.HasSuffix(name, ".toml") || strings.ContainsAny(name, `/\`):
		var file *os.File
		if file, err = os.Open(name); err != nil {
			return nil, control.Errorf(control.Usage, "cannot read the scenario: %v (`kdht sim --list` shows those there are)", err)
		}
		defer file.Close()
		s, err = readScenario(name, file)
	default:
		_, err = scenario.Text(name)
		err = fmt.Errorf("%w (see `kdht sim --list`; a file's name ends in .toml)", err)
	}
	if err != nil {
		return nil, control.Errorf(control.Usage, "%v", err)
	}
	return s, nil
}

func readScenario(name string, r io.Reader) (*scenario.Scenario, error) {
	text, err := io.ReadAll(io.LimitReader(r, scenario.MaxFile+1))
	if err != nil {
		return nil, err
	}
	return scenario.Parse(name, text)
}

// runSim is sim.
func (a *app) runSim(cmd *cobra.Command, f *simFlags, name string) error {
	s, err := a.openScenario(name)
	if err != nil {
		return err
	}
	if err := f.apply(cmd, s); err != nil {
		return err
	}
	study := &study{app: a, scenario: s, flags: f}
	if err := study.begin(); err != nil {
		return err
	}
	for i := range s.Seeds {
		if err := study.trial(cmd.Context(), i); err != nil {
			return err
		}
	}
	return study.end()
}

// apply puts the flags in place of what the scenario says.
func (f *simFlags) apply(cmd *cobra.Command, s *scenario.Scenario) error {
	for name, v := range map[string]int{"seeds": f.seeds, "nodes": f.nodes, "lookups": f.lookups} {
		if cmd.Flags().Changed(name) && v < 1 {
			return control.Errorf(control.Usage, "--%s %d: choose 1 or more", name, v)
		}
	}
	if f.seeds > scenario.MostSeeds {
		return control.Errorf(control.Usage, "--seeds %d: choose at most %d", f.seeds, scenario.MostSeeds)
	}
	if cmd.Flags().Changed("seed") {
		s.Config.Seed = f.seed
	}
	if f.seeds != 0 {
		s.Seeds = f.seeds
	}
	if err := s.Scale(f.nodes, f.lookups); err != nil {
		return control.Errorf(control.Usage, "scenario %s: %v", s.Name, err)
	}
	return nil
}
