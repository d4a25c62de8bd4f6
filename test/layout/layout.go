// Package layout checks the shape of a Go source tree: who imports whom, what the core may not touch, how long things get, and
// what tests may not do. The rules themselves stand in layout_test.go at the root of the repository; this package only knows how
// to look for what breaks them.
//
// A check takes parsed sources and returns one [Problem] for each breach, in the order of the sources. It reads no file and runs
// no program, so that its own tests hand it bad samples as text. [Read] makes the sources of a whole tree.
package layout

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Problem is one breach of a rule: where it is and what to do about it.
type Problem struct {
	Where string // path, with a line where one is known
	What  string
}

func (p Problem) String() string { return p.Where + ": " + p.What }

// Source is one parsed Go file.
type Source struct {
	Path    string // slash-separated, relative to the root of the tree
	Lines   int
	fset    *token.FileSet
	file    *ast.File
	imports map[string]string // the name a file uses → the import path
}

// Parse makes a Source of text. The path decides which rules hold for it.
func Parse(name string, text []byte) (*Source, error) {
	s := &Source{Path: name, fset: token.NewFileSet(), imports: map[string]string{}}
	file, err := parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	s.file = file
	s.Lines = bytes.Count(text, []byte("\n"))
	if !bytes.HasSuffix(text, []byte("\n")) {
		s.Lines++
	}
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		s.imports[nameOf(spec, p)] = p
	}
	return s, nil
}

// nameOf is what the file calls an import: its own name for it, or the last element of the path that is not a major version.
func nameOf(spec *ast.ImportSpec, p string) string {
	if spec.Name != nil && spec.Name.Name != "_" && spec.Name.Name != "." {
		return spec.Name.Name
	}
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(p))
	}
	return strings.TrimPrefix(base, "go-")
}

// Dir is the folder of the file, "." for the root.
func (s *Source) Dir() string { return path.Dir(s.Path) }

// Test reports whether the file is a test.
func (s *Source) Test() bool { return strings.HasSuffix(s.Path, "_test.go") }

// Generated reports whether a tool wrote the file.
func (s *Source) Generated() bool { return ast.IsGenerated(s.file) }

func (s *Source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.Path, s.fset.Position(pos).Line)
}

// Read parses every Go file of the tree at root, without those in testdata.
func Read(root string) ([]*Source, error) {
	names, err := Files(root)
	if err != nil {
		return nil, err
	}
	var sources []*Source
	for _, name := range names {
		// A listed folder counts as an input of the test, so that a new file ends the life of a cached result.
		if _, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(path.Dir(name)))); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if !strings.HasSuffix(name, ".go") || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // tracked, and deleted in the working tree
		}
		if err != nil {
			return nil, err
		}
		s, err := Parse(name, text)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// Files lists the files below root that git tracks or would add. Without git it lists every file outside of folders that begin
// with a dot or an underscore, and of node_modules.
func Files(root string) ([]string, error) {
	if names, err := Tracked(root, "--others", "--exclude-standard"); err == nil {
		return names, nil
	}
	var names []string
	err := filepath.WalkDir(root, func(p string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if p != root && (base[0] == '.' || base[0] == '_' || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, p)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	return names, err
}

// Tracked lists the files that git tracks under root; more are options of git ls-files that add others. It fails where there is
// no git or no repository, as in an unpacked source archive.
func Tracked(root string, more ...string) ([]string, error) {
	cmd := exec.Command("git", append([]string{"ls-files", "-z", "--cached"}, more...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the files that git tracks: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}
