//go:build unix

package docs

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sources are the texts of the programs and libraries, and what errors can be tested for.
type sources struct {
	texts  []string // with … for what is filled in
	errors map[string]string
}

var verb = regexp.MustCompile(`%[-+# 0]*[0-9.]*[a-zA-Z]`)

func readSources(t *testing.T) *sources {
	t.Helper()
	_, files := documents(t)
	s := &sources{errors: make(map[string]string)}
	for _, name := range files {
		top, _, _ := strings.Cut(name, "/")
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || top == "test" || top == "examples" || strings.Contains(name, "/storetest/") {
			continue
		}
		file, err := goparser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, goparser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case ast.Expr:
				if text, ok := textOf(n); ok {
					s.texts = append(s.texts, verb.ReplaceAllString(text, "…"))
				}
			case *ast.ValueSpec:
				s.sentinels(name, n)
			}
			return true
		})
	}
	if len(s.texts) < 3000 || len(s.errors) < 25 {
		t.Fatalf("%d texts and %d errors: this check looks in the wrong place", len(s.texts), len(s.errors))
	}
	return s
}

// sentinels takes down the errors that a program can test for.
func (s *sources) sentinels(file string, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if !strings.HasPrefix(name.Name, "Err") || i >= len(spec.Values) {
			continue
		}
		if call, ok := spec.Values[i].(*ast.CallExpr); ok && len(call.Args) == 1 {
			if text, ok := textOf(call.Args[0]); ok {
				s.errors[text] = file + ": " + name.Name
			}
		}
	}
}

// textOf returns the text that an expression of literals is.
func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, okX := textOf(e.X)
		y, okY := textOf(e.Y)
		return x + y, e.Op == token.ADD && okX && okY
	}
	return "", false
}

// What docs/TROUBLESHOOTING.md quotes is what the program says, and no error that a program
// can test for is missing there.
func TestMessagesAreTheSources(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(root, "docs", "TROUBLESHOOTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := readSources(t)
	var all []string
	for number, line := range strings.Split(string(document), "\n") {
		for _, message := range quotes(line) {
			all = append(all, message)
			if !s.say(message) {
				t.Errorf("docs/TROUBLESHOOTING.md:%d: nobody says %q", number+1, message)
			}
		}
	}
	if len(all) < 80 {
		t.Errorf("only %d messages found: this check looks in the wrong place", len(all))
	}
	for text, where := range s.errors {
		if !slices.ContainsFunc(all, func(message string) bool { return strings.HasPrefix(text, message) }) {
			t.Errorf("docs/TROUBLESHOOTING.md lacks %q (%s)", text, where)
		}
	}
}

// quotes returns the messages of a row: what stands in its first cell, and behind "below it".
func quotes(line string) (messages []string) {
	cell, isRow := strings.CutPrefix(line, "| `")
	if !isRow {
		return nil
	}
	cell, rest, _ := strings.Cut(cell, " | ")
	messages = strings.Split(strings.TrimSuffix(cell, "`"), "`, `")
	for _, m := range regexp.MustCompile("below it `([^`]+)`").FindAllStringSubmatch(rest, -1) {
		messages = append(messages, m[1])
	}
	return messages
}

func (s *sources) say(message string) bool {
	for _, text := range s.texts {
		if strings.Contains(text, message) {
			return true
		}
	}
	return false
}
