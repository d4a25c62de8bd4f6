package layout

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// Waits checks test files: no time.Sleep outside of a function literal that is handed to synctest.Test, where time is not real,
// and no skip in a function that does not read the environment variable CI, itself or through a function of its package, so that
// a check cannot silently not run there.
func Waits(sources []*Source) []Problem {
	readers := readersOfCI(sources)
	var problems []Problem
	for _, s := range sources {
		if !s.Test() {
			continue
		}
		for _, decl := range s.file.Decls {
			w := &waitVisitor{source: s, readsCI: mentions(decl, `"CI"`) || calls(decl, s.Dir(), readers), problems: &problems}
			ast.Walk(w, decl)
		}
	}
	return problems
}

// readersOfCI names the functions that read the variable CI, as folder and name.
func readersOfCI(sources []*Source) map[string]bool {
	readers := map[string]bool{}
	for _, s := range sources {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && mentions(f, `"CI"`) {
				readers[s.Dir()+"."+f.Name.Name] = true
			}
		}
	}
	return readers
}

func calls(decl ast.Decl, dir string, readers map[string]bool) bool {
	found := false
	ast.Inspect(decl, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			ident, ok := call.Fun.(*ast.Ident)
			found = found || ok && readers[dir+"."+ident.Name]
		}
		return !found
	})
	return found
}

// waitVisitor walks one declaration; in a bubble, time is not real.
type waitVisitor struct {
	source   *Source
	readsCI  bool
	bubble   bool
	problems *[]Problem
}

func (w *waitVisitor) Visit(n ast.Node) ast.Visitor {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return w
	}
	what := ""
	from, name := w.source.callee(call)
	switch {
	case from == "testing/synctest" && name == "Test":
		inside := *w
		inside.bubble = true
		return &inside
	case from == "time" && name == "Sleep" && !w.bubble:
		what = "time.Sleep in a test is a flake: run it in synctest.Test, inject now, or wait for the event itself"
	case from == "" && skips(call, name) && !w.readsCI:
		what = fmt.Sprintf("%s hides a test that did not run: in the same function, fail instead when os.Getenv(\"CI\") is \"true\"", name)
	}
	if what != "" {
		*w.problems = append(*w.problems, Problem{w.source.at(call.Pos()), what})
	}
	return w
}

// callee names what is called: the import path and name of a package's function, or only the name of a method.
func (s *Source) callee(call *ast.CallExpr) (from, name string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if ident, ok := sel.X.(*ast.Ident); ok {
		from = s.imports[ident.Name]
	}
	return from, sel.Sel.Name
}

// skips tells testing's own Skip from other methods of that name by the usual names of its receiver.
func skips(call *ast.CallExpr, name string) bool {
	if name != "Skip" && name != "Skipf" && name != "SkipNow" {
		return false
	}
	ident, ok := call.Fun.(*ast.SelectorExpr).X.(*ast.Ident)
	return ok && slices.Contains([]string{"t", "b", "f", "tb", "rt"}, strings.ToLower(ident.Name))
}

func mentions(n ast.Node, literal string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		found = found || ok && lit.Kind == token.STRING && lit.Value == literal
		return !found
	})
	return found
}

// Entries checks the names at the top of the tree against those that have earned their place there.
func Entries(tracked, allowed []string) []Problem {
	var problems []Problem
	var seen []string
	for _, file := range tracked {
		top, _, _ := strings.Cut(file, "/")
		if slices.Contains(seen, top) || slices.Contains(allowed, top) {
			continue
		}
		seen = append(seen, top)
		problems = append(problems, Problem{top, "not one of the entries that the design lists at the top of the tree: put it into the folder it belongs to, or list it in layout_test.go and docs/ARCHITECTURE.md"})
	}
	return problems
}
