package mutation

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

const root = "../.."

// Every bug applies to the tree as it is, once, and is Go.
func TestBugsApply(t *testing.T) {
	names := map[string]bool{}
	for _, b := range Bugs() {
		if _, err := b.apply(root); err != nil {
			t.Error(err)
		}
		if names[b.Name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(b.Name) || b.Why == "" || len(b.In) == 0 {
			t.Errorf("bug %q needs a name of its own in small letters and hyphens, a Why and packages", b.Name)
		}
		names[b.Name] = true
		for _, pkg := range b.In {
			if suites[pkg] == nil {
				t.Errorf("bug %s: of package %s nobody has said which of its tests are of what kind: add it to suites", b.Name, pkg)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("%d bugs, reliability.md P26 asks for 20", len(names))
	}
}

func TestBugsThatDoNotApply(t *testing.T) {
	for name, c := range map[string]struct {
		bug  Bug
		want string
	}{
		"gone":  {Bug{Old: "x--", New: "x++"}, "found 0 times"},
		"twice": {Bug{Old: "int", New: "uint"}, "found 2 times"},
		"none":  {Bug{Old: "package", New: "package"}, "equal"},
		"no Go": {Bug{Old: "{}", New: "{"}, "no Go"},
	} {
		if _, err := c.bug.mutate([]byte("package p\nfunc f(int, int) {}\n")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	missing := Bug{Name: "b", File: "no/such.go"}
	if _, err := missing.apply(root); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Errorf("file gone: %v", err)
	}
}

// Every test that suites names is there: a test that was renamed would be Other
// without anybody noticing.
func TestSuitesNameTests(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for pkg := range suites {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %d test files, %v", pkg, len(files), err)
		}
		var there []string
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
				there = append(there, match[1])
			}
		}
		for _, names := range allNamed(pkg) {
			for test := range strings.SplitSeq(names, "|") {
				if !slices.Contains(there, test) {
					t.Errorf("%s has no %s any more: correct suites in test/mutation", pkg, test)
				}
			}
		}
	}
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		pkg  string
		at   int
		want string
	}{
		{"routing/sim", 0, "[-run=^(Fuzz.*)$ -skip=^(TestThousandNodes)$]"},
		{"protocol", 1, "[]"},
		{"store", 0, "[-run=^(TestProviderInvariants|TestValueInvariants|Fuzz.*)$ -skip=^(TestThousandNodes)$]"},
		{"store", 2, "[-run=^(Test|Example) -skip=^(TestProviderInvariants|TestValueInvariants|TestThousandNodes)$]"},
	} {
		if got := fmt.Sprint(selection(c.pkg, stages[c.at])); got != c.want {
			t.Errorf("%s, stage %d: %s, want %s", c.pkg, c.at, got, c.want)
		}
	}
	for test, want := range map[string]Kind{"TestScenarios": Story, "TestThousandNodes": Simulation, "FuzzX": FuzzSeed, "TestScenario": Other} {
		if got := kindOf("routing/kademlia", test); got != want {
			t.Errorf("%s is %s, want %s", test, got, want)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		events string
		failed string
		built  bool
	}{
		{`{"Action":"pass","Test":"TestA"}` + "\n" + `{"Action":"pass"}`, "[]", true},
		{`{"Action":"fail","Test":"TestA/b"}` + "\n" + `{"Action":"fail","Test":"TestA"}` + "\n" + `{"Action":"fail"}`, "[TestA]", true},
		{`{"Action":"fail"}`, "[(crash)]", true},
		{`{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"run","Test":"TestB"}` + "\n" + `{"Action":"pass","Test":"TestA"}` + "\n" + `{"Action":"fail"}`, "[TestB]", true},
		{`{"Action":"build-fail"}` + "\n" + `{"Action":"fail","FailedBuild":"x"}`, "[]", false},
		{"no event\n", "[]", true},
	} {
		failed, built := failures([]byte(c.events))
		if fmt.Sprint(failed) != c.failed || built != c.built {
			t.Errorf("%s\nread as %v, built %v", c.events, failed, built)
		}
	}
}

// The whole: each bug is put before the tests. Nine in ten must be caught by
// stories, properties, fuzz seeds and simulations, and none may survive.
func TestSeededBugs(t *testing.T) {
	if os.Getenv("KDHT_MUTATION") == "" {
		t.Log("the bugs are not put before the tests: set KDHT_MUTATION=1 for that (some minutes)")
		return
	}
	r, err := NewRunner(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	t.Run("no-bug", func(t *testing.T) { withoutBug(t, r) })
	var rows strings.Builder
	table := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	var caught [4]int // by stage, the last of them: survived
	bugs := Bugs()
	ran := 0
	for _, b := range bugs {
		t.Run(b.Name, func(t *testing.T) {
			ran++
			v, err := r.Try(t.Context(), &b)
			if err != nil {
				t.Fatal(err)
			}
			caught[v.Stage]++
			by := strings.Join(v.By, " ")
			if !v.Caught() {
				by = "SURVIVED: " + b.Why
			}
			t.Logf("%v, %.1f CPU s: %s", v.Kinds, v.CPU.Seconds(), by)
			fmt.Fprintf(table, "%s\t%v\t%s\n", b.Name, v.Kinds, by)
			if !v.Caught() {
				t.Errorf("no test sees that %s", b.Why)
			}
		})
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &rows)
	t.Logf("%d bugs: %d caught by stories, properties and fuzz seeds, %d more by simulations, %d by other tests only, %d survived; %.0f CPU s in %.0f s",
		ran, caught[0], caught[1], caught[2], caught[3], r.cpu.Seconds(), time.Since(began).Seconds())
	if ran == len(bugs) && (caught[0]+caught[1])*10 < ran*9 {
		t.Errorf("stories, properties, fuzz seeds and simulations caught %d of %d", caught[0]+caught[1], ran)
	}
}

// withoutBug makes sure that the tests pass over the tree as it is, and that tests
// are run at all: nothing would be shown if they failed or were skipped anyhow.
func withoutBug(t *testing.T, r *Runner) {
	for pkg := range suites {
		for _, kinds := range stages {
			failed, err := r.test(t.Context(), pkg, kinds, "")
			if err != nil || failed != nil {
				t.Fatalf("%s fails without any bug: %v, %v", pkg, failed, err)
			}
		}
	}
}
