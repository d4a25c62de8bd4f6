package live_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/test/live"
)

var (
	nodes     = flag.Int("nodes", 0, "TestFigures measures a town of so many nodes")
	seed      = flag.Uint64("seed", 1, "seed of TestFigures: of the delays, and of who fails")
	over      = flag.String("over", "both", "what its nodes listen on: tcp, quic or both")
	wired     = flag.Bool("sockets", false, "TestFigures runs over sockets of the loopback interface, in real time")
	operators = flag.Int("operators", 5, "so many of its nodes make operations")
	rounds    = flag.Int("rounds", 8, "so many of each kind")
	// Less than the ten minutes after which tables are refreshed, so that what joining
	// costs is not mixed with that.
	quiet = flag.Duration("quiet", 5*time.Minute, "how long a town is left alone before it is measured")
)

// inTime runs f in virtual time unless sockets are asked for.
func inTime(t *testing.T, sockets bool, f func(t *testing.T)) {
	if sockets {
		f(t)
		return
	}
	synctest.Test(t, f)
}

// build starts a town and waits until it has settled.
func build(t *testing.T, cfg live.Config) *live.Town {
	t.Helper()
	began := time.Now()
	town, err := live.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := town.Close(); err != nil {
			t.Error(err)
		}
	})
	hold := func(when string) {
		conns, table := town.Held()
		t.Logf("%s: %.0f requests each since the start, %.1f connections, %.1f members in the table", when, town.Requests(), conns, table)
	}
	hold(fmt.Sprintf("%d nodes have joined after %v", cfg.Nodes, time.Since(began).Round(time.Millisecond)))
	town.Settle(t.Context(), time.Minute)
	hold("a minute later")
	town.Settle(t.Context(), *quiet)
	hold(fmt.Sprintf("%v later", *quiet))
	return town
}

// TestFigures measures; it asserts nothing but that operations succeed.
func TestFigures(t *testing.T) {
	if *nodes == 0 {
		return
	}
	for _, failure := range []live.Failure{live.None, live.Silent, live.Hung} {
		t.Run(failure.String(), func(t *testing.T) {
			inTime(t, *wired, func(t *testing.T) {
				town := build(t, live.Config{Nodes: *nodes, Seed: *seed, TCP: *over == "tcp", QUIC: *over == "quic", Virtual: !*wired})
				ops, first, err := town.Prepare(t.Context(), *operators, *rounds)
				if err != nil {
					t.Fatal(err)
				}
				if failure == live.None {
					t.Log("after a rest:")
					show(t, first)
					greet(t, town, ops)
				}
				town.Fail(failure, *nodes/4, *operators)
				show(t, town.Operate(t.Context(), ops, *rounds))
			})
		})
	}
}

// greet measures the first operation of new clients.
func greet(t *testing.T, town *live.Town, ops []*live.Operator) {
	t.Helper()
	for k := range live.Kinds {
		for range 3 {
			f, err := town.Newcomer(t.Context(), k, ops)
			if err != nil {
				t.Error(err)
			}
			t.Logf("a new client's first %s: %d ms, %d requests, %d of them its own, %d peers dialed", k, f.Took.Milliseconds(), f.Sent, f.Requests, f.Met)
		}
	}
}

func show(t *testing.T, f live.Figures) {
	t.Helper()
	var table strings.Builder
	if err := f.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	t.Log(fmt.Sprint("\n", table.String()))
	for _, err := range f.Errors() {
		t.Error(err)
	}
}

// TestSmallTown holds what does not depend on the machine: that everything is found, and
// how many requests and connections that takes.
func TestSmallTown(t *testing.T) {
	const nodes, operators, rounds = 16, 3, 2
	for failure, most := range map[live.Failure]int{live.None: 2 * nodes, live.Silent: 2*nodes + 8, live.Hung: 2*nodes + 8} {
		t.Run(failure.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				town := build(t, live.Config{Nodes: nodes, Seed: 1, Virtual: true})
				ops, _, err := town.Prepare(t.Context(), operators, rounds)
				if err != nil {
					t.Fatal(err)
				}
				town.Fail(failure, nodes/4, operators)
				figures := town.Operate(t.Context(), ops, rounds)
				show(t, figures)
				for _, s := range figures {
					if s.Requests > most || s.Quality >= 0 && s.Quality < 0.9 {
						t.Errorf("%s: %d requests, quality %.2f", s.Kind, s.Requests, s.Quality)
					}
					if s.Took > 6*time.Second { // in virtual time: a failed peer is waited for once
						t.Errorf("%s took %v", s.Kind, s.Took)
					}
				}
				if failure != live.None {
					return
				}
				if f, err := town.Newcomer(t.Context(), live.Closest, ops); err != nil || f.Sent > 3*nodes || f.Met > 2*nodes {
					t.Errorf("a new client's first operation took %d requests and %d dials, %v", f.Sent, f.Met, err)
				}
			})
		})
	}
}
