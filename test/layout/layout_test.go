package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample parses one file whose body follows the package clause.
func sample(t *testing.T, name, body string) []*Source {
	t.Helper()
	s, err := Parse(name, []byte("package sample\n\n"+body))
	if err != nil {
		t.Fatalf("the sample %s does not parse: %v", name, err)
	}
	return []*Source{s}
}

// want checks that every wanted text is in exactly one problem and that there are no others.
func want(t *testing.T, problems []Problem, texts ...string) {
	t.Helper()
	if len(problems) != len(texts) {
		t.Fatalf("%d problems, want %d: %v", len(problems), len(texts), problems)
	}
	for i, text := range texts {
		if !strings.Contains(problems[i].String(), text) {
			t.Errorf("problem %d is %q, want it to contain %q", i, problems[i], text)
		}
	}
}

func TestImports(t *testing.T) {
	rules := map[string]ImportRule{
		"leaf":    {Foreign: []string{"example.org/good"}},
		"above":   {Ours: []string{"leaf"}},
		"top/...": {Ours: []string{"*"}},
	}
	for _, c := range []struct {
		name, body string
		problems   []string
	}{
		{"leaf/a.go", `import ("fmt"; "example.org/good")`, nil},
		{"leaf/a.go", `import "example.org/bad"`, []string{`leaf/a.go:3: leaf may not import "example.org/bad"`}},
		{"leaf/a.go", `import "my.mod/m/above"`, []string{`our package "above"`}},
		{"leaf/a.go", `import "my.mod/m"`, []string{`our package "."`}},
		{"leaf/a_test.go", `import "my.mod/m/above"`, nil},
		{"leaf/below/a.go", ``, []string{`no import rule for the package "leaf/below"`}},
		{"above/a.go", `import ("my.mod/m/leaf"; "any.where/x")`, nil},
		{"top/b/c/a.go", `import "my.mod/m/above"`, nil},
		{"other/a.go", ``, []string{`no import rule`}},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, Imports(sample(t, c.name, c.body), "my.mod/m", rules), c.problems...) })
	}
}

func TestRestricted(t *testing.T) {
	restrictions := []Restriction{
		{Module: "big.org/lib", Except: []string{"big.org/lib/core"}, Allowed: []string{"make", "cmd/..."}, Instead: "use core"},
		{Module: "box.org/x", Tests: true, Instead: "only tests"},
	}
	for _, c := range []struct {
		name, body string
		problems   []string
	}{
		{"lib/a.go", `import "big.org/lib/core/peer"`, nil},
		{"lib/a.go", `import "big.org/lib"`, []string{"use core"}},
		{"lib/a.go", `import "big.org/lib/corescheme"`, []string{"use core"}},
		{"lib/a.go", `import "big.org/libother"`, nil},
		{"make/a.go", `import "big.org/lib"`, nil},
		{"make/sub/a.go", `import "big.org/lib"`, []string{"use core"}},
		{"cmd/x/y/a.go", `import "big.org/lib"`, nil},
		{"lib/a_test.go", `import ("box.org/x"; "big.org/lib")`, []string{"use core"}},
		{"lib/a.go", `import "box.org/x/y"`, []string{"only tests"}},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, Restricted(sample(t, c.name, c.body), restrictions), c.problems...) })
	}
}

func TestPure(t *testing.T) {
	p := Purity{
		Dirs:     []string{"core"},
		Packages: map[string]string{"log": "return an error", "sync": "one goroutine owns it"},
		Names:    map[string]string{"time.Now": "take now"},
		Only:     map[string][]string{"math/rand/v2": {"Rand", "New"}},
		NoGo:     true,
	}
	for _, c := range []struct {
		name, body string
		problems   []string
	}{
		{"core/a.go", "import \"time\"\nvar x = time.Now", []string{"core/a.go:4: core uses time.Now: take now"}},
		{"core/a.go", "import clock \"time\"\nvar x = clock.Now()", []string{"take now"}},
		{"core/a.go", "import \"time\"\nvar x time.Time", nil},
		{"core/a.go", `import ("log"; "sync"; "sync/atomic")`, []string{"return an error", "one goroutine owns it"}},
		{"core/a.go", "import \"math/rand/v2\"\nfunc f(r *rand.Rand) { r.IntN(2); rand.IntN(2) }", []string{"math/rand/v2.IntN"}},
		{"core/a.go", "func f() { go f() }", []string{"a go statement"}},
		{"core/a.go", "func f(c chan int) { select {}; c <- 1; <-c }", []string{"a channel:", "a select", "a channel send", "a channel receive"}},
		{"core/a_test.go", "func f() { go f() }", nil},
		{"core/sub/a.go", "func f() { go f() }", nil},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, Pure(sample(t, c.name, c.body), p), c.problems...) })
	}
	t.Run("may spawn", func(t *testing.T) {
		p := p
		p.NoGo = false
		want(t, Pure(sample(t, "core/a.go", "func f() { go f() }"), p))
	})
}

