//go:build unix

package sim

import (
	"context"
	"errors"
	"flag"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

var (
	nodes    = flag.Int("nodes", 100, "how many nodes TestScale simulates")
	lookups  = flag.Int("lookups", 100, "how many lookups TestScale makes")
	joinRate = flag.Float64("joinrate", 10, "how many nodes join a second in TestScale")
	patience = flag.Duration("patience", time.Hour, "when TestScale is ended early")
)

// cpuSeconds returns the processor time this process has used, and the most
// memory it has held at once in bytes.
func cpuSeconds() (seconds float64, peak int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, int64(u.Maxrss) << 10
}

// kept is the last run of TestScale, so that a heap profile shows what it holds.
var kept *run

// calm has tables kept up later than a run of scale lasts, so that what joining and
// lookups cost is not mixed with it.
var calm = kademlia.Timing{Refresh: day, Probe: day, Suspect: day}

const day = 24 * time.Hour

// TestScale is the calm network of any size, measured:
//
//	go test ./routing/sim -run Scale -v -nodes 10000 -lookups 20000 -cpuprofile cpu.out
func TestScale(t *testing.T) {
	cfg := Config{
		Seed: 1, Nodes: *nodes, JoinRate: *joinRate, Lookups: *lookups, Rate: max(50, float64(*nodes)/100), Measure: Measure{Memory: true},
		Node: kademlia.Config{Timing: calm},
	}
	start, _ := cpuSeconds()
	var joined float64
	var requests, probes uint64
	ctx, cancel := context.WithTimeout(t.Context(), *patience)
	defer cancel()
	shown := time.Now()
	ended, report, err := simulated(ctx, cfg, nil, func(p Progress) {
		now, _ := cpuSeconds()
		if p.Lookups == 0 {
			joined, requests, probes = now-start, p.Requests, p.Probes
		}
		if time.Since(shown) > 10*time.Second {
			shown = time.Now()
			t.Logf("%v virtual: %d of %d nodes up, %d of %d lookups, %d events, %.0f CPU s", p.Virtual, p.Up, p.Nodes, p.Lookups, p.Of, p.Events, now-start)
		}
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	kept = ended
	all, peak := cpuSeconds()
	_ = report.WriteText(os.Stdout)
	t.Logf("joining: %.1f CPU s, %d requests, %d of them probes", joined, requests, probes)
	t.Logf("lookups: %.1f CPU s, %d requests, %d of them probes; %.0f lookups per CPU s", all-start-joined,
		report.Requests-requests, report.Probes-probes, float64(report.Ended)/(all-start-joined))
	t.Logf("memory:  %d MiB at its peak, %d bytes per node", peak>>20, report.BytesPerNode)
}
