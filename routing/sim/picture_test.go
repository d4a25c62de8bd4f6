package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

var (
	remake = flag.Bool("remake", false, "write the pictures anew instead of comparing them")
	sizes  = flag.String("sizes", "", "TestScalePicture: make runs of so many nodes, as in 1000,10000, and write docs/sim-scale.json from them")
)

// compare compares what was drawn with a file, and checks that it is XML.
func compare(t *testing.T, name string, drawn []byte) {
	t.Helper()
	wellFormed(t, drawn)
	if *remake || *sizes != "" {
		if err := os.WriteFile(name, drawn, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(drawn, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s is not what is drawn today; look at the difference after go test ./routing/sim -run Picture -remake", name)
	}
}

func wellFormed(t *testing.T, drawn []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(drawn)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, drawn)
		}
	}
}

// example is a report as a run could give it: joining, a fault at 4 min, churn.
func example() Report {
	rep := Report{Seed: 7, Nodes: 1000, Virtual: 10 * time.Minute, Trace: "0123456789abcdef"}
	rep.Lookups = Lookups{
		Ended: 100, P50: 800 * time.Millisecond, P99: 5800 * time.Millisecond,
		Found:  Found{Success: 1, Near: 0.99},
		Spread: Spread{Took: []Bin{{upTo(74), 20}, {upTo(75), 50}, {upTo(80), 25}, {upTo(100), 5}}, HopCounts: []int{0, 10, 70, 20}},
	}
	rep.Baseline = &Lookups{Ended: 50, Spread: Spread{Took: []Bin{{upTo(90), 50}}, HopCounts: []int{0, 0, 50}}}
	for i := range 10 {
		s := Slice{At: time.Duration(i+1) * time.Minute, Up: 100 * (i + 1), Requests: Rates{Probes: 100, Upkeep: float64(1000 - 100*i)}}
		if i > 0 {
			s.Table = Table{Judged: 100, Size: 100 + float64(i), Alive: 1 - float64(i%4)/50, Known: 0.99}
		}
		if i > 4 && i != 7 {
			s.Ended, s.Success, s.Near, s.P50, s.P95 = 20, 1, 0.95, time.Second, time.Duration(i)*time.Second
			s.Requests.Lookups = 40
		}
		rep.Series = append(rep.Series, s)
	}
	return rep
}

func TestReportPicture(t *testing.T) {
	rep := example()
	var drawn bytes.Buffer
	if err := rep.WriteSVG(&drawn); err != nil {
		t.Fatal(err)
	}
	compare(t, "testdata/report.svg", drawn.Bytes())
	if text := drawn.String(); strings.Contains(text, "records") || !strings.Contains(text, "nearest neighbours known: 9 points from 99 % to 99 %") {
		t.Error("a curve of nothing is drawn, or one is described wrong")
	}
	rep.Series[3].Requests.Records, rep.Kept = 5, &Kept{}
	drawn.Reset()
	if err := rep.WriteSVG(&drawn); err != nil || !strings.Contains(drawn.String(), "records: 1 points from 5 to 5") {
		t.Errorf("records is not drawn: %v", err)
	}
}

