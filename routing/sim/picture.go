package sim

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/kdht/kdht/routing/sim/chart"
)

// ours and theirs name the two walks in pictures.
const (
	ours   = "kdht"
	theirs = "baseline"
)

// WriteSVG writes the report as a picture: how long lookups took and how many hops,
// and the run over time (docs/SIMULATION.md).
func (rep *Report) WriteSVG(w io.Writer) error {
	p := chart.Picture{
		Title: fmt.Sprintf("A simulated network of %d nodes", rep.Nodes),
		Note: fmt.Sprintf("%v of virtual time, %d lookups: success %s, near %s, p50 %v, p99 %v; seed %d, trace %s",
			rep.Virtual.Round(time.Second), rep.Ended, percent(rep.Success), percent(rep.Near),
			rep.P50.Round(time.Millisecond), rep.P99.Round(time.Millisecond), rep.Seed, rep.Trace),
		About: "How long lookups took and how many hops; and over virtual time: routing tables, lookups, requests, members.",
	}
	p.Panels = append(rep.lookupPanels(), rep.timePanels()...)
	return p.WriteSVG(w)
}

func percent(share float64) string { return fmt.Sprintf("%.4g %%", 100*share) }

// lookupPanels draws how single lookups differ.
func (rep *Report) lookupPanels() []chart.Panel {
	took := chart.Panel{
		Title: "How long lookups take",
		X:     chart.Axis{Label: "virtual time (s)", Scale: chart.Log}, Y: chart.Axis{Label: "ended by then", Scale: chart.Share},
	}
	hops := chart.Panel{
		Title: "Hops of a lookup", Bars: true,
		X: chart.Axis{Label: "hops"}, Y: chart.Axis{Label: "share of lookups", Scale: chart.Share},
	}
	walk := func(name string, l *Lookups) {
		took.Curves = append(took.Curves, chart.Curve{Name: name, Points: cumulated(l)})
		c := chart.Curve{Name: name}
		for h, n := range l.HopCounts {
			c.Points = append(c.Points, chart.Point{X: float64(h), Y: share(n, l.Ended)})
		}
		hops.Curves = append(hops.Curves, c)
	}
	walk(ours, &rep.Lookups)
	if rep.Baseline != nil {
		walk(theirs, rep.Baseline)
	}
	return []chart.Panel{took, hops}
}

// cumulated returns the share of lookups that had ended by the end of each bin.
func cumulated(l *Lookups) (points []chart.Point) {
	ended := 0
	for _, b := range l.Took {
		begin := b.UpTo.Seconds() * math.Exp2(-1./binsPerDoubling)
		points = append(points, chart.Point{X: begin, Y: share(ended, l.Ended)})
		ended += b.Lookups
		points = append(points, chart.Point{X: b.UpTo.Seconds(), Y: share(ended, l.Ended)})
	}
	return points
}

func share(n, of int) float64 { return float64(n) / float64(max(1, of)) }

// timePanels draws the series.
func (rep *Report) timePanels() []chart.Panel {
	share := func(label string) chart.Axis { return chart.Axis{Label: label, Scale: chart.Share} }
	records := func(*Slice) bool { return rep.Kept != nil }
	return []chart.Panel{
		rep.over("Routing tables", share("share"),
			line{"entries alive", judged, func(s *Slice) float64 { return s.Table.Alive }},
			line{"nearest neighbours known", judged, func(s *Slice) float64 { return s.Table.Known }}),
		rep.over("Members of a table", chart.Axis{Label: "peers, mean"},
			line{"peers in a table", judged, func(s *Slice) float64 { return s.Table.Size }}),
		rep.over("What lookups find", share("share of lookups"),
			line{"success", ended, func(s *Slice) float64 { return s.Success }},
			line{"near", ended, func(s *Slice) float64 { return s.Near }}),
		rep.over("Latency of lookups", chart.Axis{Label: "virtual time (s)"},
			line{"p50", ended, func(s *Slice) float64 { return s.P50.Seconds() }},
			line{"p95", ended, func(s *Slice) float64 { return s.P95.Seconds() }}),
		rep.over("Requests of all nodes", chart.Axis{Label: "requests a second", Scale: chart.Log},
			line{"lookups", always, func(s *Slice) float64 { return s.Requests.Lookups }},
			line{"probes", always, func(s *Slice) float64 { return s.Requests.Probes }},
			line{"joining, refreshing", always, func(s *Slice) float64 { return s.Requests.Upkeep }},
			line{"records", records, func(s *Slice) float64 { return s.Requests.Records }}),
		rep.over("Members up", chart.Axis{Label: "members"},
			line{"up", always, func(s *Slice) float64 { return float64(s.Up) }}),
	}
}

// line is a figure over time, for the slices that know it.
type line struct {
	name  string
	known func(s *Slice) bool
	of    func(s *Slice) float64
}

func always(*Slice) bool   { return true }
func judged(s *Slice) bool { return s.Table.Judged > 0 }
func ended(s *Slice) bool  { return s.Ended > 0 }

// over draws lines over the virtual time; those that no slice knows are left out.
func (rep *Report) over(title string, y chart.Axis, lines ...line) chart.Panel {
	unit, name := time.Second, "s"
	switch {
	case rep.Virtual > 5*time.Hour:
		unit, name = time.Hour, "h"
	case rep.Virtual > 5*time.Minute:
		unit, name = time.Minute, "min"
	}
	p := chart.Panel{Title: title, X: chart.Axis{Label: "virtual time (" + name + ")"}, Y: y}
	for _, l := range lines {
		c := chart.Curve{Name: l.name}
		for i := range rep.Series {
			if s := &rep.Series[i]; l.known(s) {
				c.Points = append(c.Points, chart.Point{X: float64(s.At) / float64(unit), Y: l.of(s)})
			}
		}
		if len(c.Points) > 0 {
			p.Curves = append(p.Curves, c)
		}
	}
	return p
}
