package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// Report is what came of a run. All but Wall, LookupsPerSecond and BytesPerNode
// depends on the Config alone.
type Report struct {
	Seed    uint64
	Nodes   int           // members up at the end
	Virtual time.Duration // time that has passed in the network
	Events  uint64
	Trace   string // digest of all events in order
	Wall    time.Duration
	// BytesPerNode is the heap the run holds at its end, divided by the nodes; 0 if
	// not measured.
	BytesPerNode int64 `json:",omitempty"`
	Traffic
	Lookups
	// Baseline tells of the lookups made by the baseline's walk (Config.Compare).
	Baseline *Lookups `json:",omitempty"`
	Table    Table
	Aftermath
	Checked
	// Spoils is what adversaries achieved (Config.Adversaries).
	Spoils *Spoils `json:",omitempty"`
	// Series is the run in up to 120 slices of equal length, the last one shorter.
	Series []Slice `json:",omitempty"`
}

// Aftermath is what became of records, and of members that came back.
type Aftermath struct {
	Kept *Kept      `json:",omitempty"`
	Back *Recovered `json:",omitempty"`
	// Stored and BaselineStored tell of announcements.
	Stored, BaselineStored *Stored `json:",omitempty"`
}

// Checked is what went wrong: what was to, and what was not.
type Checked struct {
	// Fired counts the faults that happened, by name.
	Fired map[string]uint64
	// Broken counts the invariants broken, Violations names the first of them.
	Broken     int
	Violations []string `json:",omitempty"`
}

// Traffic is what all nodes together sent, lookups or not.
type Traffic struct {
	// Requests counts all, Probes those among them that only asked whether a peer is
	// there, Dials the connections tried for them.
	Requests, Probes, Dials uint64
}

// Lookups is what the run's own lookups did; figures without a unit are means of
// one lookup.
type Lookups struct {
	Ended              int
	LookupsPerSecond   float64 // of wall time, in the whole run
	Hops               float64
	Messages           float64 // requests sent
	DialsEach          float64
	FailedEach         float64
	P50, P90, P95, P99 time.Duration // virtual
	Found
	Spread
}

// Found is what lookups found, as shares.
type Found struct {
	// Success is the share that ended without an error, Recall the share of the true
	// k nearest that were found, Near the share of lookups that found all but a
	// tenth of them (18 of 20), Exact those that found exactly these in order;
	// CleanExact is Exact of those without a failed request.
	Success, Recall, Near, Exact, CleanExact float64
}

// Table is the state of the routing tables, in a sample of the members that have
// been up for a minute.
type Table struct {
	Judged int     // members whose tables were judged; the rest means nothing if 0
	Size   float64 // members of one table
	Alive  float64 // share of them that would answer
	Known  float64 // share of the true k nearest neighbours that are in the table
}

// report sums the run up.
func (r *run) report(wall time.Duration) Report {
	rep := Report{
		Seed: r.cfg.Seed, Nodes: r.upNow(), Virtual: time.Duration(r.now), Events: r.events, Wall: wall,
		Trace: fmt.Sprintf("%016x", r.digest), Traffic: Traffic{Requests: r.net.sent, Probes: r.net.probes, Dials: r.net.dials},
		Table: r.tables(1000), Aftermath: Aftermath{r.records.kept(), r.back(), r.checks.storage.stored(0), r.checks.storage.stored(1)},
		Checked: Checked{Fired: make(map[string]uint64), Broken: r.checks.broken, Violations: r.checks.violations},
		Series:  r.series.slices(r),
	}
	rep.Lookups = sum(r.checks.walked(false))
	rep.Spoils = r.spoils()
	if r.cfg.Compare {
		base := sum(r.checks.walked(true))
		rep.Baseline = &base
	}
	rep.LookupsPerSecond = float64(rep.Ended) / wall.Seconds()
	for f := Fine + 1; f < numFaults; f++ {
		if r.fired[f] > 0 {
			rep.Fired[f.String()] = r.fired[f]
		}
	}
	return rep
}

// walked returns the outcomes of one walk's lookups that are to be reported.
func (c *checks) walked(base bool) (some []outcome) {
	for _, o := range c.outcomes {
		if o.base == base && o.began >= c.run.begin+int64(c.run.cfg.Measure.From) {
			some = append(some, o)
		}
	}
	return some
}

