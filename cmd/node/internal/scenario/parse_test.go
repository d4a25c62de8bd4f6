package scenario

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/spelling"
	"github.com/kdht/kdht/routing/sim"
)

// own are the fields of sim.Config that are the run's; code cannot be written in a
// file at all.
var own = []string{"Node.Self"}

func isCode(v reflect.Value) bool {
	return v.Kind() == reflect.Func || v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer
}

// Whatever can be asked of the simulator can be written in a file: a field that is
// new in sim.Config needs one of its name in file.go.
func TestEveryFieldOfConfigIsReachable(t *testing.T) {
	f := full(t)
	var c sim.Config
	copyTo(reflect.ValueOf(&c).Elem(), reflect.ValueOf(f))
	leaves(reflect.ValueOf(c), "", func(path string, v reflect.Value) {
		if v.IsZero() && !isCode(v) && !slices.Contains(own, path) {
			t.Errorf("no key of a file sets sim.Config.%s: add a field to a struct in file.go, and a line to docs/SIMULATION.md", path)
		}
	})
	if c.Link.Dial != time.Hour || c.Seed == 0 || c.Node.Timing.Cache != 8784*time.Hour {
		t.Errorf("values have not come through: %+v", c)
	}
}

// full returns a file with every key set to the most it can be.
func full(t *testing.T) (f file) {
	t.Helper()
	fields(reflect.ValueOf(&f).Elem(), "", func(path string, v reflect.Value, k key) {
		switch {
		case k.kind == aTable:
		case v.Type() == reflect.TypeFor[duration]():
			v.Set(reflect.ValueOf(duration{time.Duration(k.most) * time.Hour}))
		case v.Kind() == reflect.Bool:
			v.SetBool(true)
		case v.CanInt():
			v.SetInt(int64(k.most))
		case v.CanUint():
			v.SetUint(7)
		case v.CanFloat():
			v.SetFloat(k.most)
		case v.Kind() == reflect.String:
			v.SetString(path)
		default:
			t.Fatalf("%s: no value for a %s", path, v.Type())
		}
	})
	return f
}

// leaves calls visit for everything in a struct that is no struct.
func leaves(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	if v.Kind() != reflect.Struct {
		visit(path, v)
		return
	}
	for i := range v.NumField() {
		leaves(v.Field(i), strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), visit)
	}
}

// The page says what each key does; a key that is not written there is not known.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/SIMULATION.md")
	if err != nil {
		t.Fatal(err)
	}
	for path, k := range keys {
		word := "`" + path[strings.LastIndexByte(path, '.')+1:] + "`"
		if k.kind == aTable {
			word = "`[" + path + "]`"
		}
		if k.kind != aBound && !strings.Contains(string(page), word) {
			t.Errorf("docs/SIMULATION.md has no word of %s: %s", path, word)
		}
	}
}

