// Package scenario is what `kdht sim` runs: a simulated network, how often, and
// what the report must say, written as a TOML file for people to read and change.
//
//	s, err := scenario.Find("churn")          // one of those that are shipped
//	s, err := scenario.Parse("mine.toml", text)
//	trial, err := s.Try(ctx, scenario.Options{Seed: 1}, nil)
//	for _, v := range s.Judge([]scenario.Trial{trial}) { … v.Kept … }
//
// A file is a stranger's: what is unknown, out of range or beyond all measure is
// refused with the line it stands on, and what to write instead. What passes can
// be run. The format is described in docs/SIMULATION.md.
package scenario

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/kdht/kdht/routing/sim"
)

// Scenario is one file.
//
// Invariant: Config passes sim's own check, and every Bound is of a figure that
// its reports have.
type Scenario struct {
	// Name is the file's without folder and ending, Summary one line, Why what it
	// shows.
	Name, Summary, Why string
	// Seeds is how many runs there are, each with the next seed, from Config.Seed on.
	Seeds  int
	Config sim.Config
	// Expect is what must hold of the runs, in the order of figures.
	Expect []Bound
}

// nameOf is what a file's scenario is called.
func nameOf(file string) string {
	return strings.TrimSuffix(filepath.Base(file), ".toml")
}

// Scale changes how many nodes and lookups there are; 0 leaves either as it is.
// The lookups stay spread over the same time, so that faults meet them as before.
func (s *Scenario) Scale(nodes, lookups int) error {
	c := s.Config
	if nodes != 0 {
		if c.JoinRate != 0 && c.Nodes > 0 {
			c.JoinRate *= float64(nodes) / float64(c.Nodes)
		}
		c.Nodes = nodes
	}
	if lookups != 0 {
		if c.Lookups > 0 {
			filled, err := fill(c)
			if err != nil {
				return err
			}
			c.Rate = filled.Rate * float64(lookups) / float64(c.Lookups)
		}
		c.Lookups = lookups
	}
	if _, err := fill(c); err != nil {
		return err
	}
	s.Config = c
	return nil
}

// clean is the same network without anything that goes wrong.
func clean(c sim.Config) sim.Config {
	c.Faults, c.Churn, c.Records.Jumps, c.Link.Loss, c.Compare = sim.Faults{}, sim.Churn{}, sim.Jumps{}, 0, false
	c.Adversaries = sim.Adversaries{}
	return c
}

const (
	// longestRun is the longest run in virtual time, far below what a count of
	// nanoseconds holds.
	longestRun = 366 * 24 * time.Hour
	// Memory for these is taken beforehand.
	mostNodes   = 1_000_000
	mostLookups = 10_000_000
	// Joining takes at most so long, unless the file says how fast it goes: it is
	// seldom what is looked at.
	longestJoin = 200 * time.Second
	leastRate   = 50 // members joining a second, as in sim
)

// fill fills in the defaults, and refuses what cannot be run or would never end.
func fill(c sim.Config) (sim.Config, error) {
	if c.Nodes > mostNodes || c.Lookups > mostLookups {
		return c, fmt.Errorf("%d nodes and %d lookups: choose at most %d and %d", c.Nodes, c.Lookups, mostNodes, mostLookups)
	}
	if c.JoinRate == 0 {
		c.JoinRate = max(leastRate, float64(c.Nodes)/longestJoin.Seconds())
	}
	c, err := c.Filled()
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return c, errors.New(strings.TrimPrefix(line, "sim: "))
	}
	keep := &c.Records
	seconds := float64(c.Nodes)/c.JoinRate + c.Settle.Seconds() +
		max(float64(c.Lookups)/c.Rate, keep.For.Seconds()+2*float64(keep.Values+keep.Providers)/keep.Rate)
	if !(seconds <= longestRun.Seconds()) {
		return c, fmt.Errorf("the run would last %.3g days: choose rates and times with which it is at most %.0f", seconds/86400, longestRun.Hours()/24)
	}
	return c, nil
}

// sorted returns the keys of m in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
