package layout

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// Purity says what the non-test files of some folders may not touch, so that the same inputs give the same outputs.
type Purity struct {
	Dirs     []string          // folders, without those below them
	Packages map[string]string // import paths that are out of bounds → what to do instead
	Names    map[string]string // "time.Now": single names of packages → what to do instead
	Only     map[string][]string
	// Only lists, for an import path, the names that may be used of it: the rest draw from a global source.
	NoGo bool // no goroutines, channels or select
}

// Pure checks the sources against one Purity.
func Pure(sources []*Source, p Purity) []Problem {
	var problems []Problem
	for _, s := range sources {
		if s.Test() || !slices.Contains(p.Dirs, s.Dir()) {
			continue
		}
		problems = append(problems, p.imports(s)...)
		ast.Inspect(s.file, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			if what := p.judge(s, n); what != "" {
				problems = append(problems, Problem{s.at(n.Pos()), what})
			}
			return true
		})
	}
	return problems
}

func (p Purity) imports(s *Source) []Problem {
	var problems []Problem
	for _, spec := range s.file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		if instead, bad := p.Packages[imported]; bad {
			problems = append(problems, Problem{s.at(spec.Pos()), fmt.Sprintf("%s imports %q: %s", s.Dir(), imported, instead)})
		}
	}
	return problems
}

func (p Purity) judge(s *Source, n ast.Node) string {
	if sel, ok := n.(*ast.SelectorExpr); ok {
		return p.judgeName(s, sel)
	}
	if !p.NoGo {
		return ""
	}
	what := ""
	switch n := n.(type) {
	case *ast.GoStmt:
		what = "a go statement"
	case *ast.SelectStmt:
		what = "a select statement"
	case *ast.SendStmt:
		what = "a channel send"
	case *ast.ChanType:
		what = "a channel"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			what = "a channel receive"
		}
	}
	if what == "" {
		return ""
	}
	return fmt.Sprintf("%s has %s: the core neither waits nor spawns; return a deadline or take a callback", s.Dir(), what)
}

func (p Purity) judgeName(s *Source, sel *ast.SelectorExpr) string {
	ident, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	imported, ok := s.imports[ident.Name]
	if !ok {
		return ""
	}
	if instead, bad := p.Names[imported+"."+sel.Sel.Name]; bad {
		return fmt.Sprintf("%s uses %s.%s: %s", s.Dir(), imported, sel.Sel.Name, instead)
	}
	if only, limited := p.Only[imported]; limited && !slices.Contains(only, sel.Sel.Name) {
		return fmt.Sprintf("%s uses %s.%s (allowed: %s): draw from the generator that the caller injects", s.Dir(), imported, sel.Sel.Name, strings.Join(only, ", "))
	}
	return ""
}