func TestParse(t *testing.T) {
	s, err := Parse("some/where.toml", []byte(`
summary = "a summary"
why = """
and
why
"""
seeds = 3
seed = 7
nodes = 1_000
link = { tcp = 1, dial = "1m30s" }
faults.tarpit = 0.5
[node]
k = 10
[node.timing]
probe = "-1s"
[expect]
p95 = "<=1.5s"
near = ">= 0.9"
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "where" || s.Summary != "a summary" || s.Why != "and\nwhy" || s.Seeds != 3 {
		t.Errorf("%+v", s)
	}
	want := sim.Config{Seed: 7, Nodes: 1000, Link: sim.Link{TCP: 1, Dial: 90 * time.Second}, Faults: sim.Faults{Tarpit: 0.5}}
	want.Node.K, want.Node.Timing.Probe = 10, -time.Second
	if !reflect.DeepEqual(s.Config, want) {
		t.Errorf("%+v, want %+v", s.Config, want)
	}
	if got := fmt.Sprint(s.Expect); got != "[near >= 0.9 p95 <= 1.5s]" {
		t.Errorf("expects %s", got)
	}
}

// Every refusal says where, what, and what instead.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "x.toml: summary: say in one line"},
		{"summary = ''", "x.toml:1: summary: say in one line"},
		{"summary = \"\"\"a\nb\"\"\"", "x.toml:1: summary: say in one line"},
		{"summary = '" + strings.Repeat("a", 91) + "'", "at most 90 bytes"},
		{"summary = 3", "x.toml:1: summary: give text"},
		{"\nwhy = '\u202e'\nsummary='a'", "x.toml:2: why: give at most"},
		{"nodez = 3", "x.toml:1: there is no key nodez, did you mean node?"},
		{"\n[faultz]", "x.toml:2: there is no key faultz, did you mean faults?"},
		{"[faults]\n\ntarpits = 0.5", "x.toml:3: there is no key faults.tarpits, did you mean tarpit?"},
		{"tarpit = 0.5", "x.toml:1: there is no key tarpit, did you mean faults.tarpit?"},
		{"colour = 'red'", "x.toml:1: there is no key colour"},
		{"nodes = '3'", "x.toml:1: nodes: give a whole number from 0 to 1000000"},
		{"nodes = 3.5", "x.toml:1: nodes: give a whole number"},
		{"nodes = -1", "x.toml:1: nodes: give a whole number"},
		{"nodes = 99999999999999999999", "x.toml:1: nodes: give a whole number"},
		{"seed = -1", "x.toml:1: seed: give a whole number"},
		{"compare = 1", "x.toml:1: compare: give true or false"},
		{"rate = nan", "x.toml:1: rate: give a number from 0 to 1000000"},
		{"rate = inf", "x.toml:1: rate: give a number"},
		{"[faults]\ntarpit = 1.1", "x.toml:2: faults.tarpit: give a number from 0 to 1"},
		{"[link]\nloss = 1", "x.toml:2: link.loss: give a number from 0 to 0.99"},
		{"settle = 3", `x.toml:1: settle: give a duration such as "10m", from 0h to 8784h`},
		{"settle = '3'", "x.toml:1: settle: give a duration"},
		{"settle = '9000h'", "x.toml:1: settle: give a duration"},
		{"settle = 2026-01-01", "x.toml:1: settle: give a duration"},
		{"[node.timing]\nslot = '-1s'", "x.toml:2: node.timing.slot: give a duration"},
		{"faults = 3", "x.toml:1: faults: give a table"},
		{"[[faults]]", "x.toml:1: faults: give a table"},
		{"summary = 'a'\nsummary = 'b'", "x.toml:2: key summary is already defined"},
		{"summary = 'a", "x.toml:1: "},
		{"[expect]\nnaer = '>= 1'", "x.toml:2: expect.naer: a report has no such figure, did you mean near?"},
		{"[expect]\nnear = 1", "x.toml:2: expect.near: give a bound such as"},
		{"[expect]\nnear = '1'", "x.toml:2: expect.near: write a bound like"},
		{"[expect]\np95 = '<= 1.5'", "x.toml:2: expect.p95: write a bound like"},
		{"[expect]\nnear = '>= 1s'", "x.toml:2: expect.near: write a bound like"},
		{"[expect]\nnear = '>= -1'", "x.toml:2: expect.near: write a bound like"},
		{"[expect]\nnear = '>= 1 x'", "x.toml:2: expect.near: write a bound like"},
		{"[expect]\np95 = '<= baseline'", "x.toml:2: expect.p95: there is no baseline without compare = true"},
		{"[expect]\nbaseline_p95 = '<= 1s'", "x.toml:2: expect.baseline_p95: there is no baseline"},
		{"[faults]\nhung = 0.5\ntarpit = 0.6", "x.toml: the shares of the faults add up to more than 1"},
		{"nodes = 1", "x.toml: Nodes must be"},
		{"lookups = 10_000_000\nrate = 0.01", "x.toml: the run would last 1.16e+04 days"},
		{"nodes = 1000\njoin_rate = 1e-300", "x.toml: the run would last"},
		{"\xff\x1b[2J", "x.toml:1: "},
		{strings.Repeat("#", MaxFile+1), "x.toml: more than 64 KiB"},
	} {
		s, err := Parse("x.toml", []byte(c.text))
		if s != nil || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.says)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"churn", "clean", "partition", "partition-restart", "tarpits", "p50"}
	for name, want := range map[string]string{
		"clean": "clean", "claen": "clean", "clea": "clean", "tarpit": "tarpits", "partitoin": "partition", "partition-restarts": "partition-restart",
		"xyz": "", "": "", "p": "", "p5": "p50", strings.Repeat("clean", 50): "",
	} {
		if got := spelling.Nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// What a stranger writes is refused in one legible line, or can be run.
func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		text, err := Text(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("summary = 'a'\n[expect]\n" + strings.Repeat("R", 2000) + " = '1'"))
	f.Add([]byte("summary = 'a'\nlink = {dial = 3}\nnode.timing.slot = '1h'\n[expect]\n\"p9\\u0035\" = '<= 2 × clean'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("x.toml", text)
		if err != nil {
			if s != nil || len(err.Error()) > 1000 || strings.ContainsFunc(err.Error(), unprintable) || !strings.HasPrefix(err.Error(), "x.toml") {
				t.Errorf("%v, %q", s, err)
			}
			return
		}
		if _, err := fill(s.Config); err != nil || s.Seeds < 1 || s.Config.Nodes > mostNodes || s.Summary == "" {
			t.Errorf("%v: %+v", err, s)
		}
		for _, b := range s.Expect {
			if _, known := figureKinds[b.Figure]; !known || b.Limit < 0 {
				t.Errorf("expects %+v", b)
			}
		}
	})
}
