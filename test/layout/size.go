package layout

import (
	"fmt"
	"go/ast"
)

// Limits are the size habits of non-test files that no tool wrote.
type Limits struct {
	FileLines   int
	FuncLines   int // the longest function, from its first line to its closing brace
	ShortLines  int // what a short function is,
	ShortShare  int // and how many in a hundred are to be short, over the whole tree
	StructField int
}

// Sizes checks the sources against the limits.
func Sizes(sources []*Source, limits Limits) []Problem {
	var problems []Problem
	funcs, short := 0, 0
	for _, s := range sources {
		if s.Test() || s.Generated() {
			continue
		}
		if s.Lines > limits.FileLines {
			problems = append(problems, Problem{s.Path, fmt.Sprintf("%d lines, at most %d: two ideas in one room? give one its own file", s.Lines, limits.FileLines)})
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := s.lines(n)
				funcs++
				if lines <= limits.ShortLines {
					short++
				}
				if lines > limits.FuncLines {
					problems = append(problems, Problem{s.at(n.Pos()), fmt.Sprintf("%s has %d lines, at most %d: name its steps and move them out", n.Name.Name, lines, limits.FuncLines)})
				}
			case *ast.TypeSpec:
				problems = append(problems, s.structSize(n, limits.StructField)...)
			}
			return true
		})
	}
	if short*100 < funcs*limits.ShortShare {
		problems = append(problems, Problem{"tree", fmt.Sprintf("%d of %d functions have at most %d lines, %d %% should: shorten the longest", short, funcs, limits.ShortLines, limits.ShortShare)})
	}
	return problems
}

func (s *Source) lines(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

func (s *Source) structSize(spec *ast.TypeSpec, most int) []Problem {
	t, ok := spec.Type.(*ast.StructType)
	if !ok || t.Fields.NumFields() <= most {
		return nil
	}
	return []Problem{{s.at(spec.Pos()), fmt.Sprintf("%s has %d fields, at most %d: group those that change together in a struct of their own", spec.Name.Name, t.Fields.NumFields(), most)}}
}
