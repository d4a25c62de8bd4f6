package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// ImportRule says what the non-test files of one folder may import.
type ImportRule struct {
	Ours    []string // packages of the module, relative to it; "*" allows all
	Foreign []string // the only third-party packages allowed; nil allows all that Restricted does not keep back
}

// Imports checks every non-test file against the rules. module is our module's path; rules are found by the file's folder, or by
// the nearest folder above it whose name ends in "/...". Folders without a rule are a problem of their own.
func Imports(sources []*Source, module string, rules map[string]ImportRule) []Problem {
	var problems []Problem
	for _, s := range sources {
		if s.Test() {
			continue
		}
		rule, ok := ruleFor(rules, s.Dir())
		if !ok {
			problems = append(problems, Problem{s.Path, fmt.Sprintf("no import rule for the package %q: say in layout_test.go whom it may import, and in docs/ARCHITECTURE.md what it is", s.Dir())})
			continue
		}
		for _, spec := range s.file.Imports {
			if what := rule.judge(strings.Trim(spec.Path.Value, `"`), module, s.Dir()); what != "" {
				problems = append(problems, Problem{s.at(spec.Pos()), what})
			}
		}
	}
	return problems
}

func ruleFor(rules map[string]ImportRule, dir string) (ImportRule, bool) {
	if rule, ok := rules[dir]; ok {
		return rule, true
	}
	for ; dir != "."; dir = path.Dir(dir) {
		if rule, ok := rules[dir+"/..."]; ok {
			return rule, true
		}
	}
	return ImportRule{}, false
}

func (r ImportRule) judge(imported, module, dir string) string {
	if ours, ok := within(imported, module); ok {
		if slices.Contains(r.Ours, "*") || slices.Contains(r.Ours, ours) {
			return ""
		}
		return fmt.Sprintf("%s may not import our package %q (allowed: %s): declare a small interface here, or move the code to where both meet", dir, ours, orNone(r.Ours))
	}
	if r.Foreign != nil && third(imported) && !slices.Contains(r.Foreign, imported) {
		return fmt.Sprintf("%s may not import %q (allowed of third parties: %s): keep the dependency in a package above it", dir, imported, orNone(r.Foreign))
	}
	return ""
}

// within reports whether the package lies in the module and gives its path there, "." for the root.
func within(imported, module string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// third reports whether the package is of a third party: the first element of its path has a dot.
func third(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Restriction keeps a third-party package back from all but a few folders.
type Restriction struct {
	Module  string   // the package and everything below it
	Except  []string // packages below it that are free for all
	Allowed []string // folders that may import it; "dir/..." includes those below
	Tests   bool     // test files may import it
	Instead string   // what to do instead
}

// Restricted checks every file against the restrictions.
func Restricted(sources []*Source, restrictions []Restriction) []Problem {
	var problems []Problem
	for _, s := range sources {
		for _, spec := range s.file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			for _, r := range restrictions {
				if r.forbids(s, imported) {
					problems = append(problems, Problem{s.at(spec.Pos()), fmt.Sprintf("%q may not be imported here: %s", imported, r.Instead)})
				}
			}
		}
	}
	return problems
}

func (r Restriction) forbids(s *Source, imported string) bool {
	if _, ok := within(imported, r.Module); !ok {
		return false
	}
	if slices.ContainsFunc(r.Except, func(free string) bool { _, ok := within(imported, free); return ok }) {
		return false
	}
	return !(r.Tests && s.Test()) && !slices.ContainsFunc(r.Allowed, func(dir string) bool { return covers(dir, s.Dir()) })
}

// covers reports whether the pattern, a folder or "folder/...", holds for dir.
func covers(pattern, dir string) bool {
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == top || strings.HasPrefix(dir, top+"/")
	}
	return dir == pattern
}