// sum makes means and shares of what single lookups did.
func sum(all []outcome) (l Lookups) {
	l.Ended = len(all)
	if l.Ended == 0 {
		return l
	}
	took := make([]int64, 0, len(all))
	var right, wanted, clean, cleanExact int
	for i := range all {
		o := &all[i]
		took = append(took, o.took)
		l.Hops += float64(o.hops)
		l.Messages += float64(o.asked)
		l.DialsEach += float64(o.dials)
		l.FailedEach += float64(o.failed)
		right, wanted = right+int(o.right), wanted+int(o.wanted)
		l.Success += one(o.ok)
		l.Exact += one(o.exact)
		l.Near += one(10*int(o.right) >= 9*int(o.wanted))
		if o.failed == 0 {
			clean++
			cleanExact += int(one(o.exact))
		}
	}
	for _, v := range []*float64{&l.Hops, &l.Messages, &l.DialsEach, &l.FailedEach, &l.Success, &l.Exact, &l.Near} {
		*v /= float64(l.Ended)
	}
	l.Recall = float64(right) / float64(max(1, wanted))
	l.CleanExact = float64(cleanExact) / float64(max(1, clean))
	slices.Sort(took)
	at := func(share float64) time.Duration { return time.Duration(took[int(share*float64(len(took)-1))]) }
	l.P50, l.P90, l.P95, l.P99 = at(0.5), at(0.9), at(0.95), at(0.99)
	l.Spread = spread(all, took)
	return l
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// tables judges the tables of up to most members. It changes nothing.
func (r *run) tables(most int) (t Table) {
	step := (len(r.members) + most - 1) / most
	var size, alive, known, wanted int
	var contacts []*kademlia.Contact
	for i := 0; i < len(r.members); i += step {
		m := &r.members[i]
		if !m.counted {
			continue
		}
		t.Judged++
		v := m.node.View()
		contacts = v.AppendClosest(contacts[:0], r.keyOf(int32(i)), v.Len())
		size += len(contacts)
		for _, c := range contacts {
			if p := r.index(c.ID); p >= 0 && r.members[p].up && r.members[p].fate != Hung && r.members[p].fate != Tarpit {
				alive++
			}
		}
		for _, who := range r.living.appendClosest(nil, r.keyOf(int32(i)), r.cfg.Node.K, func(w int32) bool { return w != int32(i) }) {
			wanted++
			known += int(one(v.Contains(r.members[who].contact.ID)))
		}
	}
	t.Size = float64(size) / float64(max(1, t.Judged))
	t.Alive = float64(alive) / float64(max(1, size))
	t.Known = float64(known) / float64(max(1, wanted))
	return t
}

// heapNow returns the bytes of live heap, after a collection; 0 if not wanted.
func heapNow(wanted bool) int64 {
	if !wanted {
		return 0
	}
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// WriteJSON writes the report for programs.
func (rep *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

// WriteText writes the report for people.
func (rep *Report) WriteText(w io.Writer) error {
	e := &text{w: w}
	e.printf("seed %d, %d nodes up, %v of virtual time, %d events in %v, trace %s\n",
		rep.Seed, rep.Nodes, rep.Virtual.Round(time.Second), rep.Events, rep.Wall.Round(time.Millisecond), rep.Trace)
	e.lookups("lookups ", &rep.Lookups)
	if rep.Baseline != nil {
		e.lookups("baseline", rep.Baseline)
	}
	e.stored("stores  ", rep.Stored)
	e.stored("baseline", rep.BaselineStored)
	e.printf("network   %d requests, %d of them probes, %d dials, faults %v\n", rep.Requests, rep.Probes, rep.Dials, rep.Fired)
	e.printf("tables    %.0f members, %.4f alive, %.4f of the true neighbours known\n", rep.Table.Size, rep.Table.Alive, rep.Table.Known)
	e.kept(rep.Kept)
	e.back(rep.Back)
	if rep.Spoils != nil {
		e.spoils(rep.Spoils)
	}
	if rep.BytesPerNode > 0 {
		e.printf("memory    %d bytes per node\n", rep.BytesPerNode)
	}
	for _, v := range rep.Violations {
		e.printf("BROKEN    %s\n", v)
	}
	return e.err
}

// text writes until something goes wrong.
type text struct {
	w   io.Writer
	err error
}

func (e *text) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}

func (e *text) lookups(name string, l *Lookups) {
	e.printf("%s  %d (%.0f/s): success %.4f, recall %.4f, near %.4f, exact %.4f, exact without failures %.4f\n",
		name, l.Ended, l.LookupsPerSecond, l.Success, l.Recall, l.Near, l.Exact, l.CleanExact)
	e.printf("          each %.2f hops, %.1f messages, %.1f dials, %.2f failures; p50 %v, p90 %v, p99 %v\n",
		l.Hops, l.Messages, l.DialsEach, l.FailedEach,
		l.P50.Round(time.Millisecond), l.P90.Round(time.Millisecond), l.P99.Round(time.Millisecond))
}
