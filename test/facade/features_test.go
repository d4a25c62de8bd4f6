package facade

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/kdht/kdht"
)

// What these documents say there is, there is.
func TestFeaturesExist(t *testing.T) {
	names, dht := exported(t, "../.."), reflect.TypeFor[*kdht.DHT]()
	for document, least := range map[string]int{"docs/FEATURES.md": 60, "docs/MOVING.md": 60} {
		text, err := os.ReadFile("../../" + document)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range regexp.MustCompile("`(kdht|DHT)\\.([A-Z]\\w*)").FindAllSubmatch(text, -1) {
			found++
			name := string(m[2])
			if _, ok := dht.MethodByName(name); string(m[1]) == "DHT" && !ok || string(m[1]) == "kdht" && !names[name] {
				t.Errorf("%s: there is no %s", document, m[0])
			}
		}
		if found < least {
			t.Errorf("%s: only %d names found: this check looks in the wrong place", document, found)
		}
	}
}

// exported returns the names that the package in dir exports.
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if file.Name.Name != "kdht" {
			continue
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = d.Recv == nil
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}
