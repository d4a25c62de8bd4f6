package dashboard

import (
	"math"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
)

const (
	// smooth is over how many ticks rates are taken, window over how many latencies and
	// failures are.
	smooth = 5
	window = 30
	// maxPoints is how many moments are kept for the charts: half an hour.
	maxPoints = 900
)

// trafficView is what is asked of us and by us, by type.
type trafficView struct {
	In  []typeView `json:"in"`
	Out []typeView `json:"out"`
	// Load is how the workers are: so many, so many busy, so many requests waiting.
	Load [3]int `json:"load"`
}

// typeView is the traffic of one type in one direction: requests a second, and those of
// them that failed or were refused; what half and nearly all took in the last minute, in
// milliseconds, 0 if there were none; and the totals since the node started.
type typeView struct {
	Type   string            `json:"type"`
	Rate   float64           `json:"rate"`
	Bad    float64           `json:"bad"`
	P50    float64           `json:"p50"`
	P95    float64           `json:"p95"`
	Total  uint64            `json:"total"`
	Causes map[string]uint64 `json:"causes"` // of failures, since the node started
	Bytes  [2]uint64         `json:"bytes"`  // in and out; of what we ask they are not counted
}

// counts is one reading of everything that is counted.
type counts struct {
	at      time.Time
	in, out [protocol.NumTypes]tally
	took    routing.Latencies
}

// tally is one type's requests so far, and those of them that came to nothing.
type tally struct{ all, bad uint64 }

func read(at time.Time, s *routing.Stats, took routing.Latencies) counts {
	c := counts{at: at, took: took}
	for t := range c.in {
		for _, server := range []*rpc.ServerStats{&s.Server, &s.JSON} {
			of := &server.Types[t]
			bad := of.Limited + of.Shed + of.Malformed + of.Unhandled + of.Refused + of.Failed + of.Panicked
			c.in[t].all += of.Served + bad
			c.in[t].bad += bad
		}
		o := &s.Client.Types[t]
		bad := o.Unreachable + o.Refused + o.Timeout + o.Unsupported + o.Malformed + o.Local
		c.out[t] = tally{o.OK + bad, bad}
	}
	return c
}

// traffic turns readings into rates.
//
// Invariant: it holds window readings and maxPoints points at most.
type traffic struct {
	readings []counts // the latest last
	points   []point
}

// point is one moment of the charts: milliseconds since 1970, requests a second in and out,
// of both those that came to nothing, peers that the network seems to have, peers in the
// table, connections, busy workers.
type point [8]float64

// add takes in one reading.
func (t *traffic) add(c counts) {
	if n := len(t.readings); n > 0 && c.at.Sub(t.readings[n-1].at) > 10*tick {
		t.readings = t.readings[:0] // nobody has looked meanwhile
	}
	if len(t.readings) == window {
		t.readings = append(t.readings[:0], t.readings[1:]...)
	}
	t.readings = append(t.readings, c)
}

// since returns the reading so many ticks before the last one, or the oldest.
func (t *traffic) since(ticks int) *counts {
	return &t.readings[max(0, len(t.readings)-1-ticks)]
}

// last returns the latest reading.
func (t *traffic) last() *counts { return &t.readings[len(t.readings)-1] }

// rates returns requests a second in and out, and of both those that came to nothing.
func (t *traffic) rates() (in, out, bad float64) {
	now, then := t.last(), t.since(smooth)
	for i := range now.in {
		in += per(now, then, now.in[i].all-then.in[i].all)
		out += per(now, then, now.out[i].all-then.out[i].all)
		bad += per(now, then, now.in[i].bad-then.in[i].bad+now.out[i].bad-then.out[i].bad)
	}
	return round(in), round(out), round(bad)
}

// lately returns how many requests of ours ended in the last minute, and how many in vain.
func (t *traffic) lately() (all, bad uint64) {
	now, then := t.last(), t.since(window)
	for i := range now.out {
		all += now.out[i].all - then.out[i].all
		bad += now.out[i].bad - then.out[i].bad
	}
	return all, bad
}

