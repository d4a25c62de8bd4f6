package sim

import (
	"math"
	"reflect"
	"testing"
	"time"
)

// The slices of a run add up to the whole, whatever its length.
func TestSlicesAddUp(t *testing.T) {
	for _, cfg := range []Config{
		{Seed: 20, Nodes: 60, Lookups: 40, Rate: 1, Compare: true, Faults: Faults{Hung: 0.1}},
		{Seed: 24, Nodes: 40, Records: Records{Values: 5, Providers: 5, For: 4 * time.Minute, Reads: 0.2}},
		{Seed: 21, Nodes: 40, Lookups: 30, Rate: 0.01, Churn: Churn{On: true, Scale: 0.05}},
	} {
		ran, r, err := simulated(t.Context(), cfg, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Series) < 20 || len(r.Series) > mostSlices {
			t.Errorf("%d slices", len(r.Series))
		}
		var last time.Duration
		var ended, told int
		var requests, records float64
		for i := range r.Series {
			s := &r.Series[i]
			if s.At <= last || s.Table.Judged > mostJudged || s.Ended == 0 != (s.P95 == 0) || s.P50 > s.P95 {
				t.Errorf("after %v: %+v", last, s)
			}
			for _, o := range ran.checks.outcomes {
				if end := time.Duration(o.began + o.took); !o.base && end > last && end <= s.At {
					ended++
				}
			}
			if told += s.Ended; told != ended {
				t.Fatalf("%d lookups had ended at %v, %d in the slices", ended, s.At, told)
			}
			n := &s.Requests
			records += n.Records
			requests += (n.Lookups + n.Probes + n.Records + n.Upkeep) * (s.At - last).Seconds()
			last = s.At
		}
		if last != r.Virtual || ended != r.Ended || math.Abs(requests-float64(r.Requests)) > 0.5 {
			t.Errorf("%v, %d lookups, %.1f requests in the slices; %v, %d, %d in the run", last, ended, requests, r.Virtual, r.Ended, r.Requests)
		}
		if records > 0 != (cfg.Records.Values > 0) {
			t.Errorf("%.1f requests a second for records, %+v", records, cfg.Records)
		}
		if end := r.Series[len(r.Series)-1]; end.Up != r.Nodes || end.Table != r.Table {
			t.Errorf("at the end %+v, and in the report %d up, tables %+v", end, r.Nodes, r.Table)
		}
	}
}

// What a slice says is what was so at that time: nobody is judged before the first
// have been up for a minute, half the members leave at once, requests are told
// apart.
func TestSlicesTellWhatHappened(t *testing.T) {
	r := simulate(t, Config{Seed: 22, Nodes: 100, Lookups: 120, Rate: 2, Measure: Measure{From: 30 * time.Second}, Faults: Faults{Refuse: 0.5}})
	strike := 2*time.Second + time.Minute
	var looked bool
	ended := 0
	for i := range r.Series {
		s := &r.Series[i]
		ended += s.Ended
		settled := s.At > time.Minute
		if settled != (s.Table.Judged > 0) {
			t.Errorf("at %v %d members were judged", s.At, s.Table.Judged)
		}
		if s.At > 2*time.Second && s.At < strike && s.Up != 100 || s.At > strike && (s.Up < 40 || s.Up > 65) {
			t.Errorf("at %v %d are up", s.At, s.Up)
		}
		if s.At < strike && (s.Ended > 0 || s.Requests.Lookups > 0) {
			t.Errorf("a lookup before the first: %+v", s)
		}
		looked = looked || s.At > strike+time.Second && s.Requests.Lookups > 2 && s.Requests.Probes > 0 && s.Table.Alive < 0.9
	}
	if ended != 120 || r.Ended > 70 {
		t.Errorf("%d lookups in the slices, %d in the report", ended, r.Ended)
	}
	if first := r.Series[1].Requests; first.Upkeep == 0 || first.Probes == 0 || !looked {
		t.Errorf("joining makes no requests, %+v, or lookups make none: %v", first, looked)
	}
}

// A run goes the same way whether it is looked at or not.
func TestWatchingChangesNothing(t *testing.T) {
	cfg := Config{Seed: 23, Nodes: 80, Lookups: 40, Rate: 1, Link: Link{Loss: 0.02}, Faults: Faults{BlackHole: 0.1}}
	_, watched, err := simulated(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, unseen, err := simulated(t.Context(), cfg, func(r *run) { r.series.next = math.MaxInt64 }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(unseen.Series) != 1 || len(watched.Series) < 50 {
		t.Fatalf("%d slices unseen, %d watched", len(unseen.Series), len(watched.Series))
	}
	if watched.Trace != unseen.Trace || watched.Events != unseen.Events || watched.Requests != unseen.Requests {
		t.Errorf("trace %s watched, %s unseen", watched.Trace, unseen.Trace)
	}
}

// However far apart events lie, moments stay few and in order.
func TestMomentsStayFew(t *testing.T) {
	cfg := Config{Nodes: 20}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	var s series
	var at int64
	for step := int64(time.Millisecond); at < int64(1000*time.Hour); step += step / 50 {
		at += step
		s.notes(r, at)
		for i := range s.moments {
			if s.moments[i].at%s.every != 0 {
				t.Fatalf("a moment at %d, every %d", s.moments[i].at, s.every)
			}
		}
		if n := len(s.moments); n >= mostSlices || n > 1 && s.moments[n-1].at <= s.moments[n-2].at || n > 0 && s.moments[n-1].at > at {
			t.Fatalf("at %v: %+v", time.Duration(at), s.moments)
		}
	}
	if s.every <= int64(shortestSlice) || len(s.moments) < mostSlices/4 {
		t.Errorf("a slice every %v, %d of them", time.Duration(s.every), len(s.moments))
	}
}

func TestSpread(t *testing.T) {
	ms := int64(time.Millisecond)
	all := []outcome{{took: 0, hops: 3}, {took: 1 * ms}, {took: 1*ms + 1, hops: 1}, {took: 2 * ms, hops: 3}, {took: 8000 * ms, hops: 1}}
	got := sum(all).Spread
	want := Spread{
		Took:      []Bin{{time.Millisecond, 2}, {1091 * time.Microsecond, 1}, {2 * time.Millisecond, 1}, {8192 * time.Millisecond, 1}},
		HopCounts: []int{1, 2, 0, 2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if empty := sum(nil); empty.Took != nil || empty.HopCounts != nil {
		t.Errorf("%+v", empty)
	}
}