// A report of nothing, and a sweep of nothing or of one size, are pictures too.
func TestPicturesOfNearlyNothing(t *testing.T) {
	for name, draw := range map[string]func(w io.Writer) error{
		"an empty report":           (&Report{}).WriteSVG,
		"no size":                   func(w io.Writer) error { return WriteSweepSVG(w, nil) },
		"one size, nothing ended":   func(w io.Writer) error { return WriteSweepSVG(w, []Report{{Nodes: 100}}) },
		"sizes of nothing":          func(w io.Writer) error { return WriteSweepSVG(w, make([]Report, 2)) },
		"one size, without another": func(w io.Writer) error { return WriteSweepSVG(w, []Report{example()}) },
	} {
		var drawn bytes.Buffer
		if err := draw(&drawn); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wellFormed(t, drawn.Bytes())
		if text := drawn.String(); strings.Contains(text, "nothing to show") == (name == "one size, without another") || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// docs/sim-scale.svg shows the runs of docs/sim-scale.json. Both are made anew by
//
//	go test ./routing/sim -run ScalePicture -v -sizes 1000,3000,10000,30000,100000 -timeout 2h
func TestScalePicture(t *testing.T) {
	const figures, picture = "../../docs/sim-scale.json", "../../docs/sim-scale.svg"
	if *sizes != "" {
		var table bytes.Buffer
		reports := sweep(t, *sizes)
		if err := WriteSweepJSON(&table, reports); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(figures, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var reports []Report
	if err := json.Unmarshal(text, &reports); err != nil {
		t.Fatal(err)
	}
	if len(reports) < 2 || reports[0].Ended == 0 || reports[0].Baseline == nil {
		t.Fatalf("%s holds %d reports without figures", figures, len(reports))
	}
	var drawn bytes.Buffer
	if err := WriteSweepSVG(&drawn, reports); err != nil {
		t.Fatal(err)
	}
	compare(t, picture, drawn.Bytes())
}

// sweep makes the runs of docs/sim-scale.json: calm networks, without refresh and
// probes of members, so that joining is not mixed with them.
func sweep(t *testing.T, sizes string) []Report {
	t.Helper()
	var all []int
	for _, s := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("-sizes: %v", err)
		}
		all = append(all, n)
	}
	cfg := Config{Seed: 1, JoinRate: *joinRate, Lookups: 4000, Rate: 50, Node: kademlia.Config{Timing: calm}}
	reports, err := Sweep(t.Context(), cfg, all, nil)
	var table bytes.Buffer
	if err := errors.Join(err, WriteSweepText(&table, reports)); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
	for i := range reports {
		t.Logf("%d nodes: %d events, %d requests in %v", reports[i].Nodes, reports[i].Events, reports[i].Requests, reports[i].Wall.Round(time.Second))
	}
	return reports
}

func TestSweep(t *testing.T) {
	told := 0
	reports, err := Sweep(t.Context(), Config{Seed: 30, Lookups: 20}, []int{30, 120}, func(Progress) { told++ })
	if err != nil || len(reports) != 2 || told == 0 {
		t.Fatalf("%d reports, progress told %d times, %v", len(reports), told, err)
	}
	alone, err := Run(t.Context(), Config{Seed: 30, Lookups: 20, Nodes: 120, Compare: true}, nil)
	if err != nil || reports[0].Nodes != 30 || reports[1].Trace != alone.Trace || reports[1].Baseline.Ended != 10 {
		t.Errorf("the run of 120 nodes is another one in a sweep: %+v, alone %+v, %v", reports[1], alone, err)
	}
	var text, back bytes.Buffer
	if err := WriteSweepText(&text, reports); err != nil || strings.Count(text.String(), "\n") != 5 {
		t.Errorf("%v: %s", err, &text)
	}
	var again []Report
	err = errors.Join(WriteSweepJSON(&text, reports), json.Unmarshal(text.Bytes()[bytes.IndexByte(text.Bytes(), '['):], &again), WriteSweepJSON(&back, again))
	if err != nil || !bytes.HasSuffix(text.Bytes(), back.Bytes()) {
		t.Errorf("%v, and %d reports read back", err, len(again))
	}
	for i := range reports {
		if reports[i].Series != nil {
			t.Error("a sweep's reports have a series")
		}
	}
}

// A sweep ends with the run that fails, and returns it.
func TestSweepEnds(t *testing.T) {
	if reports, err := Sweep(t.Context(), Config{}, []int{30, 1, 60}, nil); err == nil || len(reports) != 2 || !strings.Contains(err.Error(), "1 nodes") {
		t.Errorf("%d reports, %v", len(reports), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if reports, err := Sweep(ctx, Config{Lookups: 50}, []int{200, 300}, nil); !errors.Is(err, context.Canceled) || len(reports) != 1 {
		t.Errorf("%d reports, %v", len(reports), err)
	}
	if reports, err := Sweep(ctx, Config{}, nil, nil); err != nil || len(reports) != 0 {
		t.Errorf("%d reports, %v", len(reports), err)
	}
}
