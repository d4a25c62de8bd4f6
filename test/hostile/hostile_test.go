package hostile_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/test/hostile/measure"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	measure.Child()
	goleak.VerifyTestMain(m)
}

// trial is one attack of the full round.
type trial struct {
	attack   string
	long     time.Duration
	settings measure.Settings
	lookups  bool
}

// round is the full round, in the order of the promises.
var round = []trial{
	{"flood", 8 * time.Second, measure.Settings{}, false},
	{"sybil-flood", 8 * time.Second, measure.Settings{}, false},
	{"idle-streams", 8 * time.Second, measure.Settings{}, false},
	{"mute-streams", 8 * time.Second, measure.Settings{}, false},
	{"slow-loris", 8 * time.Second, measure.Settings{}, false},
	{"claimed-length", 8 * time.Second, measure.Settings{}, false},
	{"big-ping", 8 * time.Second, measure.Settings{}, false},
	{"slow-reader", 8 * time.Second, measure.Settings{}, false},
	{"stuffed-streams", 8 * time.Second, measure.Settings{}, false},
	{"load-40", 5 * time.Second, measure.Settings{}, false},
	{"load-80", 5 * time.Second, measure.Settings{}, false},
	{"load-160", 5 * time.Second, measure.Settings{}, false},
	{"overload-800", 5 * time.Second, measure.Settings{Slow: 10 * time.Millisecond}, false},
	{"overload-1600", 5 * time.Second, measure.Settings{Slow: 10 * time.Millisecond}, false},
	{"overload-3200", 5 * time.Second, measure.Settings{Slow: 10 * time.Millisecond}, false},
	{"overload-4800", 5 * time.Second, measure.Settings{Slow: 10 * time.Millisecond}, false},
	{"spoof", 8 * time.Second, measure.Settings{Records: 1_000_000}, false},
	{"malformed", 10 * time.Second, measure.Settings{}, false},
	{"fuzz", 5 * time.Second, measure.Settings{}, false},
	{"provoke", 10 * time.Second, measure.Settings{}, false},
	{"amplification", 8 * time.Second, measure.Settings{}, false},
	{"provider-spam", 5 * time.Second, measure.Settings{}, false},
	{"provider-crowd", 20 * time.Second, measure.Settings{}, false},
	{"value-spam", 5 * time.Second, measure.Settings{}, false},
	{"value-bulk", 5 * time.Second, measure.Settings{}, false},
	{"provider-spam", 10 * time.Second, measure.Settings{Pressed: true}, false},
	{"value-spam", 15 * time.Second, measure.Settings{Pressed: true}, false},
	{"value-bulk", 10 * time.Second, measure.Settings{Pressed: true}, false},
	{"poison-one", 12 * time.Second, measure.Settings{Members: 40, Subnets: true}, false},
	{"poison-many", 12 * time.Second, measure.Settings{Members: 40, Subnets: true}, false},
	{"poison-one", 12 * time.Second, measure.Settings{Members: 40}, false}, // where all may share an address
	{"lies", 12 * time.Second, measure.Settings{}, true},
	{"dangerous", 5 * time.Second, measure.Settings{Public: true}, false},
	{"descriptors", 10 * time.Second, measure.Settings{Files: 160}, false},
	{"connections", 12 * time.Second, measure.Settings{}, false},
	{"silent-sockets", 12 * time.Second, measure.Settings{}, false},
}

// crowded are the attacks that fill the places for connections: what they may not
// take are those of peers that have been there for 5 s.
var crowded = map[string]bool{"load-160": true, "poison-one": true, "poison-many": true, "descriptors": true, "connections": true}

// TestRound is the full round: KDHT_HOSTILE=1 for all attacks, or their names
// separated by commas. It fails only if a trial could not be made; what became of
// the promises is printed, and written as JSON to KDHT_HOSTILE_JSON. Without the
// variable it is one short attack, which must have been made, and survived.
func TestRound(t *testing.T) {
	chosen := os.Getenv("KDHT_HOSTILE")
	trials := round
	if chosen == "" {
		chosen, trials = "1", []trial{{"malformed", time.Second, measure.Settings{Members: 8, Patience: 30 * time.Second}, false}}
	}
	var report measure.Report
	for _, tr := range trials {
		if chosen != "1" && !strings.Contains(","+chosen+",", ","+tr.attack+",") {
			continue
		}
		result := try(t, tr)
		for _, row := range report.Add(result) {
			t.Logf("%-4s %-60s %-45s %-5v %s", row.Promise, row.Figure, row.Limit, row.Kept, row.Got)
		}
		t.Logf("     %v", result.Result.Counts)
		if os.Getenv("KDHT_HOSTILE") == "" && (result.Result.Counts["all pieces"] == 0 || result.Died != "") {
			t.Errorf("made of nothing, or the target has ended: %s", result.Died)
		}
	}
	if report.Overload(); len(report.Rows) == 0 {
		t.Fatalf("KDHT_HOSTILE=%s: no figure of any attack", chosen)
	}
	var table strings.Builder
	report.WriteMarkdown(&table)
	t.Logf("%d of %d figures not kept\n%s", report.Broken(), len(report.Rows), table.String())
	write(t, &report)
}

func try(t *testing.T, tr trial) *measure.Trial {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b, err := measure.NewBench(ctx, tr.settings)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	quiet := 2 * time.Second
	if crowded[tr.attack] {
		quiet = 5 * time.Second
	}
	result, err := b.Try(ctx, tr.attack, measure.Times{Quiet: quiet, Attack: tr.long, After: 5 * time.Second}, tr.lookups)
	if err != nil {
		t.Fatalf("%s: %v", tr.attack, err)
	}
	return result
}

// write writes the report where KDHT_HOSTILE_JSON says.
func write(t *testing.T, report *measure.Report) {
	t.Helper()
	name := cmp.Or(os.Getenv("KDHT_HOSTILE_JSON"), filepath.Join(t.TempDir(), "hostile.json"))
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := report.WriteJSON(f); err != nil {
		t.Fatal(err)
	}
}
