package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/scenario"
	"github.com/kdht/kdht/routing/sim"
)

// small makes a scenario one of a tenth of a second.
var small = []string{"--nodes", "50", "--lookups", "30"}

func (u *user) sim(args ...string) *result {
	return u.kdht(append(append([]string{"sim"}, args...), small...)...)
}

func TestSimListAndShow(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	list := u.kdht("sim", "--list").ok()
	for _, name := range scenario.Names() {
		if !strings.Contains(list, "\n"+name+" ") && !strings.HasPrefix(list, name+" ") {
			t.Errorf("the list lacks %s:\n%s", name, list)
		}
	}
	for line := range strings.Lines(list) {
		if len(line) > 120 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
	var all []any
	for _, o := range u.kdht("sim", "--list", "--json").objects() {
		all = append(all, o["scenarios"].([]any)...)
	}
	if len(all) != len(scenario.Names()) || all[0].(map[string]any)["summary"] == "" {
		t.Errorf("as JSON: %v", all)
	}
	text := u.kdht("sim", "--show", "churn").ok()
	if want, _ := scenario.Text("churn"); text != string(want) {
		t.Errorf("shows %q", text)
	}
	// What is shown can be run as a file, or through a pipe, and is the same.
	if err := os.WriteFile(filepath.Join(u.home, "mine.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"sim", "mine.toml", "--json"}, small...)
	file, name := u.kdht(args...), u.sim("churn", "--json")
	args[1] = "-"
	piped := u.kdhtWith(text, args...)
	want := trace(t, name)
	if got := trace(t, file); got != want {
		t.Errorf("the file gives the run %s, the name %s", got, want)
	}
	if got := trace(t, piped); got != want {
		t.Errorf("through a pipe comes the run %s, from the name %s", got, want)
	}
}

// trace returns the digest of the only run of a result in JSON; whether the run
// did what is expected does not matter.
func trace(t *testing.T, r *result) string {
	t.Helper()
	r.code = 0
	report, _ := r.objects()[0]["report"].(map[string]any)
	if s, is := report["Trace"].(string); is && len(s) == 16 {
		return s
	}
	t.Fatalf("no trace in %s%s", r.out, r.stderr)
	return ""
}

func TestSimRuns(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	one := u.sim("--seed", "7", "--check", "--memory")
	for _, says := range []string{
		"clean: Nothing goes wrong", "50 nodes, 30 lookups, seed 7\n", "\nseed 7, 50 nodes up", "exact without failures 1.0000",
		" bytes per node", "the same event for event (", "kept      success = 1: 1\n",
	} {
		if !strings.Contains(one.ok(), says) {
			t.Errorf("no %q in:\n%s", says, one.out)
		}
	}
	if one.stderr != "" {
		t.Errorf("to standard error, which is no terminal: %q", one.stderr)
	}
	many := u.sim("clean", "--seed", "7", "--seeds", "3", "--svg", "net.svg").ok()
	pictures, _ := filepath.Glob(filepath.Join(u.home, "net-[789].svg"))
	for _, file := range pictures {
		if text, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(text, []byte("<svg")) || !bytes.HasSuffix(text, []byte("</svg>\n")) {
			t.Errorf("%s: %v, %.80q", file, err, text)
		}
	}
	if len(pictures) != 3 {
		t.Errorf("pictures: %q", pictures)
	}
	for _, says := range []string{"3 seeds from 7 on\n", "\nseed 7: success 1, ", "\nseed 9: success 1, ", "kept      success = 1: 1 (1 to 1)\n"} {
		if !strings.Contains(many, says) {
			t.Errorf("no %q in:\n%s", says, many)
		}
	}
	lines := u.sim("clean", "--json", "--seeds", "2", "--check").objects()
	if len(lines) != 3 || lines[1]["seed"] != 1.0 || lines[0]["check"].(map[string]any)["same"] != true {
		t.Fatalf("as JSON: %v", lines)
	}
	report, sum := lines[0]["report"].(map[string]any), lines[2]
	if report["Nodes"] != 50.0 || report["Ended"] != 30.0 || sum["ok"] != true || sum["seeds"] != 2.0 || len(sum["expected"].([]any)) != 5 {
		t.Errorf("as JSON: %v", lines)
	}
}

func TestSimFails(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for name, text := range map[string]string{
		"missed.toml": "summary = 'a'\n[expect]\nnear = '> 1'\nsuccess = '>= 1'",
		"broken.toml": "summary = 'a'\n[faults]\nrestart = '1h'",
		"bad.toml":    "summary = 'a'\nnodez = 3",
	} {
		if err := os.WriteFile(filepath.Join(u.home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missed := u.sim("missed.toml")
	missed.fails(1, "missed does not do what is expected of it: near > 1, but it is 1 (1 of 2 bounds not kept)")
	if !strings.Contains(missed.out, "NOT KEPT  near > 1: 1\nkept      success >= 1: 1\n") {
		t.Errorf("says %s", missed.out)
	}
	if r := u.sim("missed.toml", "--json"); r.code != 1 || !strings.Contains(r.out, `"ok":false`) || !strings.HasPrefix(r.stderr, `{"error":{`) {
		t.Errorf("ended with %d: %s%s", r.code, r.out, r.stderr)
	}
	broken := u.sim("broken.toml", "--seeds", "2", "--seed", "4")
	broken.fails(1, "2 of 2 runs broke a rule that must always hold; see it again with --seed 4 --seeds 1")
	if !strings.Contains(broken.out, `BROKEN `) || !strings.Contains(broken.out, `"restarted" was asked for and never happened`) {
		t.Errorf("says %s", broken.out)
	}
	u.sim("clean", "--svg", "no/where.svg").fails(2, "give another file with --svg")
	for _, c := range []struct{ args, says string }{
		{"sim bad.toml", "bad.toml:2: there is no key nodez, did you mean node?"},
		{"sim tarpit", "did you mean tarpits?"},
		{"sim nothing.toml", "cannot read the scenario"},
		{"sim clean churn", "at most one scenario"},
		{"sim --show nothing", "there are baseline-compare"},
		{"sim --list --show clean", "none of the others can be"},
		{"sim --nodes 0", "--nodes 0: choose 1 or more"},
		{"sim --seeds -1", "--seeds -1: choose 1 or more"},
		{"sim --seeds 1001", "--seeds 1001: choose at most 1000"},
		{"sim --nodes 1", "Nodes must be between"},
		{"sim --nodes 2000000", "choose at most 1000000"},
		{"sim --seed -1", "seed"},
	} {
		r := u.kdht(strings.Fields(c.args)...)
		r.fails(2, c.says)
		if r.out != "" {
			t.Errorf("kdht %s wrote %q to standard output", c.args, r.out)
		}
	}
}

// Ctrl-C, and an order to end, end it with what there is.
func TestSimIsInterrupted(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		run := u.start("sim", "clean", "--nodes", "20000", "--seeds", "2")
		run.out.await(t, "20000 nodes, 500 lookups, 2 seeds from 0 on")
		if code := run.end(signal); code != 130 {
			t.Errorf("%v: ended with %d", signal, code)
		}
		run.out.await(t, "seed 0 so far: success")
		run.err.await(t, "kdht: interrupted in run 1 of 2: ")
	}
}

// What stands beside the bar.
func TestSimBarText(t *testing.T) {
	b := &simBar{}
	p := sim.Progress{Virtual: 90 * time.Second, Events: 300_000, Up: 40, Nodes: 50, Lookups: 3, Of: 30}
	if got, want := b.text(p, 2*time.Second), "40/50 nodes, 1m30s virtual, 150k events/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.Up, b.stage = 50, scenario.Clean
	if got, want := b.text(p, 2*time.Second), "clean: 3/30 lookups, 1m30s virtual, 150k events/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