func per(now, then *counts, n uint64) float64 {
	if d := now.at.Sub(then.at).Seconds(); d > 0 {
		return float64(n) / d
	}
	return 0
}

// round keeps two decimals, so that what stays the same looks the same.
func round(f float64) float64 { return math.Round(f*100) / 100 }

// mark adds a point to the charts.
func (t *traffic) mark(p point) {
	if len(t.points) == maxPoints {
		t.points = append(t.points[:0], t.points[1:]...)
	}
	t.points = append(t.points, p)
}

// view returns what the page shows.
func (t *traffic) view(s *routing.Stats) trafficView {
	v := trafficView{Load: [3]int{s.Load.Workers, s.Load.Busy, s.Load.Waiting}}
	now, then, before := t.last(), t.since(smooth), t.since(window)
	for i := range now.in {
		name := protocol.Type(i).String()
		in := typeView{Type: name, Total: now.in[i].all, Causes: refusals(s, i), Bytes: [2]uint64{s.Server.Types[i].BytesIn + s.JSON.Types[i].BytesIn, s.Server.Types[i].BytesOut + s.JSON.Types[i].BytesOut}}
		in.Rate, in.Bad = round(per(now, then, now.in[i].all-then.in[i].all)), round(per(now, then, now.in[i].bad-then.in[i].bad))
		in.P50, in.P95 = shares(&now.took.In[i], &before.took.In[i])
		out := typeView{Type: name, Total: now.out[i].all, Causes: failures(&s.Client.Types[i])}
		out.Rate, out.Bad = round(per(now, then, now.out[i].all-then.out[i].all)), round(per(now, then, now.out[i].bad-then.out[i].bad))
		out.P50, out.P95 = shares(&now.took.Out[i], &before.took.Out[i])
		v.In, v.Out = append(v.In, in), append(v.Out, out)
	}
	return v
}

// shares returns what half and 95 in 100 of the requests between two readings took at most,
// in milliseconds; 0 if there were none.
func shares(now, then *routing.Latency) (half, nearly float64) {
	var steps [len(now.Steps)]uint64
	total := uint64(0)
	for i := range steps {
		steps[i] = now.Steps[i] - then.Steps[i]
		total += steps[i]
	}
	if total == 0 {
		return 0, 0
	}
	at := func(percent uint64) float64 {
		left := (total*percent + 99) / 100
		for i, n := range steps {
			if n < left {
				left -= n
				continue
			}
			low, high := time.Duration(0), routing.LatencyBounds[min(i, len(routing.LatencyBounds)-1)]
			if i > 0 {
				low = routing.LatencyBounds[i-1]
			}
			within := float64(left) / float64(n) // as if spread evenly over the step
			return round(float64(low)/1e6 + within*float64(high-low)/1e6)
		}
		return 0
	}
	return at(50), at(95)
}

// named leaves out what has not happened.
func named(all map[string]uint64) map[string]uint64 {
	for cause, n := range all {
		if n == 0 {
			delete(all, cause)
		}
	}
	return all
}

func refusals(s *routing.Stats, i int) map[string]uint64 {
	a, b := &s.Server.Types[i], &s.JSON.Types[i]
	return named(map[string]uint64{
		"over a limit": a.Limited + b.Limited, "no worker in time": a.Shed + b.Shed, "malformed": a.Malformed + b.Malformed,
		"not served": a.Unhandled + b.Unhandled, "refused": a.Refused + b.Refused, "failed": a.Failed + b.Failed + a.Panicked + b.Panicked,
	})
}

func failures(o *rpc.Outcomes) map[string]uint64 {
	return named(map[string]uint64{
		"unreachable": o.Unreachable, "refused": o.Refused, "no answer in time": o.Timeout, "another protocol": o.Unsupported,
		"malformed": o.Malformed, "own limits": o.Local,
	})
}
