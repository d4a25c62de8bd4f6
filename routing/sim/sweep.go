package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/kdht/kdht/routing/sim/chart"
)

// Sweep makes one run of cfg for each size, with Nodes set to it and Compare on,
// and returns their reports in that order. A JoinRate of 0 means the default or as
// many as let all join within 200 s of virtual time, whichever is more. The reports
// have no Series: a sweep is of sizes, not of times. At the first error it ends and
// returns the reports so far, that of the failed run as the last of them. progress,
// which may be nil, is called as Run calls it.
func Sweep(ctx context.Context, cfg Config, sizes []int, progress func(Progress)) ([]Report, error) {
	reports := make([]Report, 0, len(sizes))
	for _, n := range sizes {
		one := cfg
		one.Nodes, one.Compare = n, true
		if one.JoinRate == 0 {
			one.JoinRate = max(50, float64(n)/200)
		}
		report, err := Run(ctx, one, progress)
		report.Series = nil
		reports = append(reports, report)
		if err != nil {
			return reports, fmt.Errorf("sweep, at %d nodes: %w", n, err)
		}
	}
	return reports, nil
}

// WriteSweepJSON writes the reports of a sweep for programs: an array of what
// Report.WriteJSON writes.
func WriteSweepJSON(w io.Writer, points []Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(points)
}

// WriteSweepText writes a sweep as a table for people.
func WriteSweepText(w io.Writer, points []Report) error {
	e := &text{w: w}
	e.printf("%9s  %-8s  %7s  %6s  %6s  %6s  %8s  %8s  %8s  %7s  %7s  %7s\n",
		"nodes", "walk", "lookups", "log2 N", "hops", "asked", "p50", "p95", "p99", "success", "near", "exact")
	row := func(n int, walk string, l *Lookups) {
		ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
		e.printf("%9d  %-8s  %7d  %6.2f  %6.2f  %6.1f  %8v  %8v  %8v  %7.4f  %7.4f  %7.4f\n",
			n, walk, l.Ended, math.Log2(float64(n)), l.Hops, l.Messages, ms(l.P50), ms(l.P95), ms(l.P99), l.Success, l.Near, l.Exact)
	}
	for i := range points {
		row(points[i].Nodes, ours, &points[i].Lookups)
		if b := points[i].Baseline; b != nil {
			row(points[i].Nodes, theirs, b)
		}
	}
	return e.err
}

// WriteSweepSVG writes a sweep as a picture: hops, messages, latency and what was
// found against the number of nodes, beside log2 N and the baseline.
func WriteSweepSVG(w io.Writer, points []Report) error {
	p := chart.Picture{
		Title: "How lookups grow with the network",
		Note:  fmt.Sprintf("simulated networks of %s nodes; the baseline walks over the same tables", sizesOf(points)),
		About: "Means of one lookup against the number of nodes, of kdht's walk and of the walk of most deployed peers, beside the logarithm of the number of nodes.",
		Panels: []chart.Panel{
			against(points, "Hops", chart.Axis{Label: "hops, mean"}, true, func(l *Lookups) float64 { return l.Hops }),
			against(points, "Messages", chart.Axis{Label: "requests, mean"}, true, func(l *Lookups) float64 { return l.Messages }),
			against(points, "Latency: half end within", chart.Axis{Label: "virtual time (s)"}, false, func(l *Lookups) float64 { return l.P50.Seconds() }),
			against(points, "Latency: 99 of 100 end within", chart.Axis{Label: "virtual time (s)"}, false, func(l *Lookups) float64 { return l.P99.Seconds() }),
			against(points, "New connections", chart.Axis{Label: "dials, mean"}, false, func(l *Lookups) float64 { return l.DialsEach }),
			against(points, "Found exactly the true nearest", chart.Axis{Label: "share of lookups", Scale: chart.Share}, false, func(l *Lookups) float64 { return l.Exact }),
		},
	}
	return p.WriteSVG(w)
}

// sizesOf says over which sizes a sweep went.
func sizesOf(points []Report) string {
	if len(points) == 0 {
		return "no"
	}
	first, last := points[0].Nodes, points[0].Nodes
	for i := range points {
		first, last = min(first, points[i].Nodes), max(last, points[i].Nodes)
	}
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d to %d", first, last)
}

// against draws a figure of both walks against the number of nodes, and log2 N
// beside it if log is set.
func against(points []Report, title string, y chart.Axis, log bool, of func(l *Lookups) float64) chart.Panel {
	p := chart.Panel{Title: title, X: chart.Axis{Label: "nodes", Scale: chart.Log}, Y: y}
	our, base, reference := chart.Curve{Name: ours}, chart.Curve{Name: theirs}, chart.Curve{Name: "log2 N", Reference: true}
	for i := range points {
		n := float64(points[i].Nodes)
		our.Points = append(our.Points, chart.Point{X: n, Y: known(&points[i].Lookups, of)})
		base.Points = append(base.Points, chart.Point{X: n, Y: known(points[i].Baseline, of)})
		reference.Points = append(reference.Points, chart.Point{X: n, Y: math.Log2(n)})
	}
	p.Curves = []chart.Curve{our, base}
	if log {
		p.Curves = append(p.Curves, reference)
	}
	return p
}

// known returns a figure of lookups, or NaN, which is not drawn, if there were
// none.
func known(l *Lookups, of func(l *Lookups) float64) float64 {
	if l == nil || l.Ended == 0 {
		return math.NaN()
	}
	return of(l)
}
