package settings

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

var known = []string{"mode", "listen", "memory", "limits.peer-rate"}

// What two files disagree about, in order; a key that one of them lacks is no empty one.
func TestCompare(t *testing.T) {
	parse := func(text string) *File {
		f, err := Parse("f", []byte(text), known)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	before, now := parse("mode = 'a'\nlisten = []\nmemory = true\n[limits]\npeer-rate = 1.5"), parse("mode = 'a'\nmemory = false\n[log]\nx = 'debug'")
	var got []string
	for _, d := range Compare(before, now) {
		got = append(got, d.Key+": "+Show(d.Before)+" → "+Show(d.Now))
	}
	if want := "[limits.peer-rate: 1.5 → (nothing) listen:  → (nothing) log.x: (nothing) → debug memory: true → false]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if all := Compare(nil, nil); len(all) != 0 {
		t.Errorf("of no files: %v", all)
	}
	if all := Compare(nil, before); len(all) != 4 {
		t.Errorf("of none and one: %v", all)
	}
}

// Whatever is in a file, it is taken or refused in one line that can be printed, and what is taken has values.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "mode = 'a'", "listen = ['a', 'b']\n[limits]\npeer-rate = 3", "[log]\n\"a.b\" = 'x'", "a.b.c = { d = [[1]] }", "mode = 1979-05-27", "mode = nan", "\xff", "[limits.a]\n[limits]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f", []byte(text), known)
		if err != nil {
			if said := control.AsError(err).Message; strings.ContainsAny(said, "\n\x1b") || len(said) > 2000 {
				t.Errorf("%q", said)
			}
			return
		}
		for _, key := range file.Keys() {
			if file.Texts(key) == nil && key != "log" && key != "limits" {
				t.Errorf("%q has no value", key)
			}
		}
		if len(Compare(file, file)) != 0 {
			t.Error("a file differs from itself")
		}
	})
}