func TestSizes(t *testing.T) {
	limits := Limits{FileLines: 40, FuncLines: 10, ShortLines: 5, ShortShare: 90, StructField: 3}
	function := func(lines int) string {
		return "func f() {\n" + strings.Repeat("\tg()\n", lines-2) + "}\n"
	}
	for _, c := range []struct {
		name, body string
		problems   []string
	}{
		{"a.go", function(5), nil},
		{"a.go", function(10) + strings.Repeat(function(2), 9), nil},
		{"a.go", function(11) + strings.Repeat(function(2), 9), []string{"f has 11 lines, at most 10"}},
		{"a.go", function(6) + strings.Repeat(function(2), 8), []string{"8 of 9 functions have at most 5 lines"}},
		{"a.go", strings.Repeat("\n", 38), nil},
		{"a.go", strings.Repeat("\n", 39), []string{"41 lines, at most 40"}},
		{"a.go", "type T struct { a, b int; error; c int }", []string{"T has 4 fields, at most 3"}},
		{"a.go", "type T struct { a, b int; error }", nil},
		{"a_test.go", function(11) + "type T struct { a, b, c, d int }", nil},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, Sizes(sample(t, c.name, c.body), limits), c.problems...) })
	}
	generated, err := Parse("a.go", []byte("// Code generated by x. DO NOT EDIT.\n\npackage p\n"+function(11)))
	if err != nil {
		t.Fatal(err)
	}
	want(t, Sizes([]*Source{generated}, limits))
}

func TestWaits(t *testing.T) {
	const head = "import (\"testing\"; \"time\"; \"testing/synctest\"; \"os\")\n"
	for _, c := range []struct {
		name, body string
		problems   []string
	}{
		{"a_test.go", `func TestA(t *testing.T) { time.Sleep(1) }`, []string{"is a flake"}},
		{"a.go", `func a() { time.Sleep(1) }`, nil},
		{"a_test.go", `func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }`, nil},
		{"a_test.go", `func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }); time.Sleep(1) }`, []string{"is a flake"}},
		{"a_test.go", `func TestA(t *testing.T) { t.Skip("no") }`, []string{"Skip hides a test"}},
		{"a_test.go", `func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { t.SkipNow() }) }`, []string{"SkipNow hides a test"}},
		{"a_test.go", `func BenchmarkA(b *testing.B) { if testing.Short() { b.Skipf("no") } }`, []string{"Skipf hides a test"}},
		{"a_test.go", `func TestA(t *testing.T) { if os.Getenv("CI") == "true" { t.Fatal("no") }; t.Skip("no") }`, nil},
		{"a_test.go", `func must() bool { return os.Getenv("CI") == "true" }; func TestA(t *testing.T) { if must() { return }; t.Skip("no") }`, nil},
		{"a_test.go", `func other() bool { return os.Getenv("X") == "true" }; func TestA(t *testing.T) { if other() { return }; t.Skip("no") }`, []string{"Skip hides"}},
		{"a_test.go", `func TestA(t *testing.T) { var reader interface{ Skip(int) }; reader.Skip(1) }`, nil},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, Waits(sample(t, c.name, head+c.body)), c.problems...) })
	}
}

func TestEntries(t *testing.T) {
	want(t, Entries([]string{"go.mod", "lib/a.go", "lib/b.go"}, []string{"go.mod", "lib"}))
	want(t, Entries([]string{"go.mod", "old/a.go", "old/b.go", "x"}, []string{"go.mod"}), "old: not one", "x: not one")
}

// Without git, as in an unpacked archive, the tree is walked.
func TestReadWithoutGit(t *testing.T) {
	root := t.TempDir()
	for i, name := range []string{"a.go", "b/c.go", "b/testdata/d.go", ".hidden/e.go", "node_modules/f.go", "b/text.md"} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fmt.Appendf(nil, "package p%d\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sources {
		got = append(got, s.Path)
	}
	if strings.Join(got, " ") != "a.go b/c.go" {
		t.Errorf("read %v, want a.go and b/c.go", got)
	}
}
