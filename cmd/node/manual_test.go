package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every command has a page that names each of its flags, and no line of it is taken for a command of the typesetter by accident.
func TestManual(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	dir := filepath.Join(u.home, "man1")
	u.kdht("docs", "man", dir).ok()
	root := (&app{}).root()
	all := commands(root)
	if len(all) < 30 {
		t.Fatalf("%d commands", len(all))
	}
	for _, c := range all {
		text, err := os.ReadFile(filepath.Join(dir, pageName(c)+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		page := string(text)
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(page, roff("--"+f.Name)) {
				t.Errorf("%s: no --%s", pageName(c), f.Name)
			}
		})
		for line := range strings.Lines(page) {
			if word, isRequest := strings.CutPrefix(line, "."); isRequest && !strings.Contains(" TH SH B BR nf fi TP ", " "+strings.Fields(word)[0]+" ") {
				t.Errorf("%s: a request %q", pageName(c), line)
			}
		}
		if c.Short == "" || c.Runnable() && len(c.Commands()) == 0 && c.Example == "" {
			t.Errorf("%s has no summary or no example", c.CommandPath())
		}
	}
	u.kdht("docs", "man", "/dev/null/x").fails(2, "cannot make the directory")
}

func TestRoff(t *testing.T) {
	if got, want := roff(".a\n'b\nc.\\d-e"), "\\&.a\n\\&'b\nc.\\ed\\-e"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
